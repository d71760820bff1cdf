"""SQS batches with partial failures: a message that fails does not send the others back to the queue."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from . import log

# Seconds in which messages are begun. Lambda ends the functions that read queues after 30 s or more, and a call that
# hangs takes ten (the read timeout in clients.py). If Lambda ends a function, all its messages come back, also those
# that it has handled.
_TIME_TO_BEGIN = 15.0


def process(event: dict[str, Any], handle: Callable[[str], None]) -> dict[str, list[dict[str, str]]]:
    """Calls ``handle`` with the body of each message of ``event``.

    Returns:
        The IDs of the messages that failed, or that there was no time to begin, as Lambda takes them. These go back to
        the queue, and after some receives move to its dead-letter queue. The log says why for each.
    """
    failures = []
    end = monotonic() + _TIME_TO_BEGIN
    for message in event["Records"]:
        log.about()
        if monotonic() > end:
            log.error("Message not begun: no time left", messageId=message["messageId"])
            failures.append({"itemIdentifier": message["messageId"]})
            continue
        try:
            handle(message["body"])
        except Exception as error:  # noqa: BLE001 - any error sends only this message back
            log.error("Message failed", error, messageId=message["messageId"])
            failures.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failures}
