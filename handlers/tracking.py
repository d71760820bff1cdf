"""The tracking record of a file: its key, its times, and updates on a condition."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from . import clients


def key_of(file_key: str, source_bucket: str) -> dict[str, Any]:
    return {"fileKey": {"S": file_key}, "sourceBucket": {"S": source_bucket}}


def now() -> str:
    """The current time as records have it: ISO 8601, UTC, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Update(NamedTuple):
    """The outcome of an update. If the condition failed, ``left_alone`` is the record as it is; it may be empty."""

    is_done: bool
    left_alone: dict[str, Any]


def update_if(
    condition: str,
    *,
    table_name: str,
    key: dict[str, Any],
    update: str,
    values: dict[str, Any],
    names: dict[str, str] | None = None,
    region: str | None = None,
) -> Update:
    """Updates the record if ``condition`` holds.

    Args:
        region: the table's region; the default is the function's own.
    """
    # DynamoDB refuses an empty map of names.
    aliases: Any = {"ExpressionAttributeNames": names} if names else {}
    try:
        clients.dynamodb(region).update_item(
            TableName=table_name,
            Key=key,
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            **aliases,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            response: dict[str, Any] = {**error.response}
            return Update(is_done=False, left_alone=response.get("Item", {}))
        raise
    return Update(is_done=True, left_alone={})
