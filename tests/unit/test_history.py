"""The model of an execution, built from its events: AWS records all of them, MiniStack some."""

from __future__ import annotations

import io
import json
from datetime import UTC
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from rich.console import Console

from filecopy.executions.find import describe, read_definition, read_history
from filecopy.executions.from_events import Event, history_of
from filecopy.executions.model import Calls, Copy, History, Outcome, StateStatus
from filecopy.screens.history import show_history
from filecopy.stack.stack import Stack

from .executions import (
    ARN,
    AWS_DESCRIBED,
    AWS_EVENTS,
    DEFINITION,
    WORKER_DESCRIBED,
    WORKER_EVENTS,
    MiniStack,
    aws,
    aws_running,
    aws_worker,
    aws_worker_running,
    ministack,
    ministack_worker,
)
from .scripted_aws import ScriptedClients

ODD = "a\x1b[2J\x07\u202egpj.\n[red]b[/red]:boom:"
SHOWN = "a?[2J??gpj.?[red]b[/red]:boom:"


def copies(history: History) -> dict[str, Copy]:
    return {copy.bucket: copy for copy in history.copies}


def printed(history: History, full: bool = False, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show_history(console, history, full)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize(
    ("described", "events"), [(AWS_DESCRIBED, AWS_EVENTS), (WORKER_DESCRIBED, WORKER_EVENTS)], ids=["copies", "worker"]
)
def test_the_fixtures_are_as_aws_documents_it(described: dict[str, Any], events: list[Event]) -> None:
    """A history that the tests read has AWS's shapes and event types, and no member that AWS does not have."""
    model = botocore.session.get_session().get_service_model("stepfunctions")
    shape = model.shape_for("GetExecutionHistoryOutput")
    report = ParamValidator().validate({"events": events}, shape)
    assert not report.has_errors(), report.generate_report()
    report = ParamValidator().validate(described, model.shape_for("DescribeExecutionOutput"))
    assert not report.has_errors(), report.generate_report()
    types = model.shape_for("HistoryEventType")
    assert {event["type"] for event in events} <= set(getattr(types, "enum", ()))
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["previousEventId"] < event["id"] for event in events)


# --- AWS --------------------------------------------------------------------------------------------------------


def test_the_execution() -> None:
    """Its status, times, error and input."""
    history = aws()
    assert (history.status, history.error) == ("FAILED", "CopiesFailed")
    assert history.cause == "2 of 4 copies failed: partner-builds, acme-gone-builds"
    assert history.stopped is not None
    assert (history.stopped - history.started).total_seconds() == pytest.approx(13.861)
    assert history.job.key == "releases/build-124.zip"
    assert (history.output, history.record_is_of_this_execution) == (None, True)


def test_states_in_the_order_they_were_entered() -> None:
    """Each time a state is entered is told, those of the Map's inside are not among them."""
    states = aws().states
    assert [(state.name, state.type, state.status) for state in states] == [
        ("ValidateInput", "Pass", "SUCCEEDED"),
        ("AcquireLease", "Task", "CAUGHT"),
        ("WaitForTurn", "Wait", "SUCCEEDED"),
        ("AcquireLease", "Task", "SUCCEEDED"),
        ("ReadSource", "Task", "SUCCEEDED"),
        ("LogWorkflowStart", "Task", "SUCCEEDED"),
        ("CopyToMultipleBuckets", "Map", "SUCCEEDED"),
        ("ProcessResults", "Pass", "SUCCEEDED"),
        ("UpdateDynamoDBFinal", "Task", "SUCCEEDED"),
        ("CheckIfAllSuccessful", "Choice", "SUCCEEDED"),
        ("SendFailureNotification", "Task", "SUCCEEDED"),
        ("SomeCopiesFailed", "Fail", "FAILED"),
    ]
    exits = [state.exited for state in states if state.exited]
    assert exits == sorted(exits)
    assert len(exits) == len(states) - 1, "a Fail state is not left"
    assert json.loads(states[4].output or "")["ContentLength"] == 4000283
    assert (states[1].error, states[3].error) == ("DynamoDB.ConditionalCheckFailedException", None)
    assert (states[-1].error, states[-1].cause) == ("CopiesFailed", aws().cause)


def test_attempts_of_a_task() -> None:
    """A Task that was tried again has both attempts, with their times, and the error of the first."""
    state = next(state for state in aws().states if state.name == "LogWorkflowStart")
    first, second = state.attempts
    assert (state.retries, state.error) == (1, None)
    assert (first.status, first.error) == ("FAILED", "DynamoDB.ProvisionedThroughputExceededException")
    assert (second.status, second.error) == ("SUCCEEDED", None)
    assert first.scheduled
    assert first.started
    assert first.ended
    assert second.scheduled
    assert first.scheduled < first.started < first.ended < second.scheduled


def test_attempts_of_each_copy() -> None:
    """Each destination has its own attempts, although those of two run at once and one begins where another ended."""
    found = copies(aws())
    assert {
        bucket: (copy.outcome, [attempt.status for attempt in copy.attempts or ()]) for bucket, copy in found.items()
    } == {
        "acme-region-a-builds": (Outcome.COPIED, ["SUCCEEDED"]),
        "acme-region-b-builds": (Outcome.COPIED, ["FAILED", "FAILED", "SUCCEEDED"]),
        "partner-builds": (Outcome.FAILED, ["FAILED"] * 4),
        "acme-gone-builds": (Outcome.FAILED, ["FAILED"]),
    }
    assert found["acme-gone-builds"].error == "S3.NoSuchBucketException"
    assert (found["partner-builds"].retries, found["acme-region-b-builds"].version_id) == (3, "Vb7tK9")
    arrival = found["acme-region-a-builds"].arrival
    assert arrival
    assert arrival.is_verified
    # Of the four, the last began when the second had ended.
    ended, began = found["acme-region-b-builds"].ended, found["acme-gone-builds"].started
    assert ended
    assert began
    assert ended < began


def test_without_the_record() -> None:
    """All but the arrivals is in the events."""
    told = aws(record=None)
    assert [copy.outcome for copy in told.copies] == [copy.outcome for copy in aws().copies]
    assert [copy.arrival for copy in told.copies] == [None] * 4


def test_the_way_it_took() -> None:
    """A drawing can set off what was entered: a way that a Catch shares with a Next is taken as the one it was."""
    path = aws().path
    assert path.entered["AcquireLease"] == 2
    assert (path.entered["CopyToBucket"], path.entered["CopyFailed"]) == (4, 2)
    assert path.failed == {"CopyToBucket", "SomeCopiesFailed"}, "to wait for its turn is no failure"
    waiting = [history for count in range(1, 60) if (history := aws_running(count)).is_waiting]
    assert waiting
    assert not any(history.path.failed for history in waiting)
    assert ("ReadSource", "LogWorkflowStart", False) in path.edges
    assert ("ReadSource", "LogWorkflowStart", True) not in path.edges
    assert ("AcquireLease", "WaitForTurn", True) in path.edges
    assert ("CopyToBucket", "CopyFailed", True) in path.edges


def test_a_running_execution() -> None:
    """From any event on, it is running, and a copy that was not tried has no times."""
    for history in (
        *map(aws_running, range(1, len(AWS_EVENTS))),
        *map(aws_worker_running, range(1, len(WORKER_EVENTS), 4)),
    ):
        assert all(state.status is not StateStatus.FAILED or state.type == "Fail" for state in history.states)
        printed(history)
    history = aws_running(58)
    assert (history.stopped, history.states[-1].name) == (None, "CopyToMultipleBuckets")
    assert (history.states[-1].status, history.states[-1].exited) == (StateStatus.RUNNING, None)
    assert [copy.outcome for copy in history.copies] == [
        Outcome.COPIED,
        Outcome.COPIED,
        Outcome.IN_PROGRESS,
        Outcome.WAITING,
    ]
    assert [len(copy.attempts or ()) for copy in history.copies] == [1, 3, 2, 0]
    assert "CopyToBucket" not in history.path.failed, "a copy that will be tried again has not failed"


def test_an_execution_that_was_stopped() -> None:
    """Its last state ended with it. The outcome of a copy without an answer is unknown."""
    described = {**AWS_DESCRIBED, "status": "ABORTED", "error": "Enough", "cause": "No more"}
    stop = {"id": 59, "previousEventId": 0, "type": "ExecutionAborted", "timestamp": AWS_EVENTS[58]["timestamp"]}
    history = history_of(described, [*AWS_EVENTS[:58], stop])
    assert history.states[-1].status is StateStatus.ABORTED
    assert [copy.outcome for copy in history.copies] == [
        Outcome.COPIED,
        Outcome.COPIED,
        Outcome.UNKNOWN,
        Outcome.NOT_TRIED,
    ]


def test_copies_through_copy_worker() -> None:
    """Each run is an attempt and no retry; what is tried again in a run is one. What AbortCopy does is no attempt."""
    assert {
        bucket: (copy.outcome, copy.runs, [attempt.status for attempt in copy.attempts or ()], copy.retries, copy.error)
        for bucket, copy in copies(aws_worker()).items()
    } == {
        "acme-us-builds": (Outcome.COPIED, 3, ["SUCCEEDED"] * 3, 0, None),
        "acme-eu-builds": (Outcome.COPIED, 1, ["FAILED", "SUCCEEDED"], 1, None),
        "partner-builds": (Outcome.FAILED, 1, ["FAILED"] * 4, 3, "CopyError"),
        "acme-gone-builds": (Outcome.FAILED, 1, ["SUCCEEDED"], 0, "S3.NoSuchBucketException"),
    }
    assert [copy.check for copy in aws_worker().copies] == ["CRC64NVME", "CRC64NVME", None, None]
    assert [copy.check for copy in aws().copies] == ["ETag", "ETag", None, None]
    assert [copy.runs for copy in aws().copies] == [0] * 4
    first = copies(aws_worker())["acme-us-builds"]
    assert first.started
    assert first.ended
    assert (first.ended - first.started).total_seconds() > 2600, "from the first run to the end of the last"
    said = printed(aws_worker())
    assert "3, 3 runs" in said
    assert said.count("CRC64NVME") == 2


def test_the_way_through_copy_worker() -> None:
    """The way back from each round, and what led to the end inside it."""
    path = aws_worker().path
    assert {name: path.entered[name] for name in ("CopyThroughWorker", "ProcessResults", "RunCopyWorker")} == {
        "CopyThroughWorker": 3,
        "ProcessResults": 4,
        "RunCopyWorker": 6,
    }
    assert path.failed == {"RunCopyWorker", "AbortCopy", "SomeCopiesFailed"}
    assert "CopyToBucket" not in path.entered
    assert {
        ("CheckIfAllSuccessful", "CopyThroughWorker", False),
        ("CopyThroughWorker", "ProcessResults", False),
        ("RunCopyWorker", "AbortCopy", True),
        ("AbortCopy", "CopyNotAborted", True),
    } < path.edges


def test_a_copy_between_two_of_its_runs() -> None:
    """It is under way, whatever its last run has ended with; if the execution ends there, the copy is not made."""
    ends = [number for number, event in enumerate(WORKER_EVENTS, 1) if event["type"] == "MapStateExited"]
    history = aws_worker_running(ends[0])
    assert [(copy.outcome, copy.runs) for copy in history.copies] == [(Outcome.WAITING, 0)] * 4
    history = aws_worker_running(ends[1] + 1)
    assert [(copy.outcome, copy.runs) for copy in history.copies] == [
        (Outcome.IN_PROGRESS, 1),
        (Outcome.COPIED, 1),
        (Outcome.FAILED, 1),
        (Outcome.FAILED, 1),
    ]
    assert history.copies[0].ended is None
    aborted = {**WORKER_DESCRIBED, "status": "ABORTED"}
    assert history_of(aborted, WORKER_EVENTS[: ends[1] + 1]).copies[0].outcome is Outcome.FAILED
    assert history_of(aborted, WORKER_EVENTS[: ends[2] - 6]).copies[0].outcome is Outcome.UNKNOWN


def test_an_input_that_is_refused() -> None:
    """The state that could not be evaluated has the error, and there are no copies."""
    failed = {"error": "States.QueryEvaluationError", "cause": "Invalid input: …", "state": "ValidateInput"}
    events = [
        *AWS_EVENTS[:2],
        {"id": 3, "previousEventId": 2, "type": "EvaluationFailed", "evaluationFailedEventDetails": failed},
        {"id": 4, "previousEventId": 3, "type": "ExecutionFailed", "executionFailedEventDetails": failed},
    ]
    events[2:] = [{**event, "timestamp": AWS_EVENTS[2]["timestamp"]} for event in events[2:]]
    for given in ("[1]", "3", '"text"', '{"sourceBucket": "X"}', '{"destinationBuckets": [1, {}]}'):
        history = history_of({**AWS_DESCRIBED, "input": given, "error": None, "cause": None}, events)
        assert [(state.status, state.error) for state in history.states] == [("FAILED", "States.QueryEvaluationError")]
        assert (history.copies, history.error) == ((), "States.QueryEvaluationError")
        printed(history, full=True)


# --- MiniStack --------------------------------------------------------------------------------------------------


def test_what_ministack_does_not_record_is_not_made_up() -> None:
    """Calls inside the Map are counted, and no destination is given any: its outcome and time are its result's."""
    history = ministack()
    map_ = next(state for state in history.states if state.type == "Map")
    assert (map_.calls, map_.attempts) == (Calls(scheduled=2, succeeded=1, failed=1), ())
    assert [(copy.outcome, copy.attempts, copy.started) for copy in history.copies] == [
        (Outcome.COPIED, None, None),
        (Outcome.FAILED, None, None),
    ]
    assert all(copy.ended is not None for copy in history.copies)
    assert [copy.retries for copy in history.copies] == [None, None]
    assert "not recorded" in printed(history)


def test_attempts_outside_the_map_on_ministack() -> None:
    """There states follow each other, so an attempt is that of the state that was entered last."""
    attempts = {state.name: [attempt.error for attempt in state.attempts] for state in ministack().states}
    assert attempts["ReadSource"] == ["S3.S3Exception", None]
    assert attempts["LogWorkflowStart"] == [None]
    assert attempts["SomeCopiesFailed"] == []
    assert ministack().path.entered["CopyToBucket"] == 2
    assert ministack().path.entered["CopyFailed"] == 1


def test_a_single_destination_on_ministack() -> None:
    """All calls inside the Map are the only destination's."""
    run = MiniStack("k.zip", "region-a-builds")
    run.begin()
    run.enter("Map", "CopyToMultipleBuckets")
    run.call("aws-sdk:s3:copyObject", "S3.S3Exception", "S3.S3Exception")
    run.leave("Map", "CopyToMultipleBuckets", run.results())
    (copy,) = run.history("SUCCEEDED").copies
    assert [attempt.status for attempt in copy.attempts or ()] == ["FAILED", "FAILED", "SUCCEEDED"]
    assert copy.outcome is Outcome.COPIED


def test_rounds_on_ministack() -> None:
    """The outputs of the Maps tell how many runs a copy took, and its result; whose the calls were, nobody knows."""
    history = ministack_worker().history("RUNNING")
    assert [(copy.outcome, copy.runs, copy.attempts, copy.check) for copy in history.copies] == [
        (Outcome.COPIED, 3, None, "CRC64NVME"),
        (Outcome.COPIED, 2, None, "CRC64NVME"),
    ]
    assert [state.calls for state in history.states if state.name == "CopyThroughWorker"] == [
        Calls(scheduled=2, succeeded=2, failed=0),
        Calls(scheduled=4, succeeded=2, failed=2),
        Calls(scheduled=1, succeeded=1, failed=0),
    ]
    assert (history.path.entered["RunCopyWorker"], history.path.entered.get("CopyToBucket")) == (5, None)
    assert "  3 runs " in printed(history)
    run = MiniStack()
    run.begin()
    run.copy([])
    run.run({"destinationBucket": "invalid-bucket"}, run.results()[0])
    assert [copy.outcome for copy in run.history("RUNNING").copies] == [Outcome.COPIED, Outcome.IN_PROGRESS]
    assert [copy.outcome for copy in run.history("ABORTED").copies] == [Outcome.COPIED, Outcome.FAILED]
    run.enter("Map", "CopyThroughWorker")
    assert [(copy.outcome, copy.runs) for copy in run.history("ABORTED").copies] == [
        (Outcome.COPIED, 1),
        (Outcome.UNKNOWN, 2),
    ]


def test_a_single_destination_through_copy_worker_on_ministack() -> None:
    """All calls are its own, unless it failed: then the last may have thrown away what was begun."""
    run = MiniStack("k.zip", "region-a-builds")
    run.begin()
    run.copy([])
    run.run({"destinationBucket": "region-a-builds"}, errors=1)
    failed = {**run.results()[0], "success": False, "error": "CopyError", "cause": ""}
    run.run(run.results()[0])
    (copy,) = run.history("SUCCEEDED").copies
    assert [attempt.status for attempt in copy.attempts or ()] == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
    assert (copy.runs, copy.retries) == (2, 1)
    run.run(failed, errors=4)
    (copy,) = run.history().copies
    assert (copy.outcome, copy.attempts, copy.runs) == (Outcome.FAILED, None, 3)


def test_a_copy_of_other_bytes_on_ministack() -> None:
    """The copy was made, so its Task has not failed; that it is not the source's bytes is what it answered."""
    run = MiniStack("k.zip", "region-a-builds")
    run.begin()
    run.enter("Map", "CopyToMultipleBuckets")
    run.call("aws-sdk:s3:copyObject")
    result = {**run.results()[0], "success": False, "error": "ChecksumMismatch", "cause": "A is not B"}
    run.leave("Map", "CopyToMultipleBuckets", [result])
    path = run.history().path
    assert (path.entered.get("CopyToBucket"), path.entered.get("CopyFailed"), path.failed) == (1, None, frozenset())


def test_a_source_that_cannot_be_read() -> None:
    """The Map is entered and has nothing to do: no destination was tried, and each is said to have had no attempt."""
    run = MiniStack()
    run.begin()
    run.copy([])
    run.fail("SourceUnreadable")
    assert [(copy.outcome, copy.attempts) for copy in run.history().copies] == [(Outcome.NOT_TRIED, ())] * 2


def test_a_running_execution_on_ministack() -> None:
    """While the Map is at work, nobody knows which copies are made; before, none is."""
    run = MiniStack()
    run.begin()
    assert [copy.outcome for copy in run.history("RUNNING").copies] == [Outcome.WAITING] * 2
    run.enter("Map", "CopyToMultipleBuckets")
    assert [(copy.outcome, copy.attempts) for copy in run.history("RUNNING").copies] == [
        (Outcome.IN_PROGRESS, None)
    ] * 2
    assert [copy.outcome for copy in run.history("ABORTED").copies] == [Outcome.UNKNOWN] * 2


def test_results_that_only_the_record_has() -> None:
    """The record has results that the Map's output lacks, unless they are another execution's, or old."""
    run = MiniStack()
    run.begin()
    run.enter("Map", "CopyToMultipleBuckets")
    results = run.results()
    mine = {"executionId": ARN, "copyResults": results}
    assert [copy.outcome for copy in run.history(record=mine).copies] == [Outcome.COPIED, Outcome.FAILED]
    theirs = run.history(record={**mine, "executionId": f"{ARN}-2"})
    assert [copy.outcome for copy in theirs.copies] == [Outcome.UNKNOWN] * 2
    assert not theirs.record_is_of_this_execution
    assert "another execution" in printed(theirs)
    old = {**mine, "copyResults": [{**result, "timestamp": "2026-11-23T09:00:00.000Z"} for result in results]}
    assert [copy.outcome for copy in run.history(record=old).copies] == [Outcome.UNKNOWN] * 2


# --- Reading and showing ----------------------------------------------------------------------------------------


def test_an_execution_that_ends_while_it_is_read() -> None:
    """An execution that ends between two requests has ended: the events are read last."""
    running = {name: value for name, value in AWS_DESCRIBED.items() if name not in ("stopDate", "error", "cause")}
    clients = ScriptedClients(
        DescribeExecution={**running, "status": "RUNNING"},
        GetExecutionHistory={"events": AWS_EVENTS},
        DescribeStateMachineForExecution={"definition": json.dumps(DEFINITION)},
    )
    stack = Stack({"source_bucket": "another", "step_function_arn": "arn:aws:states:::stateMachine:m"}, clients)
    history = read_history(stack, AWS_DESCRIBED["executionArn"])
    assert (history.status, history.error, len(history.states)) == ("FAILED", "CopiesFailed", 12)
    assert history.stopped == AWS_EVENTS[-1]["timestamp"]
    assert clients.of("GetItem") == []
    assert read_definition(stack, history) == DEFINITION


@pytest.mark.parametrize("code", ["ExecutionDoesNotExist", "InvalidArn"])
def test_no_such_execution(code: str) -> None:
    """An ARN that does not exist, or is malformed, gives None. Another error is raised."""
    client = ScriptedClients(DescribeExecution={"Error": {"Code": code, "Message": "no"}})("stepfunctions")
    assert describe(client, ARN) is None
    refusing = ScriptedClients(DescribeExecution={"Error": {"Code": "AccessDeniedException", "Message": "no"}})
    with pytest.raises(ClientError):
        describe(refusing("stepfunctions"), ARN)


def test_as_json() -> None:
    """Scripts read plain JSON: names as in AWS's answers, null if not recorded, values for inputs."""
    told = json.loads(json.dumps(aws().as_json()))
    assert (told["executionArn"], told["status"]) == (AWS_DESCRIBED["executionArn"], "FAILED")
    assert told["started"] == "2026-03-14T09:26:53.589000Z"
    assert told["input"]["sourceKey"] == "releases/build-124.zip"
    assert told["copies"][1]["outcome"] == "copied"
    assert (told["copies"][1]["retries"], told["copies"][1]["versionId"]) == (2, "Vb7tK9")
    assert told["copies"][0]["arrival"]["arrivedAt"] == "2026-03-14T09:26:57.454Z"
    assert told["states"][5]["attempts"][0]["error"] == "DynamoDB.ProvisionedThroughputExceededException"
    assert told["recordIsOfThisExecution"] is True
    assert told["record"]["copyResults"][0]["destinationBucket"] == "acme-region-a-builds"
    bare = json.loads(json.dumps(ministack().as_json()))
    assert (bare["copies"][0]["attempts"], bare["copies"][0]["retries"], bare["record"]) == (None, None, None)
    assert bare["states"][4]["calls"] == {"scheduled": 2, "succeeded": 1, "failed": 1}


def test_what_is_printed() -> None:
    """States, attempts and copies with their times and errors; inputs and outputs when they are asked for."""
    said = printed(aws())
    for text in ("FAILED", "releases/build-124.zip", "WaitForTurn", "attempt 4", "Access Denied", "13.9 s", "copied"):
        assert text in said
    assert "ContentLength" not in said
    assert '"ContentLength": 4000283' in printed(aws(), full=True)
    assert printed(aws(), width=60)


def test_nothing_is_said_to_the_terminal() -> None:
    """A key, an error or a cause that somebody chose is shown, on its line, and none of it is obeyed."""
    for full in (False, True):
        said = printed(ministack(ODD, ODD, ODD), full)
        assert all(character.isprintable() or character == "\n" for character in said)
        assert said.count("\n") == printed(ministack("k", "e", "c"), full).count("\n")
    assert f"File: {SHOWN}\n" in printed(ministack(ODD))
    assert SHOWN in printed(ministack(error=ODD))


def test_times_are_aware() -> None:
    """A result's time is compared with the engine's: both have a zone."""
    assert all(copy.ended and copy.ended.tzinfo == UTC for copy in ministack().copies)
