"""The tracking record of a file and the items of its arrivals: their keys and times, and writes on a condition."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from . import clients
from .text import iso


def key_of(file_key: str, source_bucket: str) -> dict[str, Any]:
    return {"fileKey": {"S": file_key}, "sourceBucket": {"S": source_bucket}}


def arrival_key(file_key: str, source_bucket: str, destination: str) -> dict[str, Any]:
    """The key of the item for a copy that arrived: beside the record, so that one query reads both. No bucket's name
    has a "#".
    """
    return key_of(file_key, f"{source_bucket}#{destination}")


def now() -> str:
    """The current time as records have it."""
    return iso(datetime.now(UTC))


def expiry(retention_days: int) -> dict[str, Any]:
    """The attribute by which DynamoDB deletes an item after so many days; none for 0 days, which keeps it forever."""
    return {"expiresAt": {"N": str(int(time.time()) + retention_days * 24 * 3600)}} if retention_days else {}


class Update(NamedTuple):
    """The outcome of an update, and the record before it; empty if there was none."""

    is_done: bool
    record: dict[str, Any]


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
        answer = clients.dynamodb(region).update_item(
            TableName=table_name,
            Key=key,
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            **aliases,
            ReturnValues="ALL_OLD",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        if not _is_condition_failure(error):
            raise
        response: dict[str, Any] = {**error.response}
        return Update(is_done=False, record=response.get("Item", {}))
    return Update(is_done=True, record=answer.get("Attributes", {}))


def put_if(
    condition: str, *, table_name: str, item: dict[str, Any], values: dict[str, Any], region: str | None = None
) -> bool:
    """Writes an item, in the place of the one with its key, if ``condition`` holds for that one.

    Args:
        region: the table's region; the default is the function's own.
    """
    try:
        clients.dynamodb(region).put_item(
            TableName=table_name, Item=item, ConditionExpression=condition, ExpressionAttributeValues=values
        )
    except ClientError as error:
        if not _is_condition_failure(error):
            raise
        return False
    return True


def _is_condition_failure(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"
