"""SQS batches with partial failures: one bad message does not send its neighbours back to the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import log


def process(event: dict[str, Any], handle: Callable[[str], None]) -> dict[str, list[dict[str, str]]]:
    """Calls ``handle`` with the body of every message of ``event``.

    Returns:
        What Lambda takes as the ids of the messages that failed. They go back to the queue, and after some
        receives to its dead-letter queue; why each failed is in the logs.
    """
    failures = []
    for message in event["Records"]:
        log.about()
        try:
            handle(message["body"])
        except Exception as error:  # noqa: BLE001 - whatever it is, only this message goes back
            log.error("Message failed", error, messageId=message["messageId"])
            failures.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failures}
