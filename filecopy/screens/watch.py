"""Screen of ``filecopy watch``: executions while they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from filecopy.executions.model import MAP_STATE, SUCCEEDED, WORKER_MAP_STATE, History
from filecopy.stack.records import Part
from filecopy.terminal import BAD, BUSY, GOOD, between, duration, shown, size, styled, to_json
from handlers.text import printable

NOTHING_RUNS = "No execution is running."


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

    def __init__(self, console: Console, draw: Callable[[Sequence[History]], RenderableType]) -> None:
        self._draw = draw
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="ellipsis")

    def __enter__(self) -> _Live:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, executions: Sequence[History]) -> None:
        self._live.update(self._draw(executions), refresh=True)


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
    uploaded = f", {_progress(history.uploaded)} under way" if history.uploaded else ""
    return f"{_copied(history)} copied{retries}{uploaded}"


def _copied(history: History) -> str:
    return f"{history.copy_calls.copied} of {len(history.job.destinations)}"


def _progress(part: Part) -> str:
    return f"{size(part.copied)} of {size(part.total)} ({part.percent} %)"


def _running(executions: Sequence[History]) -> RenderableType:
    if not executions:
        return NOTHING_RUNS
    table = Table("File", "State", "Copied", "Under way", "Retries", "Elapsed", box=None, pad_edge=False)
    for history in executions:
        table.add_row(
            shown(history.job.key or ""),
            styled(history.status) if history.is_over else history.state,
            _copied(history),
            _progress(history.uploaded) if history.uploaded else "",
            str(history.retries),
            duration(history.elapsed),
        )
    return table


def _timeline(executions: Sequence[History]) -> RenderableType:
    """One execution, with a line for each state, however often the execution entered it."""
    [history] = executions
    table = Table("", "State", "After", "Took", "", box=None, pad_edge=False)
    visits: dict[str, list[int]] = {}
    for index, state in enumerate(history.states):
        visits.setdefault(state.name, []).append(index)
    copying = [name for name in visits if name in (MAP_STATE, WORKER_MAP_STATE)][-1:]
    for name, indexes in visits.items():
        took = sum(
            ((history.left(index) or history.ended) - history.states[index].entered).total_seconds()
            for index in indexes
        )
        times = f"{len(indexes)} times" if len(indexes) > 1 else ""
        table.add_row(
            _sign(history, name),
            name,
            between(history.started, history.states[indexes[0]].entered),
            duration(took),
            ", ".join(filter(None, [_counts(history) if name in copying else "", times])),
        )
        if name in copying:
            for bucket, part in history.uploads.items():
                table.add_row("", f"  {shown(bucket)}", "", "", _progress(part))
    # Not the table's title, which would be wrapped to the width of the table.
    return Group(f"{shown(history.job.key or '')}: {styled(history.status)}, {duration(history.elapsed)}", table)


def _sign(history: History, state: str) -> str:
    if state != history.state:
        return "[green]●[/]"
    if not history.is_over:
        return BUSY
    return GOOD if history.status == SUCCEEDED else BAD
