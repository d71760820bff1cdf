"""Confirms that what arrived in a destination bucket is what was sent, and writes that into the record."""

from __future__ import annotations

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

    @property
    def region(self) -> str:
        """Where source bucket, table and topic are. The destinations are where the function is, maybe in another."""
        return arns.region_of(self.topic_arn)


class UndecidedError(Exception):
    """What arrived differs from what the record's execution sends, but it may be an older execution's copy.
    The message has to come again when that execution is done."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """SQS batches of S3 event notifications of the destination buckets."""
    return sqs_batch.process(event, _confirm_arrivals)


def _confirm_arrivals(body: str) -> None:
    for arrival in s3_events.parse(body):
        _confirm(arrival)


def _confirm(arrival: ObjectCreated) -> None:
    log.about(bucket=arrival.bucket, key=arrival.key)
    record = _read_record(arrival.key)
    if record is None or "executionId" not in record:
        log.info("Arrival without a record: not from the workflow")
        return
    execution = record["executionId"]["S"]
    log.about(bucket=arrival.bucket, key=arrival.key, executionArn=execution)
    is_in_progress = record["status"]["S"] == "IN_PROGRESS"
    if not is_in_progress and not _was_sent_by(record, arrival):
        log.info("Arrival that is none of the record's copies: another execution's, or not from the workflow")
        return
    verdict = _verify(arrival, record)
    if is_in_progress and verdict.problem:
        raise UndecidedError(f"{arrival.key} in {arrival.bucket}: {verdict.problem}")
    if not _write(arrival, verdict, execution):
        log.info("Record belongs to a newer execution")
        return
    if verdict.problem:
        log.error("Arrival is not what was sent", problem=verdict.problem, check=verdict.check)
        _notify(arrival, verdict.problem, execution)
    else:
        log.info("Arrival verified", check=verdict.check)


def _read_record(file_key: str) -> dict[str, Any] | None:
    found = clients.dynamodb(Environment.read().region).get_item(
        TableName=Environment.read().table_name,
        Key=tracking.key_of(file_key, Environment.read().source_bucket),
        ConsistentRead=True,
        ProjectionExpression="executionId, #status, sourceVersionId, sourceETag, sourceSize, successfulBuckets,"
        " copyResults",
        ExpressionAttributeNames={"#status": "status"},
    )
    return found.get("Item")


def _was_sent_by(record: dict[str, Any], arrival: ObjectCreated) -> bool:
    """Whether the record's execution made this copy. Without versions there is no telling, and it is taken as its:
    where buckets keep none, and where there are too many destinations for the record to hold each copy's result.
    """
    if {"S": arrival.bucket} not in record.get("successfulBuckets", {}).get("L", []):
        return False
    for result in record.get("copyResults", {}).get("L", []):
        if result["M"]["destinationBucket"]["S"] == arrival.bucket:
            sent = result["M"].get("versionId", {}).get("S")
            return sent is None or arrival.version_id is None or sent == arrival.version_id
    return True


def _verify(arrival: ObjectCreated, record: dict[str, Any]) -> Verdict:
    """Compares what arrived with what the execution saw of the source, and, where that does not settle it, with the
    source itself."""
    seen = record.get("sourceETag", {}).get("S"), record.get("sourceSize", {}).get("N")
    if (arrival.etag, str(arrival.size)) == seen:
        return Verdict(check="etag")
    source_version = record.get("sourceVersionId", {}).get("S")
    version = {"VersionId": source_version} if source_version else {}
    source = _head(clients.s3(Environment.read().region), Environment.read().source_bucket, arrival.key, version)
    if source is None:
        return Verdict(check="size", problem="The source object is gone, so the copy cannot be compared with it.")
    if arrival.size != source["ContentLength"]:
        return Verdict(
            check="size", problem=f"The copy has {arrival.size} bytes, the source {source['ContentLength']}."
        )
    if arrival.etag == source["ETag"].strip('"'):
        return Verdict(check="etag")
    arrived_version = {"VersionId": arrival.version_id} if arrival.version_id else {}
    arrived = _head(clients.s3(), arrival.bucket, arrival.key, arrived_version)
    if arrived is None:
        return Verdict(check="size", problem="The copy is gone again.")
    return comparison.compare(source, arrived)


def _head(s3: S3Client, bucket: str, key: str, version: dict[str, Any]) -> HeadObjectOutputTypeDef | None:
    try:
        return s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **version)
    except ClientError as error:
        # HeadObject's errors have no body, so no code either but the status.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 405):
            return None
        raise


def _write(arrival: ObjectCreated, verdict: Verdict, execution_id: str) -> bool:
    """Writes the arrival into the record, unless that has become a newer execution's."""
    confirmation: dict[str, Any] = {
        "verified": {"BOOL": verdict.problem is None},
        "check": {"S": verdict.check},
        "size": {"N": str(arrival.size)},
        "etag": {"S": arrival.etag},
        "arrivedAt": {"S": arrival.time},
        "checkedAt": {"S": tracking.now()},
    }
    if arrival.version_id:
        confirmation["versionId"] = {"S": arrival.version_id}
    if verdict.problem:
        confirmation["problem"] = {"S": verdict.problem}
    return tracking.update_if(
        "executionId = :executionId",
        table_name=Environment.read().table_name,
        key=tracking.key_of(arrival.key, Environment.read().source_bucket),
        update="SET arrivals.#bucket = :arrival",
        names={"#bucket": arrival.bucket},
        values={":arrival": {"M": confirmation}, ":executionId": {"S": execution_id}},
        region=Environment.read().region,
    ).is_done


def _notify(arrival: ObjectCreated, problem: str, execution_id: str) -> None:
    shown = text.printable(arrival.key)
    clients.sns(Environment.read().region).publish(
        TopicArn=Environment.read().topic_arn,
        Subject=text.subject(f"File copy arrived damaged: {shown}"),
        Message=(
            "🚨 A copy is not what was sent\n\n"
            f"📄 File: {shown}\n"
            f"🪣 Source bucket: {Environment.read().source_bucket}\n"
            f"❌ Destination: {arrival.bucket}: {problem}\n\n"
            f"🔎 Execution: {execution_id}\n"
        ),
    )
