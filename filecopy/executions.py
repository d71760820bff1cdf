"""Reads the history of an execution."""

from __future__ import annotations

from typing import Any


def history(client: Any, execution_arn: str) -> list[dict[str, Any]]:
    """Every event of the execution so far, oldest first."""
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    return [event for page in pages for event in page["events"]]
