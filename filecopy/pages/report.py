"""An execution as one HTML page that needs nothing else: to be read, printed, or attached to an incident.

This module computes what the page shows; ``report.html.j2`` has the page itself, and ``execution.html.j2`` the parts
that the console shows, too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filecopy.executions.inputs import parse_object
from filecopy.executions.model import (
    MAP_STATE,
    NOT_RECORDED,
    WORKER_MAP_STATE,
    Attempt,
    Copy,
    History,
    LeaseWait,
    Outcome,
    State,
    StateStatus,
    plain,
)
from filecopy.executions.states import Definition
from filecopy.stack.records import TrackingRecord
from filecopy.terminal import attempts_of, between, compared_by, error_text, moment, pretty, tries
from handlers.text import printable

from .svg import svg

if TYPE_CHECKING:
    from jinja2 import Environment

GOOD, BAD, BUSY, QUIET = "good", "bad", "busy", "quiet"
SIGNS = {GOOD: "✔", BAD: "✘", BUSY: "…", QUIET: "○"}
OUTCOME_KINDS = {
    Outcome.COPIED: GOOD,
    Outcome.FAILED: BAD,
    Outcome.IN_PROGRESS: BUSY,
    Outcome.WAITING: BUSY,
    Outcome.NOT_TRIED: QUIET,
    Outcome.UNKNOWN: QUIET,
}
STATUS_KINDS = {StateStatus.SUCCEEDED: GOOD, StateStatus.RUNNING: BUSY}

LIGHT = """--paper: #ffffff; --card: #f6f8fa; --ink: #1f2328; --quiet: #59636e; --line: #d1d9e0; --accent: #0550ae;
  --good: #1a6b33; --bad: #b3121d; --busy: #0550ae; --good-bar: #2f9e57; --bad-bar: #d9323d; --busy-bar: #4c8ed9;
  --span: #dfe5eb;"""
DARK = """--paper: #0d1117; --card: #161b22; --ink: #e6edf3; --quiet: #9da7b3; --line: #30363d; --accent: #79c0ff;
  --good: #5fd37f; --bad: #ff9a92; --busy: #79c0ff; --good-bar: #2f9e57; --bad-bar: #e5534b; --busy-bar: #4c8ed9;
  --span: #2b333c;"""

MAX_TICKS = 5
# In percent. A label further on would reach beyond the page.
LAST_TICK = 93


def report_page(history: History, definition: Definition | None = None) -> str:
    """Return the page.

    Args:
        definition: of the state machine that the execution runs; without one it is not drawn.
    """
    drawing = None if definition is None else svg(definition, history.path)
    template = environment().get_template("report.html.j2")
    return template.render(light=LIGHT, dark=DARK, drawing=drawing, **execution_view(history))


def execution_view(history: History) -> dict[str, Any]:
    """Return the values that a page about an execution shows, by the names that its template uses."""
    job = history.job
    return {
        "headline": headline(history),
        "history": history,
        "key": job.key or NOT_RECORDED,
        "bucket": job.source_bucket or NOT_RECORDED,
        "version": job.version_id,
        "destinations": [_destination(history, copy) for copy in history.copies],
        "timeline": _timeline(history) if history.states else None,
        "entered": ", ".join(dict.fromkeys(state.name for state in history.states)),
        "record": None if history.record is None else _record(history.record),
    }


@cache
def environment(*folders: Path) -> Environment:
    """Return the environment of the templates in this folder and in ``folders``. It escapes every value."""
    # Here, because no other command needs it, and importing it takes some 40 ms.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        finalize=_on_one_line,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["printable"] = printable
    environment.globals.update(
        SIGNS=SIGNS, NOT_RECORDED=NOT_RECORDED, moment=moment, pretty=pretty, seconds=between, error_text=error_text
    )
    return environment


def _on_one_line(value: object) -> object:
    """Replace what could turn text around, or break a line, in every value that the template shows.

    Markup, which the template has made itself, is left as it is.
    """
    return value if hasattr(value, "__html__") else printable(str(value))


# --- Headline ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Headline:
    """A sentence about the outcome of the execution, and its kind: good, bad, busy or quiet."""

    kind: str
    text: str


def headline(history: History) -> Headline:
    """Return the sentence that a reader needs first."""
    if history.status == "SUCCEEDED":
        return _success(history)
    if history.is_waiting:
        return Headline(BUSY, "Waiting until another execution has copied this file")
    counts = Counter(copy.outcome for copy in history.copies)
    made = f"{counts[Outcome.COPIED]} of {len(history.copies)} copies made"
    sentences = {
        "RUNNING": Headline(BUSY, f"Running: {made} so far"),
        "ABORTED": Headline(BAD, f"Stopped: {made}"),
        "TIMED_OUT": Headline(BAD, f"Timed out: {made}"),
    }
    return sentences.get(history.status) or Headline(BAD, _failure(history, counts, made))


def _success(history: History) -> Headline:
    if parse_object(history.output).get("status") == "SUPERSEDED":
        return Headline(QUIET, "Superseded: a newer version of the file is copied instead")
    total = len(history.copies)
    return Headline(GOOD, "Copied to 1 destination" if total == 1 else f"Copied to all {total} destinations")


def _failure(history: History, counts: Mapping[Outcome, int], made: str) -> str:
    failed, total = counts[Outcome.FAILED], len(history.copies)
    copies = f"{failed} of {total} copies failed" if failed else made
    sentences = {
        "CopiesFailed": f"Partly failed: {copies}" if counts[Outcome.COPIED] else "Failed: no copy was made",
        "SourceUnreadable": "Failed: the source could not be read",
        "TrackingFailed": f"The tracking record could not be written; {copies}",
        "NotificationFailed": f"{copies}; the notification failed, too",
    }
    return sentences.get(history.error or "", f"Failed: {history.error or 'no error is recorded'}")


# --- Destinations -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Try:
    """An attempt to copy."""

    kind: str
    status: str
    took: str
    error: str | None
    cause: str | None


@dataclass(frozen=True)
class Arrival:
    """The copy as regional-sync found it at the destination."""

    is_verified: bool
    check: str
    problem: str


@dataclass(frozen=True)
class Destination:
    """A row of the table of destinations."""

    bucket: str
    kind: str
    outcome: str
    attempts: str
    is_counted: bool
    """The attempts are recorded by destination."""
    check: str
    error: str | None
    cause: str | None
    tries: Sequence[Try]
    """The attempts, if there were several."""
    version: str | None
    arrival: Arrival | None
    lacks_arrival: bool
    """The copy was made, and no arrival is recorded."""


def _destination(history: History, copy: Copy) -> Destination:
    is_copied = copy.outcome is Outcome.COPIED
    attempts = copy.attempts or ()
    return Destination(
        bucket=copy.bucket,
        kind=OUTCOME_KINDS[copy.outcome],
        outcome=copy.outcome,
        attempts=", ".join(filter(None, [NOT_RECORDED if copy.attempts is None else "", attempts_of(copy)])),
        is_counted=copy.attempts is not None,
        check=compared_by(copy.check),
        error=None if is_copied else copy.error,
        cause=None if is_copied else copy.cause,
        tries=[_try(history, attempt) for attempt in attempts] if len(attempts) > 1 else [],
        version=copy.version_id,
        arrival=_arrival(copy),
        lacks_arrival=is_copied and copy.arrival is None,
    )


def _try(history: History, attempt: Attempt) -> Try:
    return Try(
        kind=_attempt_kind(attempt),
        status=(attempt.status or "RUNNING").lower().replace("_", " "),
        took=between(attempt.scheduled, attempt.ended or history.ended),
        error=attempt.error,
        cause=attempt.cause,
    )


def _attempt_kind(attempt: Attempt) -> str:
    if attempt.status is None:
        return BUSY
    return GOOD if attempt.status == "SUCCEEDED" else BAD


def _arrival(copy: Copy) -> Arrival | None:
    if copy.arrival is None or copy.outcome in (Outcome.IN_PROGRESS, Outcome.WAITING):
        return None
    return Arrival(
        is_verified=copy.arrival.is_verified,
        check=copy.arrival.check or NOT_RECORDED,
        problem=copy.arrival.problem or "",
    )


# --- Timeline ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """A bar in the track of a row; ``start`` and ``length`` are percentages of the track."""

    style: str
    start: float
    length: float


@dataclass(frozen=True)
class Row:
    """A row of the timeline: a state, or a copy."""

    name: str
    is_copy: bool
    kind: str
    when: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Tick:
    """A mark on the axis; ``place`` is a percentage of the track. On a narrow page those in the middle are left out."""

    label: str
    place: float
    is_middle: bool


@dataclass(frozen=True)
class Timeline:
    """The states in order, each Map with the copies below it."""

    ticks: Sequence[Tick]
    rows: Sequence[Row]
    is_partly_recorded: bool
    """The attempts of some copies are not recorded by destination."""


@dataclass(frozen=True)
class _Scale:
    """The time that the track stands for."""

    begin: datetime
    end: datetime

    @property
    def length(self) -> float:
        return max((self.end - self.begin).total_seconds(), 0.001)

    def at(self, time: datetime) -> float:
        return min(max((time - self.begin).total_seconds() / self.length * 100, 0.0), 100.0)

    def bar(self, since: datetime, until: datetime, style: str = "") -> Bar:
        return Bar(style, self.at(since), max(self.at(until) - self.at(since), 0.0))


def _timeline(history: History) -> Timeline:
    # A stopped execution of an emulator may continue for a moment.
    last = max([history.ended, *(state.exited for state in history.states if state.exited)])
    scale = _Scale(history.started, last)
    return Timeline(
        ticks=list(_ticks(scale)),
        rows=list(_rows(history, scale)),
        is_partly_recorded=any(copy.attempts is None for copy in history.copies),
    )


def _ticks(scale: _Scale) -> Iterator[Tick]:
    steps = [base * 10**power for power in range(-3, 6) for base in (1, 2, 5)]
    step = next((step for step in steps if scale.length / step <= MAX_TICKS), steps[-1])
    for index in range(int(scale.length / step) + 1):
        time = step * index
        place = time / scale.length * 100
        if place < LAST_TICK:
            yield Tick(f"{time:g} s", place, is_middle=bool(index % 2))


def _rows(history: History, scale: _Scale) -> Iterator[Row]:
    # A copy of several runs is one row, below the first of them.
    below = {
        MAP_STATE: [copy for copy in history.copies if not copy.runs],
        WORKER_MAP_STATE: [copy for copy in history.copies if copy.runs],
    }
    for step in history.steps:
        if isinstance(step, LeaseWait):
            yield _wait_row(history, scale, step)
            continue
        yield _state_row(history, scale, step)
        for copy in below.pop(step.name, ()):
            if copy.started or copy.ended:
                yield _copy_row(history, scale, copy)


def _wait_row(history: History, scale: _Scale, wait: LeaseWait) -> Row:
    until = wait.exited or history.ended
    times = "once" if wait.count == 1 else f"{wait.count} times"
    when = f"+{between(history.started, wait.entered)}, {between(wait.entered, until)}, waited {times}"
    bars = [scale.bar(wait.entered, until, "span")]
    return Row(wait.states[-1].name, is_copy=False, kind=QUIET, when=when, bars=bars)


def _state_row(history: History, scale: _Scale, state: State) -> Row:
    kind = STATUS_KINDS.get(state.status, BAD)
    until = state.exited or (state.entered if state.type == "Fail" else history.ended)
    when = [f"+{between(history.started, state.entered)}", between(state.entered, until)]
    if state.calls:
        when.append(f"{tries(state)} inside")
    elif state.retries:
        when.append(f"{tries(state)} attempts")
    if state.status is StateStatus.CAUGHT:
        when.append("continued after an error")
    bars = _bars(history, scale, scale.bar(state.entered, until, kind), state.attempts)
    return Row(state.name, is_copy=False, kind=kind, when=", ".join(when), bars=bars)


def _copy_row(history: History, scale: _Scale, copy: Copy) -> Row:
    kind = OUTCOME_KINDS[copy.outcome]
    until = copy.ended or history.ended
    if copy.started is None:
        mark = scale.bar(until, until, f"moment {kind}")
        when = f"ended at +{between(history.started, until)}"
        return Row(copy.bucket, is_copy=True, kind=kind, when=when, bars=[mark])
    parts = [f"+{between(history.started, copy.started)}", between(copy.started, until)]
    if copy.retries and copy.attempts:
        parts.append(f"{len(copy.attempts)} attempts")
    if copy.runs and copy.runs > 1:
        parts.append(f"{copy.runs} runs")
    bars = _bars(history, scale, scale.bar(copy.started, until, kind), copy.attempts or ())
    return Row(copy.bucket, is_copy=True, kind=kind, when=", ".join(parts), bars=bars)


def _bars(history: History, scale: _Scale, whole: Bar, attempts: Sequence[Attempt]) -> list[Bar]:
    """Return a thin bar for the whole time and a thick one for each attempt; without attempts, one thick bar."""
    if not attempts:
        return [whole]
    bars = [Bar("span", whole.start, whole.length)]
    for attempt in attempts:
        end = attempt.ended or history.ended
        bars.append(scale.bar(attempt.scheduled or end, end, _attempt_kind(attempt)))
    return bars


# --- Tracking record --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """The file's tracking record. ``fields`` has the simple ones, each as the texts of its values; ``json`` has all."""

    fields: Mapping[str, Sequence[str]]
    json: str


def _record(record: TrackingRecord) -> Record:
    members: Mapping[str, Any] = plain(record.item)
    return Record(
        fields={name: _texts(member) for name, member in members.items() if _is_simple(member)},
        json=json.dumps(members, indent=2, ensure_ascii=False),
    )


def _is_simple(member: Any) -> bool:
    items = member if isinstance(member, list) else [member]
    return not any(isinstance(item, dict) for item in items)


def _texts(member: Any) -> list[str]:
    if member is None:
        return []
    return [str(item) for item in member] if isinstance(member, list) else [str(member)]
