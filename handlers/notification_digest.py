"""Sends people all notifications of a minute as one message, because SNS suspends an e-mail subscription that gets more
than ten messages a second.

EventBridge calls it once a minute, and a call publishes at most one message. Lambda repeats a call that failed or was
throttled, and may make up for many at once. So a call that is older than a minute does nothing: the next one does all.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import clients, log, text
from .environment import Variables

NAMESPACE = "FileCopyWorkflow"

# Seconds between two calls.
_INTERVAL = 60
# Seconds in which a call receives messages. What is left over waits for the next call.
_RECEIVE_FOR = 10
# SQS API reference, ReceiveMessage and DeleteMessageBatch.
_BATCH = 10
# Notifications that are shown in full, and their bytes. SNS allows 256 KiB; the counts need less than 32.
_SHOWN = 10
_SHOWN_BYTES = 200_000
# Lines of counts. With the longest bucket name and error, a line has less than 150 bytes.
_COUNTED = 100

# A failed copy in a message of the workflow: the bucket, and the name of the error.
_FAILED_COPY = re.compile(r"^  ❌ (\S{3,63}: [^\s:]{1,60}):", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Environment(Variables):
    """Environment variables, by their names in lower case."""

    queue_url: str
    topic_arn: str
    subscriptions: int
    """The number of addresses in the settings. Each has a subscription, which its owner has to confirm."""
    state_machine: str
    """The name, which distinguishes the metrics of two stacks."""


@dataclass(kw_only=True)
class Digest:
    """The message that people get about some notifications."""

    count: int = 0
    shown: list[tuple[str, str]] = field(default_factory=list)
    """The subjects and messages of the first ones."""
    shown_bytes: int = 0
    copies: Counter[str] = field(default_factory=Counter)
    """Failed copies by bucket and error."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Notifications by the first words of their subjects."""

    def add(self, body: str) -> None:
        """
        Args:
            body: the message that SNS sent to the queue.

        Raises:
            KeyError, TypeError, ValueError: it is not a notification.
        """
        notification = json.loads(body)
        subject, message = text.required(notification["Subject"]), text.required(notification["Message"])
        self.count += 1
        self.kinds[subject.partition(": ")[0]] += 1
        self.copies.update(_FAILED_COPY.findall(message))
        size = len(message.encode())
        if self.count == 1 or (len(self.shown) < _SHOWN and self.shown_bytes + size <= _SHOWN_BYTES):
            self.shown.append((subject, message))
            self.shown_bytes += size

    @property
    def subject(self) -> str:
        return self.shown[0][0] if self.count == 1 else f"{self.count:,} notifications of file copies"

    @property
    def message(self) -> str:
        """The notification itself if there is only one."""
        if self.count == 1:
            return self.shown[0][1]
        parts = [f"🚨 {self.count:,} notifications of file copies\n\nThe first {len(self.shown)} in full:\n"]
        parts += [f"\n────────\n{subject}\n\n{message}" for subject, message in self.shown]
        parts.append(f"\n────────\nAll {self.count:,} by kind:\n{_lines(self.kinds)}")
        if self.copies:
            parts.append(f"\nFailed copies by bucket and error:\n{_lines(self.copies)}")
        parts.append("\n🔎 All files: filecopy list --status FAILED --status PARTIAL_FAILURE\n")
        return "".join(parts)


def _lines(counts: Counter[str]) -> str:
    lines = [f"  {name}: {count:,}\n" for name, count in counts.most_common(_COUNTED)]
    more = len(counts) - _COUNTED
    return "".join(lines) + (f"  … and {more:,} more\n" if more > 0 else "")


def handler(event: dict[str, Any], _context: object) -> None:
    """Publishes one message about all that is in the queue.

    Args:
        event: EventBridge's "Scheduled Event", of which only ``time`` is read.
    """
    log.about()
    if time.time() - datetime.fromisoformat(event["time"]).timestamp() > _INTERVAL:
        log.info("Call is too old")
        return
    digest, receipts = _receive()
    if digest.count:
        clients.sns().publish(
            TopicArn=Environment.read().topic_arn, Subject=text.subject(digest.subject), Message=digest.message
        )
        _delete(receipts)
        log.info("Digest sent", notifications=digest.count)
    _check_subscriptions()


def _receive() -> tuple[Digest, list[str]]:
    """A digest of the messages in the queue, and their receipts. A message that is no notification stays in the queue,
    and moves to the dead-letter queue.
    """
    digest, receipts, deadline = Digest(), list[str](), time.monotonic() + _RECEIVE_FOR
    while time.monotonic() < deadline:
        # Waiting makes SQS ask all its servers. Without it, SQS may miss the few messages that there are.
        received = clients.sqs().receive_message(
            QueueUrl=Environment.read().queue_url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=1
        )
        messages = received.get("Messages", [])
        if not messages:
            break
        for message in messages:
            try:
                digest.add(message["Body"])
            except (KeyError, TypeError, ValueError) as error:
                log.error("Message failed", error, messageId=message["MessageId"])
            else:
                receipts.append(message["ReceiptHandle"])
    return digest, receipts


def _delete(receipts: list[str]) -> None:
    """Deletes the messages. One that is not deleted comes again, and is told once more."""
    for start in range(0, len(receipts), _BATCH):
        batch = receipts[start : start + _BATCH]
        answer = clients.sqs().delete_message_batch(
            QueueUrl=Environment.read().queue_url,
            Entries=[{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(batch)],
        )
        if failures := answer.get("Failed"):
            log.error("Messages not deleted", failed=len(failures), code=failures[0]["Code"])


def _check_subscriptions() -> None:
    """Counts the subscriptions of the settings' addresses that nobody has confirmed, or that SNS has suspended."""
    environment = Environment.read()
    if not environment.subscriptions:
        return
    attributes = clients.sns().get_topic_attributes(TopicArn=environment.topic_arn)["Attributes"]
    missing = environment.subscriptions - int(attributes["SubscriptionsConfirmed"])
    if missing > 0:
        # Only then, because CloudWatch bills a metric for each hour in which it has values.
        log.metrics(
            "Subscriptions not confirmed",
            NAMESPACE,
            {"StateMachine": environment.state_machine},
            {"UnconfirmedSubscriptions": (missing, "Count")},
        )
