"""Reads tracking records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from components.outputs import DYNAMODB_TABLE_NAME, SOURCE_BUCKET


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
