"""What happens when the workflow's own means fail: the table, the topic, both."""

from __future__ import annotations

from typing import Any

import pytest

from components.workflow.definition import copy_workflow_definition

from .system import System


def variant(system: System, name: str, **changes: dict[str, Any]) -> str:
    """A state machine that differs from the stack's only in the Arguments of some states."""
    definition = copy_workflow_definition(
        partition="aws",
        table_name=system.table,
        topic_arn=system.topic,
        copy_worker_arn=system.functions["copy-worker"],
        max_concurrency=10,
    )
    for state, arguments in changes.items():
        definition["States"][state]["Arguments"].update(arguments)
    return system.make_state_machine(name, definition)


def test_without_a_record_nothing_is_copied_and_a_person_is_told(system: System) -> None:
    """A table that cannot be written at the start stops the work before it begins, and not in silence."""
    notification, key = system.inbox(), system.key("untracked.zip")
    system.upload(key)
    machine = variant(system, "no-first-record", AcquireLease={"TableName": "NoSuchTable"})
    ended = system.run(system.job(key, system.bucket("invalid-bucket")), machine)
    assert (ended["status"], ended["error"]) == ("FAILED", "TrackingFailed")
    assert "0 of 1 copies were made" in ended["cause"]
    assert "CopyToMultipleBuckets" not in system.states(ended["executionArn"])
    told = notification(ended["executionArn"])
    assert told["Subject"] == f"File copy not tracked: {key}"
    assert "DynamoDB.ResourceNotFoundException" in told["Message"]


def test_record_that_cannot_be_finished_is_told_of(system: System) -> None:
    """A table that cannot be written at the end leaves the copies made, and tells a person that it does not say so."""
    notification, key = system.inbox(), system.key("unfinished.zip")
    system.upload(key)
    machine = variant(system, "no-last-record", UpdateDynamoDBFinal={"TableName": "NoSuchTable"})
    ended = system.run(system.job(key), machine)
    assert (ended["status"], ended["error"]) == ("FAILED", "TrackingFailed")
    assert "2 of 2 copies were made" in ended["cause"]
    told = notification(ended["executionArn"])
    assert told["Subject"] == f"File copy not tracked: {key}"
    assert "✅ Copied: 2" in told["Message"]


def test_newer_executions_record_is_left_alone(system: System) -> None:
    """An execution that has lost its lease does not overwrite the record, and still ends as its copies did."""
    key = system.key("taken-over.zip")
    system.upload(key)
    # Another execution takes the lease between the copies and the last write.
    machine = variant(
        system, "taken-over", UpdateDynamoDBFinal={"ConditionExpression": "NOT leaseOwner = :executionId"}
    )
    ended = system.run(system.job(key), machine)
    assert ended["status"] == "SUCCEEDED"
    record = system.record(key)
    assert record is not None
    assert record["status"] == "IN_PROGRESS"


def test_notification_that_fails_ends_in_notification_failed(system: System) -> None:
    """When SNS cannot be told either, the execution says so in its own name, after the retries it was promised."""
    key, missing = system.key("unheard.zip"), system.bucket("invalid-bucket")
    system.upload(key)
    machine = variant(system, "no-topic", SendFailureNotification={"TopicArn": f"{system.topic}-gone"})
    ended = system.run(system.job(key, missing), machine)
    assert (ended["status"], ended["error"]) == ("FAILED", "NotificationFailed")
    assert f"1 of 1 copies failed: {missing}" in ended["cause"]
    assert "Notification failed: SNS." in ended["cause"]
    assert system.states(ended["executionArn"])[-2:] == ["SendFailureNotification", "NotificationFailed"]
    assert system.attempts(ended["executionArn"], "publish") == 1 + 2


@pytest.mark.slow
def test_people_get_one_message_of_many_failures(open_system: System) -> None:
    """A broken destination fails every file. Once a minute, a schedule sends people one message about all of them."""
    mail = open_system.mailbox()
    first, missing = open_system.bucket("refuses-one"), open_system.bucket("refuses-everything")
    open_system.upload(key := open_system.key("mailed.zip"))
    ended = open_system.run(open_system.job(key, first))
    assert first in mail(ended["executionArn"])["Message"]
    # A minute has just begun. The five are told at its end.
    for _ in range(5):
        open_system.run(open_system.job(key, missing))
    message = mail(missing)["Message"]
    assert f"\n  {missing}: S3.NoSuchBucketException: 5\n" in message
    assert "The first " in message
    assert sum(missing in found["Message"] for found in mail.received) == 1
