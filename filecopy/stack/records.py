"""Reads tracking records."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from components.names import STATUS_INDEX
from components.outputs import DYNAMODB_TABLE_NAME, SOURCE_BUCKET

STATUSES = ("IN_PROGRESS", "COMPLETED", "PARTIAL_FAILURE", "FAILED")


@dataclass(frozen=True)
class Part:
    """How much of a large file is copied to a destination, in bytes."""

    copied: int
    total: int

    @property
    def percent(self) -> int:
        """Whole ones, so that it is 100 when all is copied and not before."""
        return self.copied * 100 // self.total


def list_records(
    dynamodb: Any, outputs: Mapping[str, Any], *, statuses: Sequence[str] = STATUSES, since: str | None = None
) -> Iterator[dict[str, Any]]:
    """The records with these statuses, the latest first, from the table's index: nothing else is read.

    Args:
        dynamodb: a boto3 client.
        since: only those that started at this time or later; ISO 8601, UTC.

    Yields:
        What the index holds of a record: its keys, ``status``, ``startTime``, ``completedAt``, ``executionId``, counts.
    """

    def with_status(status: str) -> Iterator[dict[str, Any]]:
        condition = "#status = :status" + (" AND startTime >= :since" if since else "")
        values = {":status": {"S": status}, **({":since": {"S": since}} if since else {})}
        pages = dynamodb.get_paginator("query").paginate(
            TableName=outputs[DYNAMODB_TABLE_NAME],
            IndexName=STATUS_INDEX,
            KeyConditionExpression=condition,
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
        )
        for page in pages:
            for item in page["Items"]:
                yield TypeDeserializer().deserialize({"M": item})

    return heapq.merge(*map(with_status, statuses), key=lambda record: record["startTime"], reverse=True)


def read_record(dynamodb: Any, outputs: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """The record of ``key`` in the stack's source bucket, in Python's types; ``None`` where there is none.

    Args:
        dynamodb: a boto3 client.
        outputs: of the stack.
    """
    item = dynamodb.get_item(
        TableName=outputs[DYNAMODB_TABLE_NAME],
        Key={"fileKey": {"S": key}, "sourceBucket": {"S": outputs[SOURCE_BUCKET]}},
        ConsistentRead=True,
    ).get("Item")
    record: dict[str, Any] | None = TypeDeserializer().deserialize({"M": item}) if item else None
    return record


def under_way(record: Mapping[str, Any]) -> dict[str, Part]:
    """The copies that copy-worker is at, by destination. What it has begun of an older version is not among them."""
    version = record.get("sourceVersionId") or record.get("sourceETag")
    return {
        bucket: Part(int(noted["copiedBytes"]), int(noted["totalBytes"]))
        for bucket, noted in record.get("uploads", {}).items()
        if record.get("status") == "IN_PROGRESS" and noted["of"] == version
    }
