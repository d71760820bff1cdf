"""SQS batches with partial failures: a message that fails does not send the others back to the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import log


def process(event: dict[str, Any], handle: Callable[[str], None]) -> dict[str, list[dict[str, str]]]:
    """Calls ``handle`` with the body of each message of ``event``.

    Returns:
        The IDs of the messages that failed, as Lambda takes them. These go back to the queue, and after some receives
        move to its dead-letter queue. The log has the error of each.
    """
    failures = []
    for message in event["Records"]:
        log.about()
        try:
            handle(message["body"])
        except Exception as error:  # noqa: BLE001 - any error sends only this message back
            log.error("Message failed", error, messageId=message["messageId"])
            failures.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failures}
