"""Screens of the commands, to the letter: on terminals of 80 and 100 columns, and through a pipe.

The screens are in tests/unit/screens. After changing one on purpose, write it again: ``WRITE_SCREENS=1 pytest
tests/unit/test_screens.py``, and look at the difference.
"""

from __future__ import annotations

import io
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from filecopy.backfill.comparison import Difference
from filecopy.backfill.executions import MAX_FAILURES_IN_A_ROW, Failures
from filecopy.backfill.outcome import Outcome as Compared
from filecopy.backfill.outcome import Result
from filecopy.backfill.run import Backfill
from filecopy.executions.find import Listed
from filecopy.executions.inputs import Job
from filecopy.executions.model import History
from filecopy.pages.report import headline
from filecopy.screens import backfill as backfill_screen
from filecopy.screens import records as records_screen
from filecopy.screens import send as send_screen
from filecopy.screens.executions import show_executions
from filecopy.screens.history import show_history
from filecopy.screens.records import show_record, show_records
from filecopy.screens.watch import for_watching
from filecopy.sending.follow import CopyFollower, Outcome
from filecopy.sending.plan import NotSent, Plan, Upload
from filecopy.sending.upload import Sending, Sent
from filecopy.stack.records import Part, TrackingRecord
from filecopy.terminal import Output
from tests.e2e.screen import left_on_screen

from .executions import (
    ARN,
    AWS_DESCRIBED,
    AWS_EVENTS,
    AWS_RECORD,
    STARTED,
    WORKER_RECORD,
    MiniStack,
    aws,
    aws_running,
    aws_worker,
    aws_worker_running,
    ministack,
    ministack_worker,
)

FOLDER = Path(__file__).parent / "screens"
LONG_KEY = "releases/2026/11/a-component-with-a-long-name/linux-arm64/build-20261123-093301-4f0c9a7e.tar.zst"
NOW = datetime.fromisoformat("2026-03-14T18:00:00Z")
UPLOADING: dict[str, Any] = {
    **{name: AWS_RECORD[name] for name in ("fileKey", "sourceBucket", "executionId", "sourceVersionId", "startTime")},
    "status": "IN_PROGRESS",
    "sourceETag": "e",
    "sourceSize": 104_857_600,
    "destinationBuckets": ["acme-region-a-builds", "acme-region-b-builds", "acme-region-c-builds"],
    "successfulBuckets": ["acme-region-b-builds"],
    "copyResults": [{"destinationBucket": "acme-region-b-builds", "success": True, "check": "none"}],
    "arrivals": {
        "acme-region-b-builds": {"verified": True, "check": "size", "arrivedAt": "2026-03-15T00:09:31.000Z"},
    },
    "uploads": {
        "acme-region-a-builds": {
            "of": AWS_RECORD["sourceVersionId"],
            "copiedBytes": 38_797_312,
            "totalBytes": 104_857_600,
        },
    },
}
MANY = [f"acme-production-artifacts-of-the-platform-team-{number:02}" for number in range(5)]
LONG: dict[str, Any] = {
    **AWS_RECORD,
    "fileKey": LONG_KEY,
    "destinationBuckets": MANY,
    "successfulBuckets": MANY[:1],
    "failedBuckets": MANY[1:],
    "totalBuckets": 5,
    "successfulCopies": 1,
    "copyResults": [
        {"destinationBucket": bucket, "success": False, "error": "S3.S3Exception", "cause": "Access Denied"}
        for bucket in MANY[1:]
    ],
    "arrivals": {MANY[0]: {**AWS_RECORD["arrivals"]["acme-region-a-builds"], "verified": False, "problem": "size"}},
}


def record_of(item: dict[str, Any]) -> TrackingRecord:
    return TrackingRecord.of(item)


def listed(key: str, status: str, minutes: int, seconds: float | None, **more: Any) -> Listed:
    started = NOW - timedelta(minutes=minutes)
    return Listed(
        arn=f"{ARN}-{minutes}",
        status=status,
        started=started,
        stopped=None if seconds is None else started + timedelta(seconds=seconds),
        job=Job.parse(f'{{"sourceKey": "{key}"}}' if key else "[]"),
        **{"error": None, "cause": None, **more},
    )


EXECUTIONS = [
    listed("releases/build-125.zip", "RUNNING", 1, None),
    listed("releases/build-124.zip", "SUCCEEDED", 3, 1.234),
    listed(LONG_KEY, "FAILED", 5, 72, error="CopiesFailed", cause="2 of 4 copies failed: partner-builds, gone-builds"),
    listed("", "FAILED", 3000, 0.02, error="States.QueryEvaluationError", cause="Invalid input: no sourceKey"),
]


def waiting() -> History:
    """An execution that waits for another one of its file, for the twelfth time."""
    run = MiniStack("releases/build 124.zip")
    run.enter("Pass", "ValidateInput")
    run.leave("Pass", "ValidateInput", run.job)
    for _ in range(12):
        refused = "DynamoDB.ConditionalCheckFailedException"
        run.enter("Task", "AcquireLease")
        run.add("TaskScheduled", taskScheduledEventDetails={"resource": "arn:aws:states:::dynamodb:updateItem"})
        run.add("TaskFailed", taskFailedEventDetails={"resource": "dynamodb:updateItem", "error": refused})
        run.leave("Task", "AcquireLease", {})
        run.enter("Wait", "WaitForTurn")
        run.leave("Wait", "WaitForTurn", {})
    del run.events[-1]
    return run.history("RUNNING")


def uploading() -> History:
    """An execution while copy-worker copies."""
    run = MiniStack("releases/disk.img", "acme-region-a-builds", "acme-region-c-builds")
    run.begin()
    run.copy([])
    run.enter("Map", "CopyThroughWorker")
    return replace(run.history("RUNNING"), record=record_of({**UPLOADING, "executionId": ARN}))


@contextmanager
def redrawn(console: Output) -> Iterator[Output]:
    """A terminal on which lines are drawn again. At the end of the block, its last content is on ``console``."""
    file = io.StringIO()
    yield Output(file=file, width=console.width, force_terminal=console.is_terminal, color_system=None)
    # A terminal begins a new line at its left edge.
    console.file.write(left_on_screen(file.getvalue().replace("\n", "\r\n")))


def watched(*histories: History, of_one: bool) -> Callable[[Output], None]:
    """The screen after the last look."""

    def show(console: Output) -> None:
        with redrawn(console) as own, for_watching(own, as_json=False, of_one=of_one) as screen:
            for history in histories if of_one else [None]:
                screen.show([history] if history else histories)

    return show


class _Sending(Sending):
    """Uploads with these results, in their order."""

    def __init__(self, *results: Sent | NotSent) -> None:
        keys = [one.key if isinstance(one, Sent) else str(one.path) for one in results]
        self.uploads = [Upload(Path(key), key, 1 if index else 4_000_283) for index, key in enumerate(keys)]
        self.bucket = "acme-global-builds"
        self._results = {}
        self._ends = results

    def run(self, on_progress: Callable[[int], None], on_end: Callable[[Upload, Sent | NotSent], None]) -> None:
        for upload, result in zip(self.uploads, self._ends, strict=True):
            self._results[upload.key] = result
            on_progress(upload.size)
            on_end(upload, result)


class _CopyFollower(CopyFollower):
    """Copies with these outcomes."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = outcomes
        self._parts = {("large.zip", "acme-region-a-builds"): Part(1_000_000_000, 6_000_000_000)}

    def outcomes(self, _timeout: float, on_look: Callable[[], None] = lambda: None) -> Iterator[Outcome]:
        for one in self._outcomes:
            on_look()
            yield one


def sent(
    monkeypatch: pytest.MonkeyPatch, *ends: Outcome | NotSent, planned: Sequence[NotSent] = ()
) -> Callable[[Output], None]:
    """A send with these outcomes.

    Args:
        ends: the outcomes of files, and the files that were not sent.
        planned: the files that could not be planned.
    """
    outcomes = [one for one in ends if isinstance(one, Outcome)]
    monkeypatch.setattr(send_screen, "CopyFollower", lambda *_: _CopyFollower(*outcomes))

    def show(console: Output) -> None:
        with redrawn(console) as own:
            sending = _Sending(*(one.sent if isinstance(one, Outcome) else one for one in ends))
            plan = Plan(list(sending.uploads), list(planned))
            destinations = ["acme-region-a-builds", "partner-builds"]
            stack: Any = None
            problems = send_screen.send(own, stack, sending, plan, destinations, 60)
        for problem in problems:
            console.print(f"error: {problem}", soft_wrap=True)

    return show


def outcome(key: str, *missing: str, is_superseded: bool = False, problem: str | None = None) -> Outcome:
    record = None if problem else record_of({**AWS_RECORD, "fileKey": key})
    return Outcome(Sent(key, "v", "2026-03-14T09:26:50.000Z"), record, list(missing), is_superseded, problem, ARN)


class _Compared(Backfill):
    """A backfill that has these outcomes."""

    def __init__(self, *outcomes: Compared) -> None:
        self._outcomes = outcomes
        self.results = Counter[Result]()
        self.failures = Failures()
        self.at, self.source, self.prefix = "", "acme-global-builds", "releases/"

    def run(self, report: Callable[[Compared], None]) -> None:
        for one in self._outcomes:
            self.results[one.result] += 1
            self.failures.note(["partner-builds"], one.failed, is_notification=one.result is Result.FAILED)
            report(one)


def compared(*outcomes: Compared) -> Callable[[Output], None]:
    def show(console: Output) -> None:
        with redrawn(console) as own:
            work = _Compared(*outcomes)
            backfill_screen.backfill(own, own, work, as_json=False)

    return show


COMPARED = [
    Compared("releases/1.zip", Result.UP_TO_DATE),
    Compared("releases/2.zip", Result.COPIED, {"acme-region-a-builds": Difference.MISSING}, ARN),
    Compared(
        "releases/3.zip",
        Result.FAILED,
        {"acme-region-a-builds": Difference.SIZE, "partner-builds": Difference.MISSING},
        ARN,
        "partner-builds: S3.S3Exception: Access Denied",
    ),
]

MISSING = {"acme-region-a-builds": Difference.MISSING}
SKIPPED = [
    *(Compared(f"releases/{number}.zip", Result.UP_TO_DATE) for number in range(1000)),
    Compared("releases/old.zip", Result.ARCHIVED, MISSING, error="restore it first, it is in DEEP_ARCHIVE"),
    Compared("releases/own.zip", Result.CUSTOMER_KEY, MISSING, error="S3 refuses to copy it without that key"),
    Compared("releases/failed.zip", Result.FAILED_BEFORE, MISSING, ARN, "acme-region-a-builds: S3.S3Exception: No."),
    Compared("releases/busy.zip", Result.BUSY, MISSING),
]
STOPPED = [
    Compared(f"{number}.zip", Result.FAILED, MISSING, ARN, "No.", frozenset(MISSING))
    for number in range(MAX_FAILURES_IN_A_ROW)
]

SCREENS: dict[str, Callable[[Output], None]] = {
    "status": lambda console: show_record(console, record_of(AWS_RECORD)),
    "status-in-parts": lambda console: show_record(console, record_of(WORKER_RECORD)),
    "status-in-progress": lambda console: show_record(console, record_of(UPLOADING)),
    "status-long-names": lambda console: show_record(console, record_of(LONG)),
    "status-lease-only": lambda console: show_record(console, record_of({"fileKey": "k.zip", "leaseOwner": "x"})),
    "list": lambda console: show_records(
        console, [record_of(item) for item in (UPLOADING, AWS_RECORD, LONG, WORKER_RECORD)], has_more=True
    ),
    "list-nothing": lambda console: show_records(console, [], has_more=False),
    "executions": lambda console: show_executions(console, EXECUTIONS, {EXECUTIONS[0].arn}, has_more=True),
    "executions-nothing": lambda console: show_executions(console, [], set(), has_more=False),
    "history": lambda console: show_history(console, aws()),
    "history-full": lambda console: show_history(console, ministack(), full=True),
    "history-in-parts": lambda console: show_history(console, aws_worker()),
    "history-ministack": lambda console: show_history(console, ministack_worker().history("RUNNING")),
    "history-running": lambda console: show_history(console, aws_running(50)),
    "history-waiting": lambda console: show_history(console, waiting()),
    "watch-one": watched(*(aws_running(after) for after in (3, 20, 40)), aws(), of_one=True),
    "watch-one-in-parts": watched(aws_worker_running(60), uploading(), of_one=True),
    "watch-one-waiting": watched(waiting(), of_one=True),
    "watch-all": watched(uploading(), waiting(), aws(), ministack(LONG_KEY), of_one=False),
    "watch-all-ended": watched(aws(), of_one=False),
    "watch-nothing": watched(of_one=False),
    "report-headline": lambda console: console.print(
        *(headline(history).text for history in (aws(), aws_worker(), aws_running(50), waiting())), sep="\n"
    ),
    "backfill": compared(*COMPARED),
    "backfill-nothing": compared(),
    "backfill-skipped": compared(*SKIPPED),
    "backfill-stopped": compared(*STOPPED),
}
SENT: dict[str, tuple[list[Outcome | NotSent], list[NotSent]]] = {
    "send": ([outcome("releases/build-124.zip")], []),
    "send-many": (
        [
            outcome("releases/1.zip"),
            outcome("releases/2.zip", is_superseded=True),
            outcome("-odd name.zip", "partner-builds"),
        ],
        [],
    ),
    "send-not-sent": (
        [
            outcome("releases/1.zip"),
            NotSent(Path("log.txt"), "changed while it was sent, so nothing of it is in the bucket; send it again"),
            outcome("releases/2.zip", "acme-region-a-builds", "partner-builds", problem="FAILED: Invalid input."),
        ],
        [NotSent(Path(os.fsdecode(b"caf\xe9.zip")), "its key would not be UTF-8; send it alone, with another --key")],
    ),
}
WIDTHS = {"80": 80, "100": 100, "pipe": None}


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A fixed clock, in a zone that is not UTC."""
    monkeypatch.setattr(records_screen, "now", lambda: NOW)
    monkeypatch.setattr("filecopy.screens.executions.now", lambda: NOW)
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def console_of(width: int | None) -> Output:
    return Output(file=io.StringIO(), width=width or 80, force_terminal=width is not None, color_system=None)


def check(name: str, console: Output) -> None:
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    file = FOLDER / f"{name}.txt"
    if os.environ.get("WRITE_SCREENS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SCREENS)
def test_screen(name: str, width: str) -> None:
    """The screen is the one that is kept, to the letter."""
    console = console_of(WIDTHS[width])
    SCREENS[name](console)
    check(f"{name}.{width}", console)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SENT)
def test_screen_of_a_send(name: str, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcomes; the bars are gone."""
    console = console_of(WIDTHS[width])
    ends, planned = SENT[name]
    sent(monkeypatch, *ends, planned=planned)(console)
    check(f"{name}.{width}", console)


@pytest.mark.parametrize("name", [*SCREENS, *SENT])
def test_nothing_is_cut_off(name: str) -> None:
    """No line is wider than the terminal but facts that can be copied, and what a pipe has, the terminals have."""
    pipe = (FOLDER / f"{name}.pipe.txt").read_text(encoding="utf-8")
    for width in (80, 100):
        text = (FOLDER / f"{name}.{width}.txt").read_text(encoding="utf-8")
        assert "…\n" not in text.replace(" …\n", "\n"), "cut off"
        folded = re.sub(r"\s", "", text)
        for bucket in [*MANY, LONG_KEY]:
            if bucket in pipe and not (name == "list" and bucket in MANY):
                assert bucket in folded


def test_the_files_are_those_of_screens() -> None:
    """No file is left of a screen that does not exist any more."""
    expected = {f"{name}.{width}.txt" for name in (*SCREENS, *SENT) for width in WIDTHS}
    assert {file.name for file in FOLDER.iterdir()} == expected


def test_a_record_is_a_line_where_no_terminal_is() -> None:
    """``filecopy list | grep KEY`` finds the record, with everything that is shown of it."""
    [line] = [line for line in (FOLDER / "list.pipe.txt").read_text(encoding="utf-8").splitlines() if LONG_KEY in line]
    assert all(bucket in line for bucket in MANY[1:])
    assert "PARTIAL_FAILURE" in line


def test_waiting_is_no_failure() -> None:
    """A wait for the lease has no red in it."""
    console = Output(file=io.StringIO(), width=120, force_terminal=True, color_system="standard")
    show_history(console, waiting())
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "\x1b[31m" not in text
    assert "○ waiting" in text
    assert AWS_EVENTS[0]["timestamp"] < AWS_DESCRIBED["stopDate"] < NOW < STARTED
