"""Executions while they run: copies through copy-worker, and the progress of large ones."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from rich.console import Console

from components import outputs
from filecopy.executions.follow import Follower
from filecopy.executions.from_events import Event
from filecopy.executions.model import CopyCalls, History
from filecopy.screens.records import show_record
from filecopy.screens.watch import for_watching
from filecopy.stack.records import Part, TrackingRecord
from filecopy.stack.stack import Stack

from .executions import ARN, STARTED, WORKER_DESCRIBED, WORKER_EVENTS, MiniStack, ministack_worker
from .scripted_aws import ScriptedClients

MEBIBYTE = 1024**2
RECORD: dict[str, Any] = {
    "fileKey": "k.zip",
    "sourceBucket": "global-builds",
    "executionId": ARN,
    "status": "IN_PROGRESS",
    "startTime": "2026-11-23T09:33:01.423Z",
    "sourceVersionId": "v2",
    "sourceETag": "e",
    "destinationBuckets": ["region-a-builds", "region-b-builds", "region-c-builds", "region-d-builds"],
    "successfulBuckets": ["region-c-builds", "region-d-builds"],
    "copyResults": [
        {"destinationBucket": "region-c-builds", "success": True, "etag": "e", "check": "CRC64NVME"},
        {"destinationBucket": "region-d-builds", "success": True, "etag": "e", "check": "none"},
    ],
    "uploads": {
        "region-a-builds": {"uploadId": "u", "of": "v2", "copiedBytes": 37 * MEBIBYTE, "totalBytes": 100 * MEBIBYTE},
        "region-b-builds": {"uploadId": "u", "of": "v1", "copiedBytes": 99 * MEBIBYTE, "totalBytes": 100 * MEBIBYTE},
    },
}
OUTPUTS = {
    outputs.DYNAMODB_TABLE_NAME: "FileCopyTracking",
    outputs.SOURCE_BUCKET: "global-builds",
    outputs.STEP_FUNCTION_ARN: "arn:aws:states:us-east-1:000000000000:stateMachine:file-copy-workflow",
}
DESCRIBED = {"executionArn": ARN, "stateMachineArn": OUTPUTS[outputs.STEP_FUNCTION_ARN], "startDate": STARTED}
AT_WORK = ("ProcessResults", "CheckIfAllSuccessful")


def looked(
    events: Sequence[Event], described: dict[str, Any] | None = None, record: dict[str, Any] | None = None
) -> tuple[History, ScriptedClients]:
    """The result of a first look at an execution with these events, and the calls that it made."""
    job = {"sourceKey": "k.zip", "destinationBuckets": ["region-a-builds", "invalid-bucket"]}
    item = {name: TypeSerializer().serialize(value) for name, value in (record or {}).items()}
    clients = ScriptedClients(
        DescribeExecution=described or {**DESCRIBED, "input": json.dumps(job)},
        GetExecutionHistory={"events": list(reversed(events))},
        GetItem={"Item": item} if item else {},
    )
    return Follower(Stack(OUTPUTS, clients)).look(ARN), clients


def at_work(state: str = "CopyThroughWorker") -> list[dict[str, Any]]:
    run = MiniStack()
    run.begin()
    run.copy([])
    run.enter("Map" if state == "CopyThroughWorker" else "Pass", state)
    return run.events


def drawn(progress: History, *, is_terminal: bool, of_one: bool = True, as_json: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, width=120, force_terminal=is_terminal, color_system=None)
    with for_watching(console, as_json=as_json, of_one=of_one) as screen:
        screen.show([progress])
    return file.getvalue()


def test_copies_through_copy_worker_are_counted_once() -> None:
    """On MiniStack: the last run of each copies; a run before it is no retry, and a call that failed is one."""
    progress, _ = looked(ministack_worker().events)
    assert (progress.copy_calls, progress.retries) == (CopyCalls(7, 2, 2, 3), 2)


def test_copies_through_copy_worker_on_aws() -> None:
    """States inside the Map are not those of the execution; one that answers with a failure has failed."""
    progress, _ = looked(WORKER_EVENTS, WORKER_DESCRIBED)
    assert (progress.status, progress.copy_calls.copied, progress.copy_calls.scheduled) == ("FAILED", 2, 11)
    assert progress.copy_calls.failed == 7, "one that Lambda refused, four of a copy, its AbortCopy, and one answer"
    assert progress.retries == 5, "four, and AbortCopy's"
    assert {state.name for state in progress.states}.isdisjoint({"RunCopyWorker", "AbortCopy", "CopyNotAborted"})
    assert [state.name for state in progress.states].count("CopyThroughWorker") == 3


def test_how_far_large_copies_are() -> None:
    """It is in the record, as long as that is this execution's; what was begun of an older version does not count."""
    progress, _ = looked(at_work(), record=RECORD)
    assert progress.uploads == {"region-a-builds": Part(37 * MEBIBYTE, 100 * MEBIBYTE)}
    assert progress.uploaded == Part(37 * MEBIBYTE, 100 * MEBIBYTE)
    assert json.loads(drawn(progress, is_terminal=False, as_json=True))["underWay"] == {
        "region-a-builds": {"copiedBytes": 37 * MEBIBYTE, "totalBytes": 100 * MEBIBYTE, "percent": 37}
    }
    assert looked(at_work(), record={**RECORD, "executionId": f"{ARN}-2"})[0].uploads == {}
    assert looked(at_work())[0].uploaded is None
    assert TrackingRecord.of({**RECORD, "status": "PARTIAL_FAILURE"}).uploads == {}
    assert list(TrackingRecord.of({**RECORD, "sourceVersionId": None, "sourceETag": "v1"}).uploads) == [
        "region-b-builds"
    ]


@pytest.mark.parametrize("state", AT_WORK)
def test_the_record_is_read_only_while_copy_worker_is_at_work(state: str) -> None:
    """A small file's execution costs no read of its record."""
    progress, clients = looked(at_work(state), record=RECORD)
    assert (clients.of("GetItem"), progress.uploads) == ([], {})
    assert len(looked(at_work(), record=RECORD)[1].of("GetItem")) == 1


def test_what_is_over_is_not_under_way() -> None:
    """Whatever the last look before the end has seen."""
    events = at_work()
    clients = ScriptedClients(DescribeExecution={**DESCRIBED, "input": json.dumps({"sourceKey": "k.zip"})})
    follower = Follower(Stack(OUTPUTS, clients))
    clients._answers["GetItem"] = {"Item": {name: TypeSerializer().serialize(value) for name, value in RECORD.items()}}
    clients._answers["GetExecutionHistory"] = {"events": events[::-1]}
    assert follower.look(ARN).uploaded
    end = {"id": len(events) + 1, "type": "ExecutionAborted", "timestamp": STARTED}
    clients._answers["GetExecutionHistory"] = {"events": [end, *events[::-1]]}
    assert (follower.look(ARN).status, follower.look(ARN).uploaded) == ("ABORTED", None)


def test_what_is_shown_of_large_copies() -> None:
    """Bytes and per cent: all together in a line, by destination where one execution is drawn."""
    progress, _ = looked(at_work(), record=RECORD)
    said = "38.8 MB of 104.9 MB (37 %)"
    assert f"CopyThroughWorker, 0 of 2 copied, {said} in progress, " in drawn(progress, is_terminal=False)
    assert said in drawn(progress, is_terminal=True, of_one=False)
    lines = drawn(progress, is_terminal=True).splitlines()
    at = next(number for number, line in enumerate(lines) if "CopyThroughWorker" in line)
    assert "0 of 2 copied" in lines[at]
    assert "region-a-builds" in lines[at + 1]
    assert lines[at + 1].rstrip().endswith(said)
    assert "copied" not in next(line for line in lines if "CopyToMultipleBuckets" in line)


def test_many_rounds_are_a_line() -> None:
    """A state that is entered again and again is counted, not drawn: a terminal has no room for it."""
    run = MiniStack()
    run.begin()
    for _ in range(30):
        run.run({"destinationBucket": "region-a-builds"})
    progress, _ = looked(run.events)
    # Drawn once more at the end, over the first time.
    lines = drawn(progress, is_terminal=True).rpartition("k.zip: ")[2].splitlines()
    [rounds] = [line for line in lines if "CopyThroughWorker" in line]
    assert rounds.rstrip().endswith("30 times")
    assert len(lines) < 16


def test_status_of_large_copies() -> None:
    """The per cent of a copy under way, by what one that is made was compared, and whether it could not be."""
    console = Console(file=io.StringIO(), width=120)
    show_record(console, TrackingRecord.of(RECORD))
    assert isinstance(console.file, io.StringIO)
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in console.file.getvalue().splitlines() if line}
    assert rows["region-a-builds"] == "… 37 %"
    assert rows["region-b-builds"] == "…"
    assert rows["region-c-builds"] == "✔ copied CRC64NVME"
    assert rows["region-d-builds"] == "✔ copied not compared"


def test_an_execution_that_has_ended_stays_on_the_screen() -> None:
    """A watch of all executions shows how each has ended: also one that no look saw running."""
    listed: dict[str, Any] = {"executions": [{"executionArn": ARN, "startDate": datetime.now(UTC)}]}
    told: dict[str, Any] = {"events": list(reversed(WORKER_EVENTS[:-1]))}
    clients = ScriptedClients(ListExecutions=listed, DescribeExecution=WORKER_DESCRIBED, GetExecutionHistory=told)
    follower = Follower(Stack(OUTPUTS, clients))
    assert [progress.status for progress in follower.current()] == ["RUNNING"]
    told["events"] = list(reversed(WORKER_EVENTS))
    for _ in range(3):
        ended = follower.current()
        assert [progress.status for progress in ended] == [WORKER_DESCRIBED["status"]]
    assert len(clients.of("GetExecutionHistory")) == 2, "what has ended is not read again"
    text = drawn(ended[0], is_terminal=True, of_one=False)
    assert "No execution is running." in text
    assert WORKER_DESCRIBED["status"] in text
    listed["executions"].insert(0, {"executionArn": f"{ARN}-2", "startDate": datetime.now(UTC)})
    assert len(follower.current()) == 2, "one that started and ended between two looks"


def test_an_execution_that_ended_before_is_not_shown() -> None:
    """A watch shows what happens while it runs. 'filecopy executions' lists what has been before."""
    old = {"executionArn": ARN, "startDate": STARTED}

    class Clients(ScriptedClients):
        def _answer(self, model: Any, **more: Any) -> Any:
            is_running = self.calls[-1][1].get("statusFilter") == "RUNNING"
            self._answers["ListExecutions"] = {"executions": [] if is_running else [old]}
            return super()._answer(model, **more)

    assert Follower(Stack(OUTPUTS, Clients())).current() == []
