"""Tracking records: what the table keeps of each file. docs/architecture.md lists the attributes of an item.

A file has one item, its record, and one beside it for each copy that arrived. The sort key of an arrival is the source
bucket, "#" and the destination. :func:`read_record_and_arrivals` puts the arrivals into the record, as ``arrivals``.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer

from components.names import STATUS_INDEX

if TYPE_CHECKING:
    from .stack import Stack

IN_PROGRESS = "IN_PROGRESS"
# The file's only execution so far was for an older version, so it copied nothing.
SUPERSEDED = "SUPERSEDED"
STATUSES = (IN_PROGRESS, "COMPLETED", "PARTIAL_FAILURE", "FAILED")
"""Those that are listed."""

# The attributes of an arrival that say which copy it is of, and how long it is kept.
_ARRIVAL_KEYS = ("fileKey", "sourceBucket", "destinationBucket", "executionId", "expiresAt")

# DynamoDB API reference, BatchGetItem: at most 100 items and 16 MB.
MAX_KEYS = 100


@dataclass(frozen=True)
class Part:
    """The copied part of a large file, and its size, both in bytes."""

    copied: int
    total: int

    @property
    def percent(self) -> int:
        """Rounded down, so that it is 100 only when everything is copied."""
        return self.copied * 100 // self.total if self.total else 0


@dataclass(frozen=True)
class CopyResult:
    """The result of one copy, as the workflow wrote it."""

    bucket: str
    is_copied: bool
    ended: datetime | None = None
    etag: str | None = None
    version_id: str | None = None
    check: str | None = None
    """The check that verified the copy: the name of a checksum, ``ETag`` or ``none``."""
    error: str | None = None
    cause: str | None = None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> CopyResult:
        """Read a member of ``copyResults``."""
        return cls(
            bucket=str(item.get("destinationBucket", "")),
            is_copied=item.get("success") is True,
            ended=parse_time(item.get("timestamp")),
            etag=_text(item.get("etag")),
            version_id=_text(item.get("versionId")),
            check=_text(item.get("check")),
            error=_text(item.get("error")),
            cause=_text(item.get("cause")),
        )


@dataclass(frozen=True)
class Arrival:
    """A copy as regional-sync found it in the destination."""

    is_verified: bool
    check: str | None = None
    """The values that were compared: ``ETag``, ``checksum`` or ``size``."""
    size: int | None = None
    """Bytes."""
    etag: str | None = None
    version_id: str | None = None
    arrived: datetime | None = None
    problem: str | None = None
    item: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The member of ``arrivals`` that this was read from."""

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Arrival:
        """Read a member of ``arrivals``."""
        return cls(
            is_verified=item.get("verified") is True,
            check=_text(item.get("check")),
            size=_integer(item.get("size")),
            etag=_text(item.get("etag")),
            version_id=_text(item.get("versionId")),
            arrived=parse_time(item.get("arrivedAt")),
            problem=_text(item.get("problem")),
            item=item,
        )


@dataclass(frozen=True)
class TrackingRecord:
    """The tracking record of a file.

    A record may be written halfway, may be of an older program, or may come from the index, which has only some
    attributes. So everything but the key can be missing: then it is ``None`` or empty.
    """

    key: str
    source_bucket: str
    status: str | None = None
    """One of STATUSES, or SUPERSEDED. An older program left a record without one while its first execution began."""
    execution_arn: str | None = None
    version_id: str | None = None
    etag: str | None = None
    size: int | None = None
    """Bytes."""
    started: datetime | None = None
    completed: datetime | None = None
    problem: str | None = None
    destinations: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    """The destinations that have a copy."""
    failed: tuple[str, ...] = ()
    """The destinations whose copy failed."""
    copied_count: int | None = None
    total_count: int | None = None
    results: Mapping[str, CopyResult] = field(default_factory=dict)
    """By destination."""
    arrivals: Mapping[str, Arrival] = field(default_factory=dict)
    """By destination."""
    uploads: Mapping[str, Part] = field(default_factory=dict)
    """The copies that copy-worker is making of this version of the file, by destination."""
    lease_expires: float = 0
    """Epoch seconds. In the past, or 0, when no execution has the lease."""
    has_counts: bool = False
    """The results of the execution are written."""
    item: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The item that this was read from, in Python's types."""

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> TrackingRecord:
        """Read an item of the table or of its index, in Python's types."""
        status = _text(item.get("status"))
        version_id, etag = _text(item.get("sourceVersionId")), _text(item.get("sourceETag"))
        results = [CopyResult.of(result) for result in item.get("copyResults") or [] if "success" in result]
        return cls(
            key=str(item.get("fileKey", "")),
            source_bucket=str(item.get("sourceBucket", "")),
            status=status,
            execution_arn=_text(item.get("executionId")),
            version_id=version_id,
            etag=etag,
            size=_integer(item.get("sourceSize")),
            started=parse_time(item.get("startTime")),
            completed=parse_time(item.get("completedAt")),
            problem=_text(item.get("problem")),
            destinations=_texts(item.get("destinationBuckets")),
            copied=_texts(item.get("successfulBuckets")),
            failed=_texts(item.get("failedBuckets")),
            copied_count=_integer(item.get("successfulCopies")),
            total_count=_integer(item.get("totalBuckets")),
            results={result.bucket: result for result in results},
            arrivals={bucket: Arrival.of(arrival) for bucket, arrival in (item.get("arrivals") or {}).items()},
            uploads={
                bucket: Part(_integer(upload.get("copiedBytes")) or 0, _integer(upload.get("totalBytes")) or 0)
                for bucket, upload in (item.get("uploads") or {}).items()
                if status == IN_PROGRESS and upload.get("of") == (version_id or etag)
            },
            lease_expires=float(item.get("leaseExpiresAt") or 0),
            has_counts="failedCopies" in item,
            item=item,
        )

    @property
    def is_over(self) -> bool:
        """The execution of the record has ended, and has written it."""
        return self.status not in (None, IN_PROGRESS, SUPERSEDED)

    @property
    def took(self) -> float | None:
        """Seconds."""
        return (self.completed - self.started).total_seconds() if self.started and self.completed else None

    def is_of(self, execution_arn: str) -> bool:
        """Return true if the record describes this execution."""
        return self.execution_arn == execution_arn


def read_record(stack: Stack, key: str) -> TrackingRecord | None:
    """Read the record of a file in the stack's source bucket, without arrivals; ``None`` if it does not exist."""
    item = (
        stack.clients("dynamodb")
        .get_item(
            TableName=stack.table,
            Key={"fileKey": {"S": key}, "sourceBucket": {"S": stack.source_bucket}},
            ConsistentRead=True,
        )
        .get("Item")
    )
    return TrackingRecord.of(_in_pythons_types(item)) if item else None


def read_record_and_arrivals(stack: Stack, key: str) -> TrackingRecord | None:
    """Read the record of a file in the stack's source bucket, with the arrivals of its copies; ``None`` if there is no
    record.
    """
    bucket = stack.source_bucket
    pages = (
        stack.clients("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=stack.table,
            # "~" comes after each letter of a bucket's name, and "-" and "." of other names come after "#".
            KeyConditionExpression="fileKey = :key AND sourceBucket BETWEEN :record AND :lastArrival",
            ExpressionAttributeValues={
                ":key": {"S": key},
                ":record": {"S": bucket},
                ":lastArrival": {"S": f"{bucket}#~"},
            },
            ConsistentRead=True,
        )
    )
    items = [_in_pythons_types(item) for page in pages for item in page["Items"]]
    if not items or items[0]["sourceBucket"] != bucket:
        return None
    record, *arrivals = items
    found = {
        _destination(arrival): {name: value for name, value in arrival.items() if name not in _ARRIVAL_KEYS}
        for arrival in arrivals
        if _is_recorded(record, arrival)
    }
    # An older program wrote arrivals into the record itself.
    return TrackingRecord.of({**record, "arrivals": {**(record.get("arrivals") or {}), **found}})


def _destination(arrival: Mapping[str, Any]) -> str:
    return str(arrival["sourceBucket"]).partition("#")[2]


def _is_recorded(record: Mapping[str, Any], arrival: Mapping[str, Any]) -> bool:
    """Return true if an arrival is the copy that the record is about: by the copy's version if both have one, or else
    by the execution. An earlier execution may have made a copy that the record keeps.
    """
    results = {result.get("destinationBucket"): result for result in record.get("copyResults") or ()}
    sent = results.get(_destination(arrival), {}).get("versionId")
    arrived = arrival.get("versionId")
    if sent and arrived:
        return bool(sent == arrived)
    return arrival.get("executionId") == record.get("executionId")


def read_records(stack: Stack, keys: Sequence[str]) -> dict[str, TrackingRecord | None]:
    """Read the records of several files in the stack's source bucket, without arrivals, with one request.

    Args:
        keys: MAX_KEYS at most, without duplicates. One key needs only the permission dynamodb:GetItem.

    Returns:
        The record of each key, ``None`` if there is none. A key that DynamoDB left for another request, because the
        answer was too large or the table is throttled, is missing.
    """
    if len(keys) == 1:
        return {key: read_record(stack, key) for key in keys}
    items = [{"fileKey": {"S": key}, "sourceBucket": {"S": stack.source_bucket}} for key in keys]
    answer = stack.clients("dynamodb").batch_get_item(
        RequestItems={stack.table: {"Keys": items, "ConsistentRead": True}}
    )
    records: dict[str, TrackingRecord | None] = dict.fromkeys(keys)
    for left in answer.get("UnprocessedKeys", {}).get(stack.table, {}).get("Keys", []):
        del records[left["fileKey"]["S"]]
    for item in answer["Responses"].get(stack.table, []):
        record = TrackingRecord.of(_in_pythons_types(item))
        records[record.key] = record
    return records


def list_records(
    stack: Stack, *, statuses: Sequence[str] = STATUSES, since: str | None = None
) -> Iterator[TrackingRecord]:
    """List the records with these statuses, the latest first. Only the table's index is read.

    Args:
        since: only records that started at this time or later; ISO 8601, UTC.

    Yields:
        Records with the attributes of the index: keys, status, times, execution and counts.
    """
    queries = [_records_with_status(stack, status, since) for status in statuses]
    return heapq.merge(*queries, key=lambda record: str(record.item.get("startTime", "")), reverse=True)


def _records_with_status(stack: Stack, status: str, since: str | None) -> Iterator[TrackingRecord]:
    for page in stack.clients("dynamodb").get_paginator("query").paginate(**_query(stack, status, since)):
        for item in page["Items"]:
            yield TrackingRecord.of(_in_pythons_types(item))


def _query(stack: Stack, status: str, since: str | None) -> dict[str, Any]:
    """The query of the table's index for the records with a status, the latest first."""
    return {
        "TableName": stack.table,
        "IndexName": STATUS_INDEX,
        "KeyConditionExpression": "#status = :status" + (" AND startTime >= :since" if since else ""),
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":status": {"S": status}, **({":since": {"S": since}} if since else {})},
        "ScanIndexForward": False,
    }


def read_page(
    stack: Stack, status: str, count: int, *, since: str | None = None, after: Mapping[str, str] | None = None
) -> list[TrackingRecord]:
    """Read some records with this status from the table's index, the latest first, with one request.

    Args:
        count: at most this many.
        since: only records that started at this time or later; ISO 8601, UTC.
        after: only those after this one, which :func:`place_of` returned for a record of the page before.
    """
    query = _query(stack, status, since)
    start = {"ExclusiveStartKey": {name: {"S": value} for name, value in after.items()}} if after else {}
    answer = stack.clients("dynamodb").query(**query, **start, Limit=count)
    return [TrackingRecord.of(_in_pythons_types(item)) for item in answer["Items"]]


def place_of(record: TrackingRecord) -> dict[str, str]:
    """The place of a record in the index."""
    return {name: str(record.item[name]) for name in ("status", "startTime", "fileKey", "sourceBucket")}


def parse_time(text: object) -> datetime | None:
    """Read a time in ISO 8601, in UTC if it has no zone; ``None`` if it is not one."""
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)


def _in_pythons_types(item: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = TypeDeserializer().deserialize({"M": item})
    return record


def _text(value: object) -> str | None:
    return str(value) if value not in (None, "") else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(text) for text in value) if isinstance(value, (list, tuple, set)) else ()


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float, Decimal)) else None
