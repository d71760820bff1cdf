"""Dead letters: the events that could not be processed, with the reason from the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from components import outputs
from components.names import DEAD_LETTERS_SUFFIX
from filecopy.executions.inputs import parse_object
from filecopy.stack.stack import Stack

from .reader import NotFoundError, Part, Reader, part

# The functions that read the queues, by the queue's kind.
FUNCTIONS = {
    "uploads": "replication-worker",
    "arrivals": "regional-sync",
    "endings": "execution-watcher",
    "notifications": "notification-digest",
}

# SQS returns ten messages at most, and some are returned again.
_RECEIVES = 3


@dataclass(frozen=True)
class Queue:
    """A queue of events. ``waiting`` are not processed yet; ``dead_letters`` could not be processed."""

    name: str
    waiting: int
    dead_letters: int
    oldest: datetime | None
    """When the oldest dead letter was sent, of those that were looked at."""


@dataclass(frozen=True)
class Letter:
    """A dead letter. ``why`` is empty if the log does not have it."""

    message_id: str
    sent: datetime | None
    about: str
    body: str
    why: str


def queues(reader: Reader) -> list[Queue]:
    """Count the messages of every queue."""
    found = []
    for name, url in reader.stack.outputs.get(outputs.DEAD_LETTER_QUEUE_URLS, {}).items():
        sqs = reader.stack.clients.in_region(reader.stack.region_of(name))("sqs")
        waiting, dead = (
            int(
                sqs.get_queue_attributes(QueueUrl=each, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"][
                    "ApproximateNumberOfMessages"
                ]
            )
            for each in (url.removesuffix(DEAD_LETTERS_SUFFIX), url)
        )
        times = [time for message in _peek(sqs, url, 1) if (time := _sent(message))] if dead else []
        found.append(Queue(name, waiting, dead, min(times, default=None)))
    return found


def _peek(sqs: Any, url: str, receives: int) -> Iterator[dict[str, Any]]:
    """Look at some messages, and leave them in their queue."""
    found = set[str]()
    for _ in range(receives):
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            # They stay visible for the next receive, such as that of a replay.
            VisibilityTimeout=0,
            AttributeNames=["SentTimestamp"],
        )
        new = [message for message in answer.get("Messages", []) if message["MessageId"] not in found]
        found |= {message["MessageId"] for message in new}
        yield from new
        if not new:
            return


def _sent(message: dict[str, Any]) -> datetime | None:
    sent = message.get("Attributes", {}).get("SentTimestamp")
    return datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else None


def dead_letters(reader: Reader, query: dict[str, str]) -> dict[str, Any]:
    """Read the page: every queue, and the dead letters of one.

    Raises:
        NotFoundError: there is no such queue.
    """
    name = query.get("queue")
    names = list(reader.stack.outputs.get(outputs.DEAD_LETTER_QUEUE_URLS, {}))
    if name is not None and name not in names:
        raise NotFoundError(f"There is no such queue. The queues are {', '.join(names)}.")
    found = part(lambda: reader.recent("queues", lambda: queues(reader)))
    letters: Part[list[Letter]] | None = None
    if name is not None:
        letters = part(lambda: reader.recent(("letters", name), lambda: list(_letters(reader.stack, name))))
    return {"queues": found, "queue": name, "letters": letters, "most": _RECEIVES * 10}


def _letters(stack: Stack, queue: str) -> Iterator[Letter]:
    """Look at some dead letters, and leave them in their queue."""
    clients = stack.clients.in_region(stack.region_of(queue))
    url = stack.output(outputs.DEAD_LETTER_QUEUE_URLS)[queue]
    for message in _peek(clients("sqs"), url, _RECEIVES):
        sent = _sent(message)
        yield Letter(
            message_id=message["MessageId"],
            sent=sent,
            about=_about(message["Body"]),
            body=message["Body"],
            why=_why(clients, stack, queue, message["MessageId"], sent),
        )


def _about(body: str) -> str:
    """The file that an event is about, if it has one."""
    event = parse_object(body)
    records = event.get("Records")
    record = records[0] if isinstance(records, list) and records and isinstance(records[0], dict) else {}
    try:
        return str(record["s3"]["object"]["key"])
    except (KeyError, TypeError):
        detail = event.get("detail")
        return str(detail.get("name", "")) if isinstance(detail, dict) else ""


def _why(clients: Any, stack: Stack, queue: str, message_id: str, sent: datetime | None) -> str:
    """The error of the function that could not process a message, from its log."""
    kind = next((kind for kind in FUNCTIONS if queue.startswith(kind)), "")
    arn = stack.outputs.get(outputs.LAMBDA_FUNCTIONS, {}).get(queue.replace(kind, FUNCTIONS.get(kind, ""), 1), "")
    if not arn:
        return ""
    since = sent or datetime.now(UTC) - timedelta(days=14)
    answer = part(
        lambda: clients("logs").filter_log_events(
            logGroupName=f"/aws/lambda/{arn.rpartition(':')[2]}",
            filterPattern=json.dumps(message_id),
            startTime=int(since.timestamp() * 1000),
            limit=10,
        )
    )
    lines = [parse_object(event["message"]) for event in (answer.value or {}).get("events", [])]
    line = next((line for line in reversed(lines) if "error" in line), None)
    return answer.problem or (str(line["error"]) if line else "")
