"""Follows an execution while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StateEntered:
    """A state that an execution has entered, in the order of its history."""

    event_id: int
    name: str


def history(client: Any, execution_arn: str) -> list[dict[str, Any]]:
    """Every event of the execution so far, oldest first."""
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    return [event for page in pages for event in page["events"]]


def states_entered(client: Any, execution_arn: str, after: int = 0) -> list[StateEntered]:
    """The states entered since the event ``after``. What is inside a Map is left to what it produces."""
    return [
        StateEntered(event["id"], event["stateEnteredEventDetails"]["name"])
        for event in history(client, execution_arn)
        if event["id"] > after and "stateEnteredEventDetails" in event
    ]
