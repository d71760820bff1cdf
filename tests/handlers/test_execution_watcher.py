"""Executions that ended before their work was done."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from handlers import clients
from handlers.execution_watcher import handler

from . import account
from .conftest import SOURCE, Json, Notifications, before_call, client_error, create_table, fail_with, failed, sqs_event

TABLE = "FileCopyTracking"
KEY = "releases/build-123.zip"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:file-copy-workflow:1"
OTHER = EXECUTION + "2"
JOB = {"sourceBucket": SOURCE, "sourceKey": KEY, "destinationBuckets": ["region-a-builds"]}
GRACE = 600


@pytest.fixture(autouse=True)
def stack(notifications: Notifications, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", TABLE)
    monkeypatch.setenv("TOPIC_ARN", notifications.topic_arn)
    monkeypatch.setenv("LEASE_GRACE_SECONDS", str(GRACE))
    create_table(TABLE)


def ended(status: str, error: str | None = None, **members: Any) -> str:
    """The body of a message as EventBridge sends it."""
    detail = {
        "executionArn": EXECUTION,
        "status": status,
        "input": json.dumps(JOB),
        "error": error,
        "cause": f"because of {error}" if error else None,
        **members,
    }
    return json.dumps({"source": "aws.states", "detail": detail})


def track(status: str = "IN_PROGRESS", execution: str = EXECUTION, lease: str = EXECUTION, expires: int = 0) -> None:
    account.dynamodb().put_item(
        TableName=TABLE,
        Item={
            "fileKey": {"S": KEY},
            "sourceBucket": {"S": SOURCE},
            "executionId": {"S": execution},
            "status": {"S": status},
            "leaseOwner": {"S": lease},
            "leaseExpiresAt": {"N": str(expires)},
        },
    )


def record() -> Json:
    key = {"fileKey": {"S": KEY}, "sourceBucket": {"S": SOURCE}}
    return dict(account.dynamodb().get_item(TableName=TABLE, Key=key).get("Item", {}))


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT"])
def test_record_is_closed_lease_shortened_and_a_person_told(status: str, notifications: Notifications) -> None:
    """An execution that was stopped or ran out of time leaves no record in progress, no lease for hours, no silence."""
    track(expires=int(time.time()) + 100_000)
    before = int(time.time())
    assert handler(sqs_event(ended(status)), None) == failed()
    after = record()
    assert after["status"] == {"S": "FAILED"}
    assert after["problem"] == {"S": status}
    assert after["completedAt"]["S"].endswith("Z")
    assert before + GRACE <= int(after["leaseExpiresAt"]["N"]) <= int(time.time()) + GRACE
    [told] = notifications.received()
    assert told["Subject"] == f"File copy {status.lower().replace('_', ' ')}: {KEY}"
    assert EXECUTION in told["Message"]


@pytest.mark.parametrize("error", ["CopiesFailed", "SourceUnreadable", "TrackingFailed"])
def test_what_the_workflow_told_is_not_told_twice(error: str, notifications: Notifications) -> None:
    """Two notifications of one failure make people look twice."""
    track("PARTIAL_FAILURE")
    assert handler(sqs_event(ended("FAILED", error)), None) == failed()
    assert record()["status"] == {"S": "PARTIAL_FAILURE"}
    assert notifications.received() == []


@pytest.mark.parametrize("error", ["NotificationFailed", "States.DataLimitExceeded", "States.QueryEvaluationError"])
def test_what_the_workflow_could_not_tell_is_told(error: str, notifications: Notifications) -> None:
    """Neither a topic that was out of reach nor an error that no Catch takes ends in silence."""
    assert handler(sqs_event(ended("FAILED", error)), None) == failed()
    [told] = notifications.received()
    assert f"FAILED: {error}: because of {error}" in told["Message"]


def test_newer_executions_record_and_lease_are_left_alone(notifications: Notifications) -> None:
    """The end of an older execution says nothing of the one that has taken over."""
    expires = int(time.time()) + 100_000
    track(execution=OTHER, lease=OTHER, expires=expires)
    handler(sqs_event(ended("ABORTED")), None)
    after = record()
    assert (after["status"], after["leaseExpiresAt"]) == ({"S": "IN_PROGRESS"}, {"N": str(expires)})
    assert len(notifications.received()) == 1


def test_released_lease_is_not_taken_up_again() -> None:
    """A lease that has ended stays ended: a later end of its execution must not hold the file up."""
    track("FAILED", expires=0)
    handler(sqs_event(ended("FAILED", "CopiesFailed")), None)
    assert record()["leaseExpiresAt"] == {"N": "0"}


def test_no_record_is_made(notifications: Notifications) -> None:
    """An execution that failed before it wrote anything gets no record, but a person hears of it."""
    handler(sqs_event(ended("FAILED", "States.QueryEvaluationError", input=json.dumps({"sourceKey": 5}))), None)
    assert record() == {}
    [told] = notifications.received()
    assert "unknown file" in told["Subject"]


def test_input_that_the_event_leaves_out_is_asked_for() -> None:
    """EventBridge leaves out an input of many destinations; the record has to be closed all the same."""
    workflow = account.stepfunctions()
    machine = workflow.create_state_machine(
        name="file-copy-workflow", definition="{}", roleArn="arn:aws:iam::123456789012:role/file-copy-workflow"
    )["stateMachineArn"]
    execution = workflow.start_execution(stateMachineArn=machine, input=json.dumps(JOB))["executionArn"]
    track(execution=execution, lease=execution)
    message = ended("ABORTED", executionArn=execution, input=None, inputDetails={"included": False})
    assert handler(sqs_event(message), None) == failed()
    assert record()["status"] == {"S": "FAILED"}


def test_table_or_topic_out_of_reach_brings_the_message_back() -> None:
    """A message is done with when its record is closed and its notification sent, not before."""
    track()
    before_call(clients.sns(), "Publish", fail_with(client_error("InternalError", 500)))
    assert handler(sqs_event(ended("ABORTED")), None) == failed(0)
    assert record()["status"] == {"S": "FAILED"}
