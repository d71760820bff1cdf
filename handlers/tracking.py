"""The tracking record of a file: its key, its times, and writes that leave alone what has become another's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from . import clients


def key_of(file_key: str, source_bucket: str) -> dict[str, Any]:
    return {"fileKey": {"S": file_key}, "sourceBucket": {"S": source_bucket}}


def now() -> str:
    """The time as records have it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def update_if(
    condition: str, *, table_name: str, key: dict[str, Any], update: str, names: dict[str, str], values: dict[str, Any]
) -> bool:
    """Updates the record where ``condition`` holds. Returns whether it did."""
    try:
        clients.dynamodb().update_item(
            TableName=table_name,
            Key=key,
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return False
        raise
    return True
