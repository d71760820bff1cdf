"""Verifies that a copy that arrived in a destination bucket has the bytes of its source, and records the result."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from . import arns, clients, comparison, log, s3_events, sqs_batch, text, tracking
from .comparison import Verdict
from .environment import Variables
from .s3_events import ObjectCreated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef


@dataclass(frozen=True, kw_only=True)
class Environment(Variables):
    """Environment variables, by their names in lower case."""

    source_bucket: str
    table_name: str
    topic_arn: str
    record_retention_days: int
    """0 keeps the results forever."""

    @property
    def region(self) -> str:
        """The region of the source bucket, the table and the topic. The destinations are in the function's region."""
        return arns.region_of(self.topic_arn)


class UndecidedError(Exception):
    """The copy may not be that of the execution that is running, but an older one's. So SQS has to deliver the message
    again after that execution has ended.
    """


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Processes an SQS batch of S3 event notifications of the destination buckets."""
    return sqs_batch.process(event, _verify_arrivals)


def _verify_arrivals(body: str) -> None:
    for arrival in s3_events.parse(body):
        _process(arrival)


def _process(arrival: ObjectCreated) -> None:
    log.about(bucket=arrival.bucket, key=arrival.key)
    record = _read_record(arrival.key)
    if record is None or "executionId" not in record:
        log.info("Ignored: the file has no record, so the workflow did not copy it")
        return
    execution = record["executionId"]["S"]
    log.about(bucket=arrival.bucket, key=arrival.key, executionArn=execution)
    is_running = _is_running(record)
    if not is_running and not _was_sent_by(record, arrival):
        log.info("Ignored: not a copy made by the recorded execution")
        return
    verdict = _verify(arrival, record)
    if is_running:
        _check_decided(arrival, record, verdict)
    if not _write(arrival, verdict, execution):
        log.info("Ignored: a later copy has arrived")
        return
    if verdict.problem:
        log.error("Copy differs from its source", problem=verdict.problem, check=verdict.check)
        _notify(arrival, verdict.problem, execution)
    else:
        log.info("Copy verified", check=verdict.check)


def _read_record(file_key: str) -> dict[str, Any] | None:
    found = clients.dynamodb(Environment.read().region).get_item(
        TableName=Environment.read().table_name,
        Key=tracking.key_of(file_key, Environment.read().source_bucket),
        ConsistentRead=True,
        ProjectionExpression="executionId, #status, startTime, leaseExpiresAt, sourceVersionId, sourceETag, sourceSize,"
        " successfulBuckets, copyResults",
        ExpressionAttributeNames={"#status": "status"},
    )
    return found.get("Item")


def _is_running(record: dict[str, Any]) -> bool:
    """True if the recorded execution may still copy. A lease outlives its holder. So if it has expired, the execution
    has ended, and its status change was lost.
    """
    lease_ends = float(record.get("leaseExpiresAt", {}).get("N", "Infinity"))
    return record["status"]["S"] == "IN_PROGRESS" and time.time() < lease_ends


def _check_decided(arrival: ObjectCreated, record: dict[str, Any], verdict: Verdict) -> None:
    """
    Raises:
        UndecidedError: the copy may be an older execution's: it differs, or it was made before the running execution
            began and has only the size of the source.
    """
    if verdict.problem:
        raise UndecidedError(f"{arrival.key!r} in {arrival.bucket} differs: {verdict.problem}")
    if verdict.check == "size" and arrival.time < record["startTime"]["S"]:
        raise UndecidedError(f"{arrival.key!r} in {arrival.bucket} has the size of the source, but is older.")


def _was_sent_by(record: dict[str, Any], arrival: ObjectCreated) -> bool:
    """True if the recorded execution made this copy. Without a version to compare, it counts as made by it: if the
    bucket keeps no versions, or if the record has too many destinations to hold each result.
    """
    if {"S": arrival.bucket} not in record.get("successfulBuckets", {}).get("L", []):
        return False
    for result in record.get("copyResults", {}).get("L", []):
        if result["M"]["destinationBucket"]["S"] == arrival.bucket:
            sent = result["M"].get("versionId", {}).get("S")
            return sent is None or arrival.version_id is None or sent == arrival.version_id
    return True


def _verify(arrival: ObjectCreated, record: dict[str, Any]) -> Verdict:
    """Compares the copy with what the record says of the source, and, if that does not decide, with the source."""
    seen = record.get("sourceETag", {}).get("S"), record.get("sourceSize", {}).get("N")
    if (arrival.etag, str(arrival.size)) == seen:
        return Verdict(check="ETag")
    source_version = record.get("sourceVersionId", {}).get("S")
    version = {"VersionId": source_version} if source_version else {}
    source = _head(clients.s3(Environment.read().region), Environment.read().source_bucket, arrival.key, version)
    if source is None:
        return Verdict(check="size", problem="The source does not exist any more, so it cannot be compared.")
    if arrival.size != source["ContentLength"]:
        return Verdict(
            check="size",
            problem=f"The copy has {text.count(arrival.size, 'byte')}, the source {source['ContentLength']}.",
        )
    if arrival.etag == source["ETag"].strip('"'):
        return Verdict(check="ETag")
    arrived_version = {"VersionId": arrival.version_id} if arrival.version_id else {}
    arrived = _head(clients.s3(), arrival.bucket, arrival.key, arrived_version)
    if arrived is None:
        return Verdict(check="size", problem="The copy does not exist any more.")
    return comparison.compare(source, arrived)


def _head(s3: S3Client, bucket: str, key: str, version: dict[str, Any]) -> HeadObjectOutputTypeDef | None:
    try:
        return s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **version)
    except ClientError as error:
        # HeadObject's answers have no body, so the status is the only code.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 405):
            return None
        raise


def _write(arrival: ObjectCreated, verdict: Verdict, execution_id: str) -> bool:
    """Writes the result beside the record, unless there is the result of a later arrival in this bucket."""
    environment = Environment.read()
    result: dict[str, Any] = {
        **tracking.arrival_key(arrival.key, environment.source_bucket, arrival.bucket),
        **tracking.expiry(environment.record_retention_days),
        "destinationBucket": {"S": arrival.bucket},
        "executionId": {"S": execution_id},
        "verified": {"BOOL": verdict.problem is None},
        "check": {"S": verdict.check},
        "size": {"N": str(arrival.size)},
        "etag": {"S": arrival.etag},
        "arrivedAt": {"S": arrival.time},
        "checkedAt": {"S": tracking.now()},
    }
    if arrival.version_id:
        result["versionId"] = {"S": arrival.version_id}
    if verdict.problem:
        result["problem"] = {"S": verdict.problem}
    return tracking.put_if(
        "attribute_not_exists(arrivedAt) OR arrivedAt <= :arrivedAt",
        table_name=environment.table_name,
        item=result,
        values={":arrivedAt": result["arrivedAt"]},
        region=environment.region,
    )


def _notify(arrival: ObjectCreated, problem: str, execution_id: str) -> None:
    shown = text.printable(arrival.key)
    clients.sns(Environment.read().region).publish(
        TopicArn=Environment.read().topic_arn,
        Subject=text.subject(f"File copy differs from its source: {shown}"),
        Message=(
            "🚨 A copy differs from its source\n\n"
            f"📄 File: {shown}\n"
            f"🪣 Source bucket: {Environment.read().source_bucket}\n"
            f"❌ Destination: {arrival.bucket}: {problem}\n\n"
            f"🔎 Execution: {execution_id}\n"
        ),
    )
