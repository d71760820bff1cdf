"""How often commands ask AWS: each uses a fifth of a quota at most, however many executions it follows."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from components import outputs
from filecopy import polling
from filecopy.backfill import run
from filecopy.backfill.comparison import Difference
from filecopy.backfill.run import Backfill
from filecopy.errors import StackError
from filecopy.executions.find import list_executions
from filecopy.executions.follow import Follower, follow, follow_running
from filecopy.polling import INTERVAL_ON_AWS, INTERVAL_ON_EMULATOR, QUOTAS, Poller
from filecopy.retry import retry
from filecopy.sending.follow import CopyFollower
from filecopy.sending.upload import Sent
from filecopy.stack.stack import Stack

from .executions import ARN, STARTED, MiniStack
from .scripted_aws import ScriptedClients

SECONDS = 300
OUTPUTS = {
    outputs.DYNAMODB_TABLE_NAME: "FileCopyTracking",
    outputs.SOURCE_BUCKET: "global-builds",
    outputs.DESTINATION_BUCKETS: ["a"],
    outputs.STEP_FUNCTION_ARN: "arn:aws:states:us-east-1:000000000000:stateMachine:file-copy-workflow",
}
RECORD = {
    "fileKey": {"S": "k.zip"},
    "sourceBucket": {"S": "global-builds"},
    "executionId": {"S": ARN},
    "status": {"S": "IN_PROGRESS"},
    "destinationBuckets": {"L": [{"S": "a"}]},
}
FAILED = {**RECORD, "status": {"S": "FAILED"}}


class Clock:
    """A clock that only waiting moves. A command that waits for nothing would never end, so it ends here."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> bool:
        self.waits += 1
        assert self.waits <= 100 * SECONDS, f"{self.waits} waits in {self.now - 1000:.1f} s"
        self.now += seconds
        return False


class OnAws(ScriptedClients):
    """Clients of AWS; nothing is sent."""

    is_emulator = False

    @staticmethod
    def limit_of_histories(seconds: float) -> float:
        quota = QUOTAS["GetExecutionHistory"]
        return (quota.bucket + quota.refill * seconds) / 5 + 1


class OnEmulator(ScriptedClients):
    """Clients of an emulator; nothing is sent."""

    is_emulator = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(polling, "time", clock)
    monkeypatch.setattr(run, "time", clock)
    return clock


def arn_of(number: int) -> str:
    return f"{ARN}-{number}"


def running(count: int) -> dict[str, Any]:
    """The answers for executions that do not end."""
    run = MiniStack()
    run.begin()
    run.copy([])
    run.enter("Map", "CopyThroughWorker")
    described = {
        "executionArn": ARN,
        "stateMachineArn": OUTPUTS[outputs.STEP_FUNCTION_ARN],
        "status": "RUNNING",
        "startDate": STARTED,
        "input": json.dumps(run.job),
    }
    listed = [{"executionArn": arn_of(number), "startDate": STARTED, "status": "RUNNING"} for number in range(count)]
    return {
        "DescribeExecution": described,
        "GetExecutionHistory": {"events": run.events[::-1]},
        "ListExecutions": {"executions": listed},
        "StartExecution": {"executionArn": ARN},
        "GetItem": {"Item": RECORD},
        "BatchGetItem": {"Responses": {}},
    }


def watch_one(stack: Stack, clock: Clock) -> None:
    for _ in follow(Follower(stack), ARN, Poller.of(stack)):
        if clock.now >= 1000 + SECONDS:
            return


def watch_all(stack: Stack, clock: Clock) -> None:
    for _ in follow_running(Follower(stack), Poller.of(stack)):
        if clock.now >= 1000 + SECONDS:
            return


def list_all(stack: Stack, clock: Clock) -> None:
    """``filecopy executions``, again and again."""
    while clock.now < 1000 + SECONDS:
        for _ in list_executions(stack):
            pass
        clock.sleep(1)


def send(stack: Stack, _clock: Clock) -> None:
    sent = [Sent(f"{number}.zip", "v", "2026-01-31T08:00:00.000Z") for number in range(50)]
    with pytest.raises(StackError, match="50 of 50 files"):
        list(CopyFollower(stack, sent, ["a"]).outcomes(SECONDS))


def wait_for_retry(stack: Stack, _clock: Clock) -> None:
    with pytest.raises(StackError, match="is still running"):
        retry(stack, "k.zip")


def backfill(stack: Stack, clock: Clock) -> None:
    work = Backfill(stack, ["a"], prefix="", rate=10, is_dry=False)

    class Prepared:
        """A queue that stays empty."""

        def get(self, timeout: float) -> None:
            clock.sleep(timeout)
            raise Empty

    work._prepared = Prepared()  # type: ignore[assignment]
    work._started = {
        f"{number}.zip": run.Started(f"{number}.zip", ARN, {"a": Difference.MISSING}) for number in range(32)
    }
    while clock.now < 1000 + SECONDS:
        work._collect(lambda _: None, work._interval)


WAITS: dict[str, tuple[Callable[[Stack, Clock], None], dict[str, Any]]] = {
    "watch KEY": (watch_one, RECORD),
    "watch": (watch_all, RECORD),
    "executions": (list_all, RECORD),
    "send": (send, RECORD),
    "retry, for another execution": (wait_for_retry, RECORD),
    "retry, for its own execution": (wait_for_retry, FAILED),
    "backfill": (backfill, RECORD),
}


@pytest.mark.parametrize("count", [1, 10, 50])
@pytest.mark.parametrize(("command", "record"), WAITS.values(), ids=WAITS.keys())
def test_a_command_uses_a_fifth_of_a_quota(
    command: Callable[[Stack, Clock], None],
    record: dict[str, Any],
    count: int,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a command waits for, and however many executions run: all people and functions share the quotas."""
    monkeypatch.setattr("filecopy.retry.TIMEOUT", float(SECONDS))
    clients = OnAws(**{**running(count), "GetItem": {"Item": record}})
    command(Stack(OUTPUTS, clients), clock)
    waited = clock.now - 1000
    assert waited >= SECONDS
    asked = Counter(name for name, _ in clients.calls)
    for action, quota in QUOTAS.items():
        assert asked.pop(action, 0) <= (quota.bucket + quota.refill * waited) / 5 + 1, action
    for action, number in asked.items():
        # DynamoDB: the record of each execution that copy-worker copies for, as often as its history is read.
        assert number <= 2 * waited + clients.limit_of_histories(waited), action


def test_a_busy_stack_is_watched_no_faster(clock: Clock) -> None:
    """Each look finds fifty executions that have started and ended since the last one. They count, too."""

    class Busy(OnAws):
        def _answer(self, model: Any, **more: Any) -> tuple[Any, dict[str, Any]]:
            if model.name == "ListExecutions":
                first = len(self.calls)
                new = [{"executionArn": arn_of(first + number), "startDate": datetime.now(UTC)} for number in range(50)]
                self._answers["ListExecutions"] = {"executions": new}
            return super()._answer(model, **more)

    ended = MiniStack()
    ended.begin()
    ended.fail()
    clients = Busy(**{**running(0), "GetExecutionHistory": {"events": ended.events[::-1]}})
    watch_all(Stack(OUTPUTS, clients), clock)
    assert 0 < len(clients.of("GetExecutionHistory")) <= clients.limit_of_histories(clock.now - 1000)
    assert not clients.of("DescribeExecution")


def test_an_emulator_is_asked_without_waiting(clock: Clock) -> None:
    """It has no quotas."""
    clients = OnEmulator(**running(50))
    for _ in range(10):
        assert len(list(list_executions(Stack(OUTPUTS, clients)))) == 50
    assert clock.waits == 0


def test_only_the_poller_waits() -> None:
    """A command with a loop of its own would have an interval of its own. An emulator that starts is not AWS."""
    folder = Path(polling.__file__).parent
    sleeping = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*.py")
        if re.search(r"\bsleep\b", file.read_text(encoding="utf-8"))
    }
    assert sleeping - {"embedded/emulator.py", "embedded/provisioning/functions.py"} == {"polling.py"}


def test_the_intervals() -> None:
    """AWS is asked once a second. An emulator is on this machine and costs nothing."""
    assert INTERVAL_ON_AWS >= 0.5
    assert INTERVAL_ON_EMULATOR >= 0.05
    assert Poller.of(Stack(OUTPUTS, OnAws())).interval == INTERVAL_ON_AWS
    assert Poller.of(Stack(OUTPUTS, OnEmulator())).interval == INTERVAL_ON_EMULATOR


def test_looks_are_due_at_once_and_after_each_interval(clock: Clock) -> None:
    """The last look is after the time is up, so that nothing that happens in the last interval is missed."""
    assert [clock.now - 1000 for _ in Poller(1.0).looks(2.5)] == [0, 1, 2, 3]
