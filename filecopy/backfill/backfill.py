"""Distributes what is in the source bucket already: each object that a destination lacks, or has another content of.

Source and destinations are listed side by side, in key order, a page of each at a time, so that nothing grows with
their number; and there is no file of what is done: the comparison is the state, and a second run finds what is left.

A copy is up to date when the listings give it the source's size and ETag, and stale when its size is another. Where
only the ETags differ, which those of equal bytes do when one was uploaded in parts or is encrypted with a KMS key,
these are asked in turn, and the first to know decides:

1. a checksum that S3 keeps of both (HeadObject), or both ETags where they are MD5: equal or not;
2. the file's record, where it is of a source with this very ETag: whether the copy is the one that the workflow made;
3. the times: a copy that is as large, and not older than the source, is taken for the source's.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from itertools import count
from queue import SimpleQueue
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components import outputs, policies
from filecopy import sending
from filecopy.errors import StackError
from filecopy.stack.records import read_record
from filecopy.stack.stack import Target
from handlers import arns, comparison

# Executions started a second. Step Functions refills 150 a second in its smallest regions (developer guide, "Quotas"),
# so this leaves nine tenths of them to uploads, and yet does 36,000 objects an hour.
DEFAULT_RATE = 10.0

# Objects that are looked at or copied at a time: as many as a client keeps connections for.
AT_ONCE = 32

# Each object that fails is a notification to people: after so many, nothing more is started.
MAX_FAILURES = 20

# Looks at the record of a copy between two of DescribeExecution, which refills 10 a second in its smallest regions.
LOOKS_PER_DESCRIPTION = 10


class Difference(StrEnum):
    """What tells that a destination needs a copy."""

    MISSING = "missing"
    SIZE = "size"
    ETAG = "etag"
    CHECKSUM = "checksum"
    RECORD = "record"
    AGE = "age"
    UNDECIDED = "undecided"
    """The listings do not say whether it does."""


class Result(StrEnum):
    """What has become of an object."""

    UP_TO_DATE = "up to date"
    COPIED = "copied"
    TO_BE_COPIED = "to be copied"
    FAILED = "failed"
    LEFT_ALONE = "left to an execution that is at work"
    GONE = "gone meanwhile"
    STILL_COPYING = "still being copied"
    NOT_STARTED = "not started"


@dataclass(frozen=True, slots=True)
class Listed:
    """An object, as a listing or HeadObject tells of it."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Without quotes."""
    modified: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """An object of the source bucket, and what each destination has under its key."""

    source: Listed
    copies: Mapping[str, Listed | None]

    @property
    def key(self) -> str:
        return self.source.key

    def differences(self) -> dict[str, Difference]:
        """What the listings say of each destination that is not known to be up to date."""
        found = {bucket: difference(self.source, copy) for bucket, copy in self.copies.items()}
        return {bucket: what for bucket, what in found.items() if what is not None}


@dataclass(frozen=True)
class Outcome:
    """An object that was not up to date everywhere by the listings, and what has become of it."""

    key: str
    result: Result
    differences: Mapping[str, Difference] = field(default_factory=dict)
    """By destination that needs a copy."""
    execution_arn: str | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` has it."""
        return {
            "key": self.key,
            "result": self.result,
            "destinations": dict(self.differences),
            "executionArn": self.execution_arn,
            "error": self.error,
        }


def difference(source: Listed, copy: Listed | None) -> Difference | None:
    """What size and ETag say of a copy; ``None`` where it is up to date."""
    if copy is None:
        return Difference.MISSING
    if copy.size != source.size:
        return Difference.SIZE
    return None if copy.etag == source.etag else Difference.UNDECIDED


def by_record_or_age(record: Mapping[str, Any] | None, source: Listed, bucket: str, copy: Listed) -> Difference | None:
    """Whether a copy, of which neither ETag nor checksum says, is up to date: the record knows it, or the times do."""
    if record and (record.get("sourceETag"), record.get("sourceSize")) == (source.etag, source.size):
        made = [result for result in record.get("copyResults", []) if result["destinationBucket"] == bucket]
        arrived = record.get("arrivals", {}).get(bucket, {})
        known = {result["etag"] for result in made if result.get("etag")}
        known |= {arrived["etag"]} if arrived.get("verified") else set()
        if known:
            return None if copy.etag in known else Difference.RECORD
    return None if copy.modified >= source.modified else Difference.AGE


def merge(source: Iterable[Listed], copies: Mapping[str, Iterable[Listed]]) -> Iterator[Row]:
    """Each object of the source with its copies, from listings in key order. Of each, one object is held at a time."""
    rests = {bucket: iter(listing) for bucket, listing in copies.items()}
    firsts = {bucket: next(rest, None) for bucket, rest in rests.items()}
    for item in source:
        found: dict[str, Listed | None] = {}
        for bucket, rest in rests.items():
            first = firsts[bucket]
            # What only the destination has is none of our business.
            while first is not None and first.key < item.key:
                first = next(rest, None)
            firsts[bucket] = first
            found[bucket] = first if first is not None and first.key == item.key else None
        yield Row(item, found)


def in_order(bucket: str, listing: Iterable[Listed]) -> Iterator[Listed]:
    """The listing, as long as it is in the order that S3 promises: that of UTF-8, which is Python's order of texts.

    Raises:
        StackError: it is not. An object would be taken for missing.
    """
    last = ""
    for item in listing:
        if item.key <= last:
            raise StackError(
                f"{bucket} lists {item.key!r} after {last!r}, so it cannot be compared. Leave it out: --to."
            )
        last = item.key
        yield item


def filter_of_uploads(notifications: Mapping[str, Any], bucket: str, queue_url: str) -> tuple[str, str]:
    """Prefix and suffix of the keys that are distributed when uploaded, which are all that the workflow may read.

    Args:
        notifications: of the source bucket, as GetBucketNotificationConfiguration gives them.
        queue_url: the queue of uploads.

    Raises:
        StackError: the queue hears of no upload.
    """
    queue = queue_url.rsplit("/", 1)[-1]
    for one in notifications.get("QueueConfigurations", []):
        if one["QueueArn"].rsplit(":", 1)[-1] == queue:
            rules = one.get("Filter", {}).get("Key", {}).get("FilterRules", [])
            values = {rule["Name"].lower(): rule["Value"] for rule in rules}
            return values.get("prefix", ""), values.get("suffix", "")
    raise StackError(
        f"{bucket} tells the queue {queue} of no upload, so it is not known which keys are distributed. Deploy the"
        " stack, and try again."
    )


def narrowed(prefix: str, key_prefix: str) -> str:
    """The prefix of keys that have both.

    Raises:
        StackError: no key has.
    """
    if not prefix.startswith(key_prefix) and not key_prefix.startswith(prefix):
        raise StackError(
            f"No key that begins with {prefix!r} is distributed: the stack's keyPrefix is {key_prefix!r}. Name one"
            " that begins so."
        )
    return max(prefix, key_prefix, key=len)


def is_busy(record: Mapping[str, Any] | None, now: float) -> bool:
    """Whether an execution may be copying the file, or writing its record, at ``now``, in epoch seconds."""
    return record is not None and record.get("leaseExpiresAt", 0) > now


def execution_name(bucket: str, row: Row, destinations: Iterable[str], attempt: int) -> str:
    """The name of the one execution for this object and these copies in this state: a run beside this one, or one after
    it was interrupted, gives it the same.
    """
    copies = {name: (copy and copy.etag) for name, copy in row.copies.items() if name in destinations}
    identity = [bucket, row.key, row.source.etag, row.source.modified.isoformat(), sorted(copies.items()), attempt]
    return arns.execution_name(row.key, identity, kind="backfill-")


class Pace:
    """Lets through so many a second, evenly."""

    def __init__(self, rate: float) -> None:
        self._interval, self._next, self._lock = 1 / rate, 0.0, threading.Lock()

    def wait(self, over: threading.Event) -> bool:
        """Waits for the next turn. Returns whether it came before it was ``over``."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval
        return not over.wait(turn - now)


class Backfill:
    """One run. ``results`` counts the objects compared so far, ``at`` is the key of the last."""

    def __init__(self, target: Target, destinations: Sequence[str], *, prefix: str, rate: float, is_dry: bool) -> None:
        """
        Args:
            destinations: of the stack, that are compared.
            prefix: of the keys that are compared.
            rate: executions started a second, at most.
            is_dry: nothing is started.
        """
        self.results: Counter[Result] = Counter()
        self.at = ""
        self.source, self.prefix, self.destinations = target.source_bucket, prefix, destinations
        self._target, self._is_dry = target, is_dry
        self._dynamodb, self._workflow = target.clients("dynamodb"), target.clients("stepfunctions")
        self._s3 = {bucket: self._client_of(bucket) for bucket in (target.source_bucket, *destinations)}
        self._pace = Pace(rate)
        self._interval = sending.LOOK_INTERVAL_ON_EMULATOR if target.clients.is_emulator else sending.LOOK_INTERVAL
        self._starts_no_more, self._is_left = threading.Event(), threading.Event()

    def _client_of(self, bucket: str) -> Any:
        """The S3 client for a bucket, which is of the bucket's region."""
        return self._target.clients.in_region(self._target.regions.get(bucket))("s3")

    @property
    def is_cut_short(self) -> bool:
        """Whether too many have failed to go on."""
        return self.results[Result.FAILED] >= MAX_FAILURES

    def run(self, tell: Callable[[Outcome], None]) -> None:
        """Compares, and copies what is needed. However it ends, ``results`` says how far it has come.

        Args:
            tell: of each object that is not up to date everywhere by the listings; called from this thread.

        Raises:
            StackError: a bucket cannot be listed or read.
        """
        ended: SimpleQueue[Future[Outcome]] = SimpleQueue()
        at_work = 0

        def collect() -> None:
            nonlocal at_work
            outcome = ended.get().result()
            at_work -= 1
            self.results[outcome.result] += 1
            if self.is_cut_short:
                self._starts_no_more.set()
            tell(outcome)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for row in self._rows():
                    self.at = row.key
                    while at_work == AT_ONCE or not ended.empty():
                        collect()
                    if self.is_cut_short:
                        break
                    if differences := row.differences():
                        at_work += 1
                        pool.submit(self._settle, row, differences).add_done_callback(ended.put)
                    else:
                        self.results[Result.UP_TO_DATE] += 1
                while at_work:
                    collect()
            except BaseException:
                self._starts_no_more.set()
                self._is_left.set()
                pool.shutdown()
                # What can still be said of the others, for the summary.
                while not ended.empty():
                    future = ended.get()
                    if not future.exception():
                        self.results[future.result().result] += 1
                raise

    def _rows(self) -> Iterator[Row]:
        source = self._target.source_bucket
        try:
            told = self._s3[source].get_bucket_notification_configuration(Bucket=source)
        except ClientError as error:
            raise self._refusal(error, source, "s3:GetBucketNotification") from None
        # By AWS's clock: what an execution copied since then may be listed as it was before.
        self._began = parsedate_to_datetime(told["ResponseMetadata"]["HTTPHeaders"]["date"])
        key_prefix, suffix = filter_of_uploads(told, source, self._target.outputs[outputs.UPLOAD_QUEUE_URL])
        prefix = narrowed(self.prefix, key_prefix)
        listed = in_order(source, self._list(source, prefix))
        return merge(
            (item for item in listed if item.key.endswith(suffix)),
            {bucket: in_order(bucket, self._list(bucket, prefix)) for bucket in self.destinations},
        )

    def _list(self, bucket: str, prefix: str) -> Iterator[Listed]:
        try:
            # boto3 asks for keys URL-encoded, and decodes them: XML cannot hold every key.
            for page in self._s3[bucket].get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for item in page.get("Contents", []):
                    yield Listed(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])
        except ClientError as error:
            raise self._refusal(error, bucket, "s3:ListBucket") from None

    def _head(self, bucket: str, key: str) -> Any:
        """HeadObject's answer; ``None`` where there is no object."""
        try:
            return self._s3[bucket].head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            # HeadObject's errors have no body, so no code either but the status.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise self._refusal(error, bucket, "s3:GetObject") from None

    def _refusal(self, error: ClientError, bucket: str, action: str) -> Exception:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            return StackError(f"There is no bucket {bucket}. Make it, or leave it out: --to names the destinations.")
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            return error
        arn = policies.bucket_arn(bucket, like=self._target.state_machine)
        resource = f"{arn}/*, and kms:Decrypt of its key if it has one" if action == "s3:GetObject" else arn
        return StackError(
            f"{bucket} does not let you look into it: that takes {action} on {resource}; where it is another account's,"
            " in the policy of the bucket as well. Or leave it out: --to names the destinations."
        )

    def _settle(self, row: Row, listed: Mapping[str, Difference]) -> Outcome:
        try:
            return self._distribute(row, listed)
        except (BotoCoreError, ClientError) as error:
            # One object that cannot be looked at is no reason to leave the others.
            return Outcome(row.key, Result.FAILED, listed, error=str(error))

    def _distribute(self, row: Row, listed: Mapping[str, Difference]) -> Outcome:
        """Copies the object to the destinations that need it, if they do on a closer look, and waits for the end."""
        undecided = [bucket for bucket, what in listed.items() if what is Difference.UNDECIDED]
        differences = {bucket: what for bucket, what in listed.items() if bucket not in undecided}
        if undecided:
            looked = self._look_closer(row.key, undecided)
            if looked is None:
                return Outcome(row.key, Result.GONE)
            differences |= looked
        if not differences:
            return Outcome(row.key, Result.UP_TO_DATE)
        if not self._is_dry and not self._pace.wait(self._starts_no_more):
            return Outcome(row.key, Result.NOT_STARTED, differences)
        record = self._record(row.key)
        if is_busy(record, time.time()):
            return Outcome(row.key, Result.LEFT_ALONE, differences)
        if record and "completedAt" in record and datetime.fromisoformat(record["completedAt"]) >= self._began:
            # Copied since the buckets were listed, perhaps.
            looked = self._look_closer(row.key, differences)
            if not looked:
                return Outcome(row.key, Result.GONE if looked is None else Result.UP_TO_DATE)
            differences = looked
        if self._is_dry:
            return Outcome(row.key, Result.TO_BE_COPIED, differences)
        # What the record has as failed is copied again with the others, or it would fail this execution, too.
        failed = [bucket for bucket in (record or {}).get("failedBuckets", []) if bucket in self.destinations]
        return self._follow(self._start(row, differences, failed), row.key, differences)

    def _record(self, key: str) -> dict[str, Any] | None:
        return read_record(self._dynamodb, self._target.outputs, key)

    def _look_closer(self, key: str, buckets: Iterable[str]) -> dict[str, Difference] | None:
        """What S3 now says of these destinations, and where it does not say, the record or the times; ``None`` where
        the source is gone."""
        head = self._head(self._target.source_bucket, key)
        if head is None:
            return None
        found = {bucket: self._compare(key, head, bucket) for bucket in buckets}
        return {bucket: what for bucket, what in found.items() if what is not None}

    def _compare(self, key: str, head: Any, bucket: str) -> Difference | None:
        arrived = self._head(bucket, key)
        if arrived is None:
            return Difference.MISSING
        source, copy = _listed(key, head), _listed(key, arrived)
        what = difference(source, copy)
        if what is not Difference.UNDECIDED:
            return what
        verdict = comparison.compare(head, arrived)
        if verdict.problem:
            return Difference(verdict.check)
        return by_record_or_age(self._record(key), source, bucket, copy) if verdict.check == "size" else None

    def _start(self, row: Row, differences: Mapping[str, Difference], failed: Iterable[str]) -> str:
        """Starts the execution, or finds the one that runs for the same, and returns its ARN."""
        source, machine = self._target.source_bucket, self._target.state_machine
        job = {
            "sourceBucket": source,
            "sourceKey": row.key,
            "destinationBuckets": sorted({*differences, *failed}),
            # What the record says of other destinations stays.
            "retry": True,
        }
        for attempt in count(1):
            name = execution_name(source, row, differences, attempt)
            try:
                started = self._workflow.start_execution(stateMachineArn=machine, name=name, input=json.dumps(job))
                return str(started["executionArn"])
            except self._workflow.exceptions.ExecutionAlreadyExists:
                arn = arns.execution_arn(machine, name)
                if self._workflow.describe_execution(executionArn=arn)["status"] == "RUNNING":
                    return arn
                # It has ended, and the copies are still needed.
        raise AssertionError("count never ends")

    def _follow(self, execution_arn: str, key: str, differences: Mapping[str, Difference]) -> Outcome:
        """Looks at the record until the execution is through with it. One that could not write it is described."""
        for look in count(1):
            if self._is_left.wait(self._interval):
                return Outcome(key, Result.STILL_COPYING, differences, execution_arn)
            described = None
            if look % LOOKS_PER_DESCRIPTION == 0:
                described = self._workflow.describe_execution(executionArn=execution_arn)
            record = self._record(key) or {}
            if record.get("executionId") == execution_arn and record["status"] != "IN_PROGRESS":
                error = failure(record, differences)
            elif described is None or described["status"] == "RUNNING":
                continue
            elif described["status"] == "SUCCEEDED":
                error = None
            else:
                error = f"{described.get('error', described['status'])}: {described.get('cause', '')}"
            return Outcome(key, Result.FAILED if error else Result.COPIED, differences, execution_arn, error)
        raise AssertionError("count never ends")


def failure(record: Mapping[str, Any], destinations: Iterable[str]) -> str | None:
    """Where an execution that has ended did not copy to, of these destinations, and why; ``None`` if it did to all."""
    if record.get("problem"):
        return str(record["problem"])
    results = {result["destinationBucket"]: result for result in record.get("copyResults", [])}
    missing = [bucket for bucket in destinations if bucket not in record.get("successfulBuckets", [])]
    reasons = [
        ": ".join(
            [bucket, *(results[bucket][part] for part in ("error", "cause") if results.get(bucket, {}).get(part))]
        )
        for bucket in missing
    ]
    return "; ".join(reasons) or None


def _listed(key: str, head: Mapping[str, Any]) -> Listed:
    return Listed(key, head["ContentLength"], head["ETag"].strip('"'), head["LastModified"])
