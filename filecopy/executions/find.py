"""Reads what Step Functions knows of an execution."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError


def describe(client: Any, execution_arn: str) -> dict[str, Any] | None:
    """What DescribeExecution answers; ``None`` where there is no such execution, as 90 days after its end."""
    try:
        described: dict[str, Any] = client.describe_execution(executionArn=execution_arn)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ExecutionDoesNotExist", "InvalidArn"):
            return None
        raise
    return described


def history(client: Any, execution_arn: str) -> list[dict[str, Any]]:
    """Every event of the execution so far, oldest first."""
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    return [event for page in pages for event in page["events"]]
