"""Notifications that people receive as one message a minute."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handlers import clients, notification_digest
from handlers.notification_digest import handler
from tests.unit.test_notification import evaluate, told

from . import account
from .conftest import Json, Notifications, before_call, client_error, empty_account, fail_with, log_lines

MAX_MESSAGE_BYTES = 256 * 1024
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:file-copy-workflow:1"


class Digests(Notifications):
    """The topic of people, and the queue from which their messages are made."""

    def __init__(self) -> None:
        super().__init__()
        sqs = account.sqs()
        self.queue_url = sqs.create_queue(QueueName="file-copy-notifications")["QueueUrl"]

    def notify(self, subject: str, message: str, times: int = 1) -> None:
        """Sends the message to the queue as SNS does."""
        body = json.dumps({"Type": "Notification", "Subject": subject, "Message": message})
        for _ in range(times):
            account.sqs().send_message(QueueUrl=self.queue_url, MessageBody=body)

    def left(self) -> int:
        """The messages that are still in the queue, seen or not."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = account.sqs().get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in found.values())


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> Iterator[Digests]:
    with empty_account():
        made = Digests()
        for name, value in {
            "QUEUE_URL": made.queue_url,
            "TOPIC_ARN": made.topic_arn,
            "SUBSCRIPTIONS": "0",
            "STATE_MACHINE": "file-copy-workflow",
        }.items():
            monkeypatch.setenv(name, value)

        # moto would wait for its whole second.
        def do_not_wait(params: Json) -> None:
            assert params["WaitTimeSeconds"] == 1
            params["WaitTimeSeconds"] = 0

        before_call(clients.sqs(), "ReceiveMessage", do_not_wait)
        yield made


def call(seconds_ago: float = 0) -> Json:
    """The event of a schedule."""
    when = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return {"detail-type": "Scheduled Event", "time": when.strftime("%Y-%m-%dT%H:%M:%SZ")}


def workflow_told(key: str, failed: int = 1) -> tuple[str, str]:
    """A notification as the workflow writes it."""
    variables = told(key, failed)
    return evaluate("Subject", **variables), evaluate("Message", **variables)


def test_one_notification_is_passed_on_as_it_is(digests: Digests) -> None:
    """Who gets one failure gets all details of it."""
    subject, message = workflow_told("a.zip", 2)
    digests.notify(subject, message)
    handler(call(), None)
    [received] = digests.received()
    assert (received["Subject"], received["Message"]) == (subject, message)
    assert digests.left() == 0


def test_no_notification_is_no_message(digests: Digests) -> None:
    """A quiet minute sends nothing."""
    handler(call(), None)
    assert digests.received() == []


def test_many_notifications_are_one_message(digests: Digests) -> None:
    """A broken destination fails every file. People get one message, with the first ones and with counts."""
    for number in range(25):
        digests.notify(*workflow_told(f"build-{number}.zip", 2))
    digests.notify("File copy aborted: last.zip", "🚨 A file copy ended before it was complete\n")
    handler(call(), None)
    [received] = digests.received()
    assert received["Subject"] == "26 notifications of file copies"
    message = received["Message"]
    assert "The first 10 in full:" in message
    assert message.count("📄 File: build-") == 10
    assert "  File copy failed: 25\n  File copy aborted: 1\n" in message
    bucket = "0000".rjust(63, "b")
    assert f"  {bucket}: {'E' * 60}: 25\n" in message
    assert digests.left() == 0


def test_a_message_fits_whatever_it_is_about(digests: Digests) -> None:
    """SNS takes 256 KiB. The notifications of a thousand destinations have half of that, each."""
    told = workflow_told("build.zip", 1000)
    for _ in range(12):
        digests.notify(*told)
    handler(call(), None)
    [received] = digests.received()
    assert len(received["Message"].encode()) <= MAX_MESSAGE_BYTES
    assert received["Subject"] == "12 notifications of file copies"
    assert "… and 400 more" in received["Message"]


def test_subjects_and_errors_are_counted_within_bounds() -> None:
    """As many kinds of errors as there can be do not make the message too long for SNS."""
    digest = notification_digest.Digest()
    for number in range(2_000):
        bucket = f"{number:04}".rjust(63, "b")
        copies = "".join(f"  ❌ {bucket}: {error}{'E' * 59}: cause\n" for error in "ab")
        body = {"Subject": f"{number}".rjust(99, "s"), "Message": copies + "é" * 10_000}
        digest.add(json.dumps(body))
    assert len(digest.message.encode()) <= MAX_MESSAGE_BYTES


def test_nothing_is_lost_if_the_topic_cannot_be_reached(digests: Digests) -> None:
    """A message leaves the queue only after people were sent it."""
    digests.notify("File copy failed: a.zip", "a")
    before_call(clients.sns(), "Publish", fail_with(client_error("InternalError", 500)))
    with pytest.raises(Exception, match="InternalError"):
        handler(call(), None)
    assert digests.left() == 1


def test_a_message_that_is_no_notification_stays_behind_alone(
    digests: Digests, capsys: pytest.CaptureFixture[str]
) -> None:
    """It becomes a dead letter, as in the other queues; the others are told."""
    for body in ("{", "[]", "{}", '{"Subject": 5, "Message": "x"}'):
        account.sqs().send_message(QueueUrl=digests.queue_url, MessageBody=body)
    digests.notify("File copy failed: a.zip", "a")
    handler(call(), None)
    [received] = digests.received()
    assert received["Subject"] == "File copy failed: a.zip"
    assert digests.left() == 4
    assert sum(line["message"] == "Message failed" for line in log_lines(capsys)) == 4


def test_calls_that_come_late_send_nothing(digests: Digests) -> None:
    """After an hour of throttled calls, Lambda makes up for sixty at once. So many messages suspend a subscription."""
    digests.notify("File copy failed: a.zip", "a")
    for minute in range(2, 60):
        handler(call(minute * 60), None)
    assert (digests.received(), digests.left()) == ([], 1)
    handler(call(), None)
    assert (len(digests.received()), digests.left()) == (1, 0)


def test_a_call_ends_in_time_however_much_there_is(digests: Digests, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a call cannot receive in its time is in the next message."""
    monkeypatch.setattr(notification_digest, "_RECEIVE_FOR", 0.0)
    digests.notify("File copy failed: a.zip", "a")
    handler(call(), None)
    assert (digests.received(), digests.left()) == ([], 1)


@pytest.mark.parametrize(("confirmed", "measured"), [("2", []), ("3", []), ("1", [1]), ("0", [2])])
def test_an_address_without_a_confirmed_subscription_is_counted(
    confirmed: str,
    measured: list[int],
    digests: Digests,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody hears of failures then, and Pulumi does not see it. CloudWatch bills a metric only while it has values."""
    monkeypatch.setenv("SUBSCRIPTIONS", "2")
    answer = {"Attributes": {"SubscriptionsConfirmed": confirmed}}
    monkeypatch.setattr(clients.sns(), "get_topic_attributes", lambda **_named: answer)
    digests.notify("File copy failed: a.zip", "a")
    handler(call(), None)
    lines = [line for line in log_lines(capsys) if "_aws" in line]
    assert [line["UnconfirmedSubscriptions"] for line in lines] == measured
    for line in lines:
        [declared] = line["_aws"]["CloudWatchMetrics"]
        assert (declared["Namespace"], declared["Dimensions"]) == ("FileCopyWorkflow", [["StateMachine"]])
        assert line["StateMachine"] == "file-copy-workflow"
