"""Screen of ``filecopy watch``: executions while they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from filecopy.executions.model import MAP_STATE, SUCCEEDED, WAIT_STATE, WORKER_MAP_STATE, History, LeaseWait, State
from filecopy.stack.records import Part
from filecopy.terminal import BAD, BUSY, GOOD, Column, between, duration, shown, size, styled, table, to_json
from handlers.text import printable

NOTHING_RUNS = "No execution is running. See those that have ended: filecopy executions"


class Screen(Protocol):
    """A place where executions are shown again at each look."""

    def __enter__(self) -> Screen: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, executions: Sequence[History]) -> None: ...


def for_watching(console: Console, *, as_json: bool, of_one: bool) -> Screen:
    """The screen for this console: a live view on a terminal, otherwise a line for each change.

    Args:
        of_one: one execution is followed, and shown state by state.
    """
    if as_json:
        return _Lines(console, lambda history: to_json(history.as_progress()), nothing=None)
    if console.is_terminal:
        return _Live(console, _timeline if of_one else _running)
    return _Lines(console, _line, nothing=NOTHING_RUNS)


class _Live:
    """The lower part of the terminal, drawn again at each look."""

    def __init__(self, console: Console, draw: Callable[[Sequence[History], int], RenderableType]) -> None:
        self._draw, self._console = draw, console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="ellipsis")

    def __enter__(self) -> _Live:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, executions: Sequence[History]) -> None:
        self._live.update(self._draw(executions, self._console.width), refresh=True)


class _Lines:
    """A line for each execution that has changed since it was shown last."""

    def __init__(self, console: Console, line: Callable[[History], str], nothing: str | None) -> None:
        self._console, self._line, self._nothing = console, line, nothing
        self._last: dict[str, tuple[object, ...]] = {}

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""

    def show(self, executions: Sequence[History]) -> None:
        if not executions and not self._last and self._nothing:
            self._console.print(self._nothing)
            self._nothing = None
        for history in executions:
            now = (history.status, len(history.states), history.copy_calls, history.uploaded)
            if self._last.get(history.execution_arn) != now:
                self._last[history.execution_arn] = now
                self._console.print(self._line(history), soft_wrap=True, markup=False, highlight=False)


def _line(history: History) -> str:
    return (
        f"{printable(history.job.key or '')}: {history.status} {history.state}, {_counts(history)},"
        f" {duration(history.elapsed)}"
    )


def _counts(history: History) -> str:
    retries = f", {history.retries} retries" if history.retries else ""
    uploaded = f", {_progress(history.uploaded)} in progress" if history.uploaded else ""
    return f"{_copied(history)} copied{retries}{uploaded}"


def _copied(history: History) -> str:
    return f"{history.copy_calls.copied} of {len(history.job.destinations)}"


def _progress(part: Part) -> str:
    return f"{size(part.copied)} of {size(part.total)} ({part.percent} %)"


_RUNNING = (
    Column("File"),
    Column("State"),
    Column("Copied"),
    Column("Retries", is_right=True),
    Column("Elapsed", is_right=True),
    Column("Large files", is_below=True),
)
_TIMELINE = (
    Column(""),
    Column("State"),
    Column("After", is_right=True),
    Column("Took", is_right=True),
    Column("", is_below=True),
)


def _running(executions: Sequence[History], width: int) -> RenderableType:
    rows = [
        [
            shown(history.job.key or "(no file)"),
            styled(history.status) if history.is_over else "○ waiting" if history.is_waiting else history.state,
            _copied(history),
            str(history.retries or ""),
            duration(history.elapsed),
            _progress(history.uploaded) if history.uploaded else "",
        ]
        for history in executions
    ]
    is_running = any(not history.is_over for history in executions)
    return Group(*([] if is_running else [NOTHING_RUNS]), *(table(_RUNNING, rows, width) if rows else []))


def _timeline(executions: Sequence[History], width: int) -> RenderableType:
    """One execution, with a line for each state, however often the execution entered it."""
    [history] = executions
    visits: dict[str, list[State | LeaseWait]] = {}
    for step in history.steps:
        visits.setdefault(WAIT_STATE if isinstance(step, LeaseWait) else step.name, []).append(step)
    copying = [name for name in visits if name in (MAP_STATE, WORKER_MAP_STATE)][-1:]
    rows = []
    for name, steps in visits.items():
        took = sum((_end(history, step) - step.entered).total_seconds() for step in steps)
        notes = ["waited for another execution"] if name == WAIT_STATE else []
        notes += [_counts(history)] if name in copying else []
        count = sum(step.count if isinstance(step, LeaseWait) else 1 for step in steps)
        notes += [f"{count} times"] if count > 1 else []
        rows.append(
            [
                _sign(history, name),
                name,
                between(history.started, steps[0].entered),
                duration(took),
                ", ".join(notes),
            ]
        )
        if name in copying:
            rows += [
                ["", "", "", "", f"{shown(bucket)}: {_progress(part)}"] for bucket, part in history.uploads.items()
            ]
    title = f"{shown(history.job.key or '')}: {styled(history.status)}, {duration(history.elapsed)}"
    return Group(Text.from_markup(title, emoji=False, overflow="fold"), *table(_TIMELINE, rows, width))


def _end(history: History, step: State | LeaseWait) -> datetime:
    """The time when the execution left the state, or now."""
    last = step.states[-1] if isinstance(step, LeaseWait) else step
    return history.left(history.states.index(last)) or history.ended


def _sign(history: History, state: str) -> str:
    if state == WAIT_STATE:
        return "○"
    if state != history.state:
        return "[green]●[/]"
    if not history.is_over:
        return BUSY
    return GOOD if history.status == SUCCEEDED else BAD
