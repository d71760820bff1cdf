"""Executions that ended before their work was done."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from components.workflow import expressions
from handlers import clients
from handlers.execution_watcher import _ENDED, handler

from . import account
from .conftest import (
    SOURCE,
    Json,
    Notifications,
    StateMachine,
    before_call,
    client_error,
    create_table,
    fail_with,
    failed,
    log_lines,
    sqs_event,
)

TABLE = "FileCopyTracking"
KEY = "releases/build-123.zip"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:file-copy-workflow:1"
OTHER = EXECUTION + "2"
JOB = {"sourceBucket": SOURCE, "sourceKey": KEY, "destinationBuckets": ["region-a-builds"]}
GRACE = 600
COMPLETED = json.dumps({"status": "COMPLETED"})
# EventBridge leaves out an input that is too long for it.
LEFT_OUT: Json = {"input": None, "inputDetails": {"included": False}}


@pytest.fixture(autouse=True)
def stack(notifications: Notifications, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", TABLE)
    monkeypatch.setenv("TOPIC_ARN", notifications.topic_arn)
    monkeypatch.setenv("LEASE_GRACE_SECONDS", str(GRACE))
    monkeypatch.setenv("RECORD_RETENTION_DAYS", "0")
    monkeypatch.setenv("STATE_MACHINE", "file-copy-workflow")
    create_table(TABLE)


def told_of(execution: str = EXECUTION, **members: Any) -> str:
    """The body of a message as EventBridge sends it."""
    detail = {
        "executionArn": execution,
        "status": "ABORTED",
        "input": json.dumps(JOB),
        "error": None,
        "cause": None,
        **members,
    }
    return json.dumps({"source": "aws.states", "detail": detail})


def ended(status: str, error: str | None = None, **members: Any) -> str:
    """The body of the message about EXECUTION, which ended so. It has all that an event of AWS has."""
    cause = f"because of {error}" if error else None
    return told_of(**{"status": status, "error": error, "cause": cause, **members})


def described(monkeypatch: pytest.MonkeyPatch, status: str, **members: Any) -> str:
    """Has Step Functions say that EXECUTION is so. Returns the body of a message that leaves the input out."""

    def describe(*, executionArn: str) -> Json:  # noqa: N803 - boto3's name
        assert executionArn == EXECUTION
        return {"executionArn": EXECUTION, "status": status, "input": json.dumps(JOB), **members}

    monkeypatch.setattr(clients.stepfunctions(), "describe_execution", describe)
    return told_of(status="ABORTED", **LEFT_OUT)


def track(status: str = "IN_PROGRESS", execution: str = EXECUTION, lease: str = EXECUTION, expires: int = 0) -> None:
    account.dynamodb().put_item(
        TableName=TABLE,
        Item={
            "fileKey": {"S": KEY},
            "sourceBucket": {"S": SOURCE},
            "executionId": {"S": execution},
            "totalBuckets": {"N": "2"},
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
    assert before + 1 + GRACE <= int(after["leaseExpiresAt"]["N"]) <= int(time.time()) + 1 + GRACE
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


@pytest.mark.parametrize(("status", "error"), [("ABORTED", None), ("FAILED", "TrackingFailed")])
@pytest.mark.parametrize("before", ["COMPLETED", "IN_PROGRESS"])
def test_who_ended_before_the_first_copy_lets_go_of_the_lease(status: str, error: str | None, before: str) -> None:
    """An execution that took the lease, and whose record is still another's, has copied nothing: nobody waits."""
    track(before, execution=OTHER, expires=int(time.time()) + 100_000)
    handler(sqs_event(ended(status, error)), None)
    assert record()["status"] == {"S": before}
    assert_lease_has_just_ended()


def test_who_took_the_first_lease_of_a_file_and_no_more_lets_go_of_it() -> None:
    """A new record is the execution's own from AcquireLease on. It does not stay in progress, and nobody waits for
    copies that had not begun."""
    track(expires=int(time.time()) + 100_000)
    account.dynamodb().update_item(
        TableName=TABLE,
        Key={"fileKey": {"S": KEY}, "sourceBucket": {"S": SOURCE}},
        UpdateExpression="REMOVE totalBuckets",
    )
    handler(sqs_event(ended("ABORTED")), None)
    after = record()
    assert (after["status"], after["problem"]) == ({"S": "FAILED"}, {"S": "ABORTED"})
    assert_lease_has_just_ended()


@pytest.mark.parametrize("owner", [EXECUTION, f"{EXECUTION}#ended", OTHER, f"{OTHER}#ended"])
def test_released_lease_is_not_taken_up_again(owner: str) -> None:
    """A lease that has ended stays ended: a later end of its execution must not hold the file up."""
    track("FAILED", lease=owner, expires=5)
    handler(sqs_event(ended("FAILED", "CopiesFailed")), None)
    assert record()["leaseExpiresAt"] == {"N": "5"}
    assert record()["leaseOwner"] == {"S": f"{EXECUTION}#ended" if owner == EXECUTION else owner}


@pytest.mark.parametrize("lease", [EXECUTION, OTHER])
def test_a_lease_is_not_taken_by_a_call_that_was_sent_before_the_end(lease: str) -> None:
    """An AcquireLease of the execution may land later, also when another execution's lease has ended. What was sent
    after a later end stays allowed."""
    track(lease=lease, expires=int(time.time()) + 100_000)
    handler(sqs_event(ended("ABORTED")), None)
    assert -1 <= time.time() - int(record()["noLeaseBefore"]["N"]) < 60
    later = {"N": str(int(time.time()) + 1000)}
    account.dynamodb().update_item(
        TableName=TABLE,
        Key={"fileKey": {"S": KEY}, "sourceBucket": {"S": SOURCE}},
        UpdateExpression="SET noLeaseBefore = :later",
        ExpressionAttributeValues={":later": later},
    )
    handler(sqs_event(ended("ABORTED")), None)
    assert record()["noLeaseBefore"] == later


@pytest.mark.parametrize("times", [1, 2])
def test_a_write_that_lands_late_is_refused(times: int) -> None:
    """The record of an execution that was stopped stays closed, and its lease as short as it is, also if the message
    comes twice: each write of the execution needs it to be the lease owner."""
    track(expires=int(time.time()) + 100_000)
    for _ in range(times):
        handler(sqs_event(ended("ABORTED")), None)
    after = record()
    assert after["leaseOwner"] == {"S": f"{EXECUTION}#ended"}
    assert after["status"] == {"S": "FAILED"}
    assert abs(int(after["leaseExpiresAt"]["N"]) - time.time() - GRACE) < 60


def test_a_first_lease_that_is_taken_late_is_refused() -> None:
    """A file without a record gets one, closed, whose lease has ended: an AcquireLease that lands late would leave a
    record in progress."""
    handler(sqs_event(ended("ABORTED", startDate=STOPPED)), None)
    after = record()
    assert (after["status"], after["problem"]) == ({"S": "FAILED"}, {"S": "ABORTED"})
    assert (after["executionId"], after["leaseOwner"]) == ({"S": EXECUTION}, {"S": f"{EXECUTION}#ended"})
    assert after["destinationBuckets"] == {"L": [{"S": "region-a-builds"}]}
    assert after["startTime"] == {"S": "2026-03-14T09:27:56.089Z"}
    assert_lease_has_just_ended()


@pytest.mark.parametrize("days", [0, 8])
def test_a_record_that_is_made_at_the_end_expires_as_others_do(days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORD_RETENTION_DAYS", str(days))
    before = int(time.time()) + days * 86_400
    handler(sqs_event(ended("ABORTED")), None)
    expiry = record().get("expiresAt")
    assert expiry is None if days == 0 else expiry and 0 <= int(expiry["N"]) - before < 60


def assert_lease_has_just_ended() -> None:
    """It ends in the next second, so that an AcquireLease that was sent in this one is refused, too."""
    assert -1 <= time.time() - int(record()["leaseExpiresAt"]["N"]) < 60


def test_the_marker_of_the_end_is_that_of_the_workflow() -> None:
    assert f'$executionId & "{_ENDED}"' == expressions.ENDED


@pytest.mark.parametrize("error", ["States.QueryEvaluationError", "States.Runtime"])
@pytest.mark.parametrize("wrong", [{"sourceKey": 5}, {"destinationBuckets": []}, {"destinationBuckets": ["a b"]}])
def test_wrong_input_leaves_no_record(wrong: Json, error: str, notifications: Notifications) -> None:
    """An execution that ended in ValidateInput has written nothing, by whatever name an engine has for its error. But
    a person hears of it."""
    message = ended("FAILED", error, input=json.dumps({**JOB, **wrong}))
    assert handler(sqs_event(message), None) == failed()
    assert record() == {}
    [told] = notifications.received()
    assert ("unknown file" in told["Subject"]) == ("sourceKey" in wrong)


# --- What an event does not say -----------------------------------------------------------------------------------

# Events that lack something, or that have something else than AWS documents.
LACKING: list[Json] = [
    LEFT_OUT,
    {"status": "RUNNING"},
    {"status": "FAILED"},
    {"status": "SUCCEEDED"},
    {"status": 5, "error": [], "cause": {}, "input": "{"},
    {"cause": {}},
]


@pytest.mark.parametrize("lacking", LACKING)
def test_what_an_event_lacks_is_asked_for(
    lacking: Json, state_machine: StateMachine, notifications: Notifications
) -> None:
    """An execution that was stopped: its record is closed and people are notified, whatever its event lacks."""
    execution = start(state_machine)
    track(execution=execution, lease=execution)
    state_machine.stop_executions()
    assert handler(sqs_event(told_of(execution, **lacking)), None) == failed()
    assert (record()["status"], record()["problem"]) == ({"S": "FAILED"}, {"S": "ABORTED"})
    [told] = notifications.received()
    assert told["Subject"] == f"File copy aborted: {KEY}"


@pytest.mark.parametrize("lacking", LACKING)
def test_an_end_that_step_functions_does_not_show_yet_comes_again(
    lacking: Json, state_machine: StateMachine, notifications: Notifications
) -> None:
    """An execution that runs keeps its record and its lease, nobody is told, and the message comes again: Step
    Functions may show an end later than it tells of it."""
    execution = start(state_machine)
    track(execution=execution, lease=execution, expires=int(time.time()) + 100_000)
    before = record()
    message = sqs_event(told_of(execution, **lacking))
    assert handler(message, None) == failed(0)
    assert (record(), notifications.received()) == (before, [])
    state_machine.stop_executions()
    assert handler(message, None) == failed()
    assert record()["status"] == {"S": "FAILED"}
    assert len(notifications.received()) == 1


def test_an_execution_that_is_to_be_redriven_has_not_ended(
    notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An execution that is about to go on keeps its record."""
    track()
    assert handler(sqs_event(described(monkeypatch, "PENDING_REDRIVE")), None) == failed(0)
    assert (record()["status"], notifications.received()) == ({"S": "IN_PROGRESS"}, [])


def test_an_execution_that_was_stopped_without_words(notifications: Notifications) -> None:
    """StopExecution takes an empty error and an empty cause."""
    track()
    assert handler(sqs_event(told_of(error="", cause="")), None) == failed()
    assert record()["problem"] == {"S": "ABORTED"}
    assert len(notifications.received()) == 1


def test_a_wave_of_failures_needs_no_call(notifications: Notifications) -> None:
    """A thousand failures a minute are more than DescribeExecution allows. No record stays in progress for that."""
    throttle = fail_with(client_error("ThrottlingException"))
    before_call(clients.stepfunctions(), "DescribeExecution", throttle)
    track()
    endings = [("FAILED", "CopiesFailed"), ("FAILED", "States.Runtime"), ("TIMED_OUT", None), ("ABORTED", None)]
    assert handler(sqs_event(*[ended(status, error) for status, error in endings]), None) == failed()
    assert record()["status"] == {"S": "FAILED"}
    assert len(notifications.received()) == 3
    # The longest event has too much for EventBridge. SQS delivers it again.
    assert handler(sqs_event(ended("ABORTED", **LEFT_OUT)), None) == failed(0)


def test_success_after_a_failure_is_no_failure(notifications: Notifications, monkeypatch: pytest.MonkeyPatch) -> None:
    """An execution that failed, was redriven and succeeded has closed its record itself, and its late event is done."""
    track("COMPLETED", expires=int(time.time()) + 100_000)
    before = record()
    assert handler(sqs_event(described(monkeypatch, "SUCCEEDED")), None) == failed()
    assert (record(), notifications.received()) == (before, [])


def start(machine: StateMachine) -> str:
    return account.stepfunctions().start_execution(stateMachineArn=machine.arn, input=json.dumps(JOB))["executionArn"]


def test_table_or_topic_out_of_reach_brings_the_message_back() -> None:
    """A message is done with when its record is closed and its notification sent, not before."""
    track()
    before_call(clients.sns(), "Publish", fail_with(client_error("InternalError", 500)))
    assert handler(sqs_event(ended("ABORTED")), None) == failed(0)
    assert record()["status"] == {"S": "FAILED"}


# --- What is measured -------------------------------------------------------------------------------------------

UPLOADED = {**JOB, "destinationBuckets": ["aaa", "bbb", "aaa"], "uploadedAt": "2026-03-14T09:26:53.589Z"}
# 2026-03-14T09:27:56.089Z, in milliseconds.
STOPPED = 1773480476089


def measured(capsys: pytest.CaptureFixture[str]) -> list[tuple[Any, ...]]:
    """The metrics of each line that has some: the seconds, the copies made, and those that failed."""
    names = ("UploadToCompleted", "CopiesMade", "CopiesFailed")
    lines = [line for line in log_lines(capsys) if "_aws" in line]
    for line in lines:
        [declared] = line["_aws"]["CloudWatchMetrics"]
        assert (declared["Namespace"], declared["Dimensions"]) == ("FileCopyWorkflow", [["StateMachine"]])
        assert {metric["Name"] for metric in declared["Metrics"]} == {name for name in names if name in line}
        assert (line["StateMachine"], line["key"], line["executionArn"]) == ("file-copy-workflow", KEY, EXECUTION)
    return [tuple(line.get(name) for name in names) for line in lines]


def result_of(job: object = UPLOADED, output: str | None = COMPLETED, stopped: object = STOPPED) -> Json:
    return sqs_event(told_of(status="SUCCEEDED", input=json.dumps(job), output=output, stopDate=stopped))


def test_an_upload_that_was_copied_everywhere_is_measured(
    notifications: Notifications, capsys: pytest.CaptureFixture[str]
) -> None:
    """The seconds are those from the upload to the execution's end. The record is left as it is; nobody is told."""
    track("COMPLETED")
    before = record()
    assert handler(result_of(), None) == failed()
    assert measured(capsys) == [(62.5, 2, 0)]
    assert record() == before
    assert notifications.received() == []


@pytest.mark.parametrize(
    ("uploaded_at", "stopped"),
    [
        (None, STOPPED), ("yesterday", STOPPED), (5, STOPPED), ("0001-01-01T00:00:00Z", None),
        ("2026-03-14T09:26:53.589Z", None), ("2026-03-14T09:26:53.589Z", "1773480476089"),
    ],
)  # fmt: skip
def test_what_no_upload_started_has_no_time_since_one(
    uploaded_at: object, stopped: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """An execution that was started by hand, with whatever input, spoils no percentile; its copies count."""
    assert handler(result_of({**UPLOADED, "uploadedAt": uploaded_at}, stopped=stopped), None) == failed()
    assert measured(capsys) == [(None, 2, 0)]


def test_clocks_that_differ_give_no_time_below_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """S3's clock may be ahead of Step Functions'; a negative time would pull a percentile down."""
    handler(result_of(stopped=STOPPED - 100_000), None)
    assert measured(capsys) == [(0.0, 2, 0)]


@pytest.mark.parametrize("output", ['{"status": "SUPERSEDED"}', "null", '"COMPLETED"'])
def test_a_superseded_version_is_not_measured(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A version that was overwritten before its turn was copied nowhere, however fast."""
    assert handler(result_of(output=output), None) == failed()
    assert measured(capsys) == []


def test_an_output_that_the_event_leaves_out_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """EventBridge leaves out a summary of many destinations, which is measured all the same."""
    stopped = datetime.fromtimestamp(STOPPED / 1000, UTC)
    described(monkeypatch, "SUCCEEDED", input=json.dumps(UPLOADED), output=COMPLETED, stopDate=stopped)
    assert handler(result_of(output=None), None) == failed()
    assert measured(capsys) == [(62.5, 2, 0)]


def count_failed(*buckets: str, execution: str = EXECUTION) -> None:
    """Puts the failed buckets into the record, as the workflow does at its end."""
    track("PARTIAL_FAILURE", execution=execution)
    account.dynamodb().update_item(
        TableName=TABLE,
        Key={"fileKey": {"S": KEY}, "sourceBucket": {"S": SOURCE}},
        UpdateExpression="SET failedBuckets = :failed, failedCopies = :count",
        ExpressionAttributeValues={
            ":failed": {"L": [{"S": bucket} for bucket in buckets]},
            ":count": {"N": str(len(buckets))},
        },
    )


def test_copies_of_a_failed_execution_are_those_that_it_tried(capsys: pytest.CaptureFixture[str]) -> None:
    """The record has every destination of the file: those that the execution left alone are not counted again."""
    count_failed("bbb", "not-tried")
    assert handler(sqs_event(ended("FAILED", "CopiesFailed", input=json.dumps(UPLOADED))), None) == failed()
    assert measured(capsys) == [(None, 1, 1)]


def test_copies_that_nobody_counted_are_not_made_up(capsys: pytest.CaptureFixture[str]) -> None:
    """An execution that was stopped, and one whose record is another's by now, count nothing: not even zero."""
    track(expires=int(time.time()) + 100_000)
    assert handler(sqs_event(ended("ABORTED", input=json.dumps(UPLOADED))), None) == failed()
    count_failed("bbb", execution=OTHER)
    assert handler(sqs_event(ended("FAILED", "CopiesFailed", input=json.dumps(UPLOADED))), None) == failed()
    assert measured(capsys) == []


def test_an_execution_counts_when_its_message_is_done_with(capsys: pytest.CaptureFixture[str]) -> None:
    """A message that comes again because nobody could be told counts its copies once."""
    count_failed("bbb")
    errors: list[Exception] = [client_error("InternalError", 500)]

    def fail_once(_params: Json) -> None:
        if errors:
            raise errors.pop()

    before_call(clients.sns(), "Publish", fail_once)
    message = sqs_event(ended("FAILED", "NotificationFailed", input=json.dumps(UPLOADED)))
    assert [handler(message, None), handler(message, None)] == [failed(0), failed()]
    assert measured(capsys) == [(None, 1, 1)]
