"""SQS in memory: standard queues, which deliver at least once, in any order.

Developer guide of Amazon SQS: "Visibility timeout", "Dead-letter queues", "At-least-once delivery".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from .service import Answer, Arguments, RefusedError, Service, operation

MAX_BATCH = 10
MAX_MESSAGE_BYTES = 1024 * 1024


@dataclass(kw_only=True)
class Message:
    """A message in a queue."""

    id: str
    body: str
    sent: float
    visible_at: float
    receive_count: int = 0
    receipt: str | None = None
    """That of the last receive."""


@dataclass(kw_only=True)
class Queue:
    """A queue and its settings."""

    visibility_timeout: float = 30
    retention: float = 4 * 24 * 3600
    """Seconds."""
    dead_letters: str | None = None
    """The name of the dead-letter queue."""
    max_receive_count: int = 5
    messages: list[Message] = field(default_factory=list)
    sent: int = 0
    """How many messages were sent to it."""

    def message(self, receipt: str) -> Message | None:
        return next((message for message in self.messages if message.receipt == receipt), None)


class SQS(Service):
    """The queues of one region, by name. A queue's URL ends with its name."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.queues: dict[str, Queue] = {}

    # --- What a scheduler does

    def visible(self, name: str) -> list[Message]:
        """The messages that can be received now, the oldest first."""
        return [message for message in self.queues[name].messages if message.visible_at <= self._now()]

    def receive(self, name: str, ids: Iterable[str]) -> list[Message]:
        """Receives these messages, which may still be hidden: a standard queue may deliver a message twice. Those that
        were received too often move to the dead-letter queue instead.
        """
        queue, received = self.queues[name], []
        for wanted in ids:
            message = next((message for message in queue.messages if message.id == wanted), None)
            if message is None:
                continue
            if queue.dead_letters and message.receive_count >= queue.max_receive_count:
                queue.messages.remove(message)
                # A dead letter keeps the time when it was sent.
                dead = replace(message, receive_count=0, receipt=None, visible_at=self._now())
                self.queues[queue.dead_letters].messages.append(dead)
                continue
            message.receive_count += 1
            message.receipt = f"receipt.{message.id}.{message.receive_count}"
            message.visible_at = self._now() + queue.visibility_timeout
            received.append(message)
        return received

    def drop_expired(self, name: str) -> list[Message]:
        """Deletes the messages that are older than the queue keeps them."""
        queue = self.queues[name]
        expired = [message for message in queue.messages if message.sent + queue.retention < self._now()]
        queue.messages = [message for message in queue.messages if message not in expired]
        return expired

    # --- Operations

    @operation("SendMessage", "QueueUrl MessageBody DelaySeconds")
    def send_message(self, arguments: Arguments) -> Answer:
        name, queue, body = _name(arguments), self._queue(arguments), arguments["MessageBody"]
        if not body:
            raise RefusedError("MissingParameter", "The request must contain the parameter MessageBody.")
        if len(body.encode()) > MAX_MESSAGE_BYTES:
            raise RefusedError(
                "InvalidParameterValue",
                f"One or more parameters are invalid. Reason: Message must be shorter than {MAX_MESSAGE_BYTES} bytes.",
            )
        queue.sent += 1
        visible_at = self._now() + arguments.get("DelaySeconds", 0)
        message = Message(id=f"message.{name}.{queue.sent}", body=body, sent=self._now(), visible_at=visible_at)
        queue.messages.append(message)
        return {"MessageId": message.id}

    @operation("ReceiveMessage", "QueueUrl MaxNumberOfMessages WaitTimeSeconds")
    def receive_message(self, arguments: Arguments) -> Answer:
        """The oldest messages, without waiting for others. A real queue may choose others."""
        name = _name(arguments)
        self._queue(arguments)
        number = arguments.get("MaxNumberOfMessages", 1)
        if not 1 <= number <= MAX_BATCH:
            raise RefusedError(
                "InvalidParameterValue",
                f"Value {number} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and "
                f"{MAX_BATCH}, if provided.",
            )
        received = self.receive(name, [message.id for message in self.visible(name)[:number]])
        return {"Messages": [_shown(message) for message in received]} if received else {}

    @operation("DeleteMessage", "QueueUrl ReceiptHandle")
    def delete_message(self, arguments: Arguments) -> Answer:
        """A receipt of an earlier receive deletes nothing, and is no error."""
        queue = self._queue(arguments)
        if (message := queue.message(arguments["ReceiptHandle"])) is not None:
            queue.messages.remove(message)
        return {}

    @operation("DeleteMessageBatch", "QueueUrl Entries")
    def delete_message_batch(self, arguments: Arguments) -> Answer:
        entries = arguments["Entries"]
        if not 1 <= len(entries) <= MAX_BATCH:
            raise RefusedError("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", f"{len(entries)} entries.")
        for entry in entries:
            self.delete_message({"QueueUrl": arguments["QueueUrl"], "ReceiptHandle": entry["ReceiptHandle"]})
        return {"Successful": [{"Id": entry["Id"]} for entry in entries]}

    @operation("ChangeMessageVisibility", "QueueUrl ReceiptHandle VisibilityTimeout")
    def change_message_visibility(self, arguments: Arguments) -> Answer:
        message = self._queue(arguments).message(arguments["ReceiptHandle"])
        if message is None:
            raise RefusedError("InvalidParameterValue", "The receipt handle has expired or is not valid.")
        message.visible_at = self._now() + arguments["VisibilityTimeout"]
        return {}

    def _queue(self, arguments: Arguments) -> Queue:
        try:
            return self.queues[_name(arguments)]
        except KeyError:
            raise RefusedError(
                "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist."
            ) from None


def _name(arguments: Arguments) -> str:
    return str(arguments["QueueUrl"]).rpartition("/")[2]


def _shown(message: Message) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "Body": message.body,
        "Attributes": {
            "ApproximateReceiveCount": str(message.receive_count),
            "SentTimestamp": str(int(message.sent * 1000)),
        },
    }


def lambda_record(message: Message, arn: str) -> dict[str, Any]:
    """The message as Lambda gives it to a function: Lambda developer guide, "Example Amazon SQS message event"."""
    shown = _shown(message)
    return {
        "messageId": message.id,
        "receiptHandle": shown["ReceiptHandle"],
        "body": message.body,
        "attributes": shown["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": arn.split(":")[3],
    }
