"""No path ends in silence: whatever fails, the record is closed and a person is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.system import System


def change(system: System, state: str, **arguments: Any) -> None:
    """Changes the Arguments of a state of the stack's own state machine."""
    described = system.stepfunctions.describe_state_machine(stateMachineArn=system.state_machine)
    definition = json.loads(described["definition"])
    definition["States"][state]["Arguments"].update(arguments)
    system.stepfunctions.update_state_machine(stateMachineArn=system.state_machine, definition=json.dumps(definition))


@pytest.mark.parametrize("state", ["AcquireLease", "LogWorkflowStart", "UpdateDynamoDBFinal"])
def test_table_that_cannot_be_written(system: System, state: str) -> None:
    """Wherever the record cannot be written, a person is told, and it does not stay in progress."""
    notification = system.inbox()
    system.upload("table.zip")
    change(system, state, TableName="NoSuchTable")
    ended = system.run(system.job("table.zip"))
    assert ended["error"] == "TrackingFailed"
    assert notification(ended["executionArn"])["Subject"] == "File copy not tracked: table.zip"

    def closed() -> str | None:
        record = system.record("table.zip")
        return record["status"] if record and record["status"] != "IN_PROGRESS" else None

    system.wait_for("the record to be closed", closed)


def test_topic_that_the_workflow_cannot_reach(system: System) -> None:
    """When the workflow could not tell anybody, execution-watcher does."""
    notification = system.inbox()
    system.upload("topic.zip")
    change(system, "SendFailureNotification", TopicArn=f"{system.topic}-gone")
    ended = system.run(system.job("topic.zip", "invalid-bucket"))
    assert ended["error"] == "NotificationFailed"
    told = notification(ended["executionArn"])
    assert told["Subject"] == "File copy failed: topic.zip"
    assert "NotificationFailed" in told["Message"]
    record = system.record("topic.zip")
    assert record is not None
    assert record["status"] == "FAILED"


def test_error_that_no_catch_takes(system: System) -> None:
    """An input that ValidateInput refuses fails where no Catch can be, and a person is told all the same."""
    notification = system.inbox()
    ended = system.run({"sourceBucket": system.source, "sourceKey": "refused.zip"})
    told = notification(ended["executionArn"])
    assert told["Subject"] == "File copy failed: refused.zip"
    assert "destinationBuckets" in told["Message"]


def test_destination_that_appears_while_the_copy_is_retried(system: System) -> None:
    """A destination that fails for a moment costs a retry and no more."""
    system.upload("appears.zip")
    # A missing bucket is not retried as the machine is deployed; here it stands for what a retry can mend.
    described = system.stepfunctions.describe_state_machine(stateMachineArn=system.state_machine)
    definition = json.loads(described["definition"])
    copy = definition["States"]["CopyToMultipleBuckets"]["ItemProcessor"]["States"]["CopyToBucket"]
    copy["Retry"] = [{**copy["Retry"][-1], "IntervalSeconds": 100}]
    system.stepfunctions.update_state_machine(stateMachineArn=system.state_machine, definition=json.dumps(definition))
    execution = system.start(system.job("appears.zip", "appears-later"))
    system.wait_for("the first attempt", lambda: system.attempts(execution, "copyObject") or None)
    system.s3.create_bucket(Bucket="appears-later")
    assert system.finish(execution)["status"] == "SUCCEEDED"
    assert system.attempts(execution, "copyObject") > 1
    record = system.record("appears.zip")
    assert record is not None
    assert (record["status"], record["failedCopies"]) == ("COMPLETED", 0)
