"""``filecopy executions``: executions of every kind, the latest first, at the rate that AWS allows."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from components import outputs
from filecopy.cli import app
from filecopy.executions import find
from filecopy.executions.find import list_executions
from filecopy.stack import stack as deployed
from filecopy.stack.stack import Stack

from .executions import STARTED, MiniStack
from .scripted_aws import ScriptedClients

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:file-copy-workflow"
OUTPUTS = {
    outputs.REGION: "us-east-1",
    outputs.ENDPOINT: "",
    outputs.DYNAMODB_TABLE_NAME: "FileCopyTracking",
    outputs.SOURCE_BUCKET: "global-builds",
    outputs.STEP_FUNCTION_ARN: MACHINE,
}
JOB = {"sourceBucket": "global-builds", "destinationBuckets": ["a"]}


class Executions(ScriptedClients):
    """Step Functions with these executions, the latest last."""

    is_emulator = False

    def __init__(self, *executions: tuple[str, object]) -> None:
        super().__init__()
        self._described = {
            f"{MACHINE.replace(':stateMachine:', ':execution:')}:e{number}": {
                "status": status,
                "startDate": STARTED + timedelta(minutes=number),
                "input": job if isinstance(job, str) else json.dumps(job),
                **({} if status == "RUNNING" else {"stopDate": STARTED + timedelta(minutes=number, seconds=5)}),
                **({"error": "CopiesFailed", "cause": "1 of 1 copies failed: a"} if status == "FAILED" else {}),
            }
            for number, (status, job) in enumerate(executions)
        }

    def _answer(self, model: Any, **more: Any) -> Any:
        asked = self.calls[-1][1]
        if model.name == "ListExecutions":
            listed = [
                {"executionArn": arn, "startDate": one["startDate"], "status": one["status"]}
                for arn, one in self._described.items()
                if asked.get("statusFilter") in (None, one["status"])
            ]
            self._answers["ListExecutions"] = {"executions": listed[::-1]}
        elif model.name == "DescribeExecution":
            one = self._described[asked["executionArn"]]
            self._answers["DescribeExecution"] = {
                "executionArn": asked["executionArn"],
                "stateMachineArn": MACHINE,
                **one,
            }
        return super()._answer(model, **more)


def names(clients: ScriptedClients, **wanted: Any) -> list[str]:
    return [one.arn.rpartition(":")[2] for one in list_executions(Stack(OUTPUTS, clients), **wanted)]


def of(key: str) -> dict[str, Any]:
    return {**JOB, "sourceKey": key}


MIXED = (
    ("SUCCEEDED", of("a.zip")),
    ("FAILED", of("b.zip")),
    ("FAILED", "[]"),
    ("ABORTED", {**of("a.zip"), "sourceBucket": "another"}),
    ("RUNNING", of("a.zip")),
)


def test_all_are_listed_the_latest_first() -> None:
    """Also those without a file in their input, which have no record."""
    clients = Executions(*MIXED)
    assert names(clients) == ["e4", "e3", "e2", "e1", "e0"]
    assert len(clients.of("ListExecutions")) == 1
    assert len(clients.of("DescribeExecution")) == 5


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"key": "a.zip"}, ["e4", "e0"]),
        ({"key": "c.zip"}, []),
        ({"statuses": ["FAILED"]}, ["e2", "e1"]),
        ({"statuses": ["FAILED", "ABORTED"]}, ["e3", "e2", "e1"]),
        ({"statuses": ["TIMED_OUT"]}, []),
        ({"since": STARTED + timedelta(minutes=3)}, ["e4", "e3"]),
        ({"since": STARTED + timedelta(minutes=1), "key": "a.zip"}, ["e4"]),
    ],
)
def test_some_are_listed(wanted: dict[str, Any], expected: list[str]) -> None:
    """By file, by status, by time. A file of another bucket is another file."""
    assert names(Executions(*MIXED), **wanted) == expected


def test_a_file_that_has_none_is_not_looked_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many executions the search ends, unless a time is given."""
    monkeypatch.setattr(find, "MAX_DESCRIBED", 3)
    clients = Executions(*MIXED)
    assert names(clients, key="b.zip") == []
    assert len(clients.of("DescribeExecution")) == 3
    assert names(clients, key="b.zip", since=STARTED) == ["e1"]


def run(clients: ScriptedClients, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str) -> str:
    monkeypatch.setattr(deployed, "Clients", lambda *_: clients)
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(OUTPUTS), encoding="utf-8")
    result = CliRunner().invoke(app, ["executions", *arguments, "--stack", str(file)])
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    return result.stdout


def waiting() -> dict[str, Any]:
    run = MiniStack("a.zip", "a")
    for _ in range(2):
        run.enter("Task", "AcquireLease")
        run.add("TaskScheduled", taskScheduledEventDetails={"resource": "dynamodb:updateItem"})
        refused = {"resource": "dynamodb:updateItem", "error": "DynamoDB.ConditionalCheckFailedException"}
        run.add("TaskFailed", taskFailedEventDetails=refused)
        run.leave("Task", "AcquireLease", {})
        run.enter("Wait", "WaitForTurn")
    return {"events": run.events[::-1]}


def test_those_that_wait_are_marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that waits for another execution of its file has no record, and is found here; as text and as JSON."""
    clients = Executions(*MIXED)
    clients._answers["GetExecutionHistory"] = waiting()
    text = run(clients, monkeypatch, tmp_path)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines] == ["File", "a.zip", "a.zip", "(no", "b.zip", "a.zip"]
    assert "RUNNING, waiting" in lines[1]
    assert "CopiesFailed: 1 of 1 copies failed: a" in lines[4]
    assert len(clients.of("GetExecutionHistory")) == 1, "only what runs can wait"
    first, *_, last = map(json.loads, run(clients, monkeypatch, tmp_path, "--json").splitlines())
    assert (first["key"], first["isWaiting"], first["stopped"], first["tookSeconds"]) == ("a.zip", True, None, None)
    assert (last["status"], last["tookSeconds"]) == ("SUCCEEDED", 5.0)
    assert datetime.fromisoformat(last["started"]) == STARTED


def test_there_are_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The list says that it is not all."""
    text = run(Executions(*MIXED[:4]), monkeypatch, tmp_path, "--limit", "2")
    assert text.splitlines()[-1] == "These are the latest 2; --limit shows more, --since and --status fewer."
    assert run(Executions(), monkeypatch, tmp_path, "--status", "failed") == "No execution.\n"
