"""Screen of ``filecopy history``: an execution with its states, attempts and copies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Console
from rich.text import Text

from filecopy.executions.model import Attempt, History, LeaseWait, Outcome, State
from filecopy.terminal import (
    Column,
    Row,
    attempts_of,
    between,
    compared_by,
    error_text,
    moment,
    pretty,
    print_table,
    quoted,
    shown,
    sign_of,
    style_of,
    tries,
)
from handlers.text import printable

_STATES = (
    Column("State"),
    Column("After", is_right=True),
    Column("Took", is_right=True),
    Column("Attempts"),
    Column("Result"),
    Column("Error", is_below=True),
)
_COPIES = (
    Column("Destination"),
    Column("Began", is_right=True),
    Column("Ended", is_right=True),
    Column("Attempts"),
    Column("Check"),
    Column("Outcome"),
    Column("Error", is_below=True),
)


def show_history(console: Console, history: History, full: bool = False) -> None:
    """Print an execution: its facts, states and copies; with ``full`` also the states' inputs and outputs."""
    for name, text in (
        ("Execution", history.execution_arn),
        ("Status", history.status),
        ("File", history.job.key),
        ("Source bucket", history.job.source_bucket),
        ("Started", moment(history.started)),
        ("Took" if history.stopped else "Running for", between(history.started, history.ended)),
        ("Error", error_text(history.error, history.cause) or None),
    ):
        if text is not None:
            style = style_of(text) if name == "Status" else ""
            _print(console, Text.assemble((f"{name}: ", "bold"), (printable(text), style)))
    if history.states:
        _print(console, Text("\nStates", style="italic"))
        print_table(console, _STATES, list(_state_rows(history)))
    if history.copies:
        _print(console, Text("\nCopies", style="italic"))
        print_table(console, _COPIES, list(_copy_rows(history)))
        if any(copy.attempts is None for copy in history.copies):
            _print(console, Text("The attempts at each copy are not recorded here.", style="dim"))
    if not history.record_is_of_this_execution and history.record is not None:
        _print(console, Text("The file's record describes another execution now."))
    if not full:
        return
    _print_data(console, "The execution", history.input, history.output)
    for state in history.states:
        _print_data(console, state.name, state.input, state.output)


def _state_rows(history: History) -> Iterator[Row]:
    steps = history.steps
    for step in steps:
        after = between(history.started, step.entered)
        if isinstance(step, LeaseWait):
            is_waiting = history.is_waiting and step == steps[-1]
            took = between(step.entered, step.exited or history.ended)
            reason = f"Another execution of {quoted(history.job.key or '')} {'is' if is_waiting else 'was'} running."
            waits = "○ waiting" if is_waiting else "○ waited"
            yield [step.states[-1].name, after, took, str(step.count), waits, shown(reason)]
            continue
        # The error of a Fail state is the execution's, and printed above.
        error = "" if step.type == "Fail" else error_text(step.error, step.cause)
        took = between(step.entered, _end_of(history, step))
        yield [shown(step.name), after, took, tries(step), _result(step.status), shown(error)]
        if step.retries:
            yield from _attempt_rows(history, step.attempts, error, is_copy=False)


def _end_of(history: History, state: State) -> datetime:
    return state.exited or (state.entered if state.type == "Fail" else history.ended)


def _copy_rows(history: History) -> Iterator[Row]:
    for copy in history.copies:
        error = "" if copy.outcome is Outcome.COPIED else error_text(copy.error, copy.cause)
        yield [
            shown(copy.bucket),
            between(history.started, copy.started) if copy.started else "",
            between(history.started, copy.ended) if copy.ended else "",
            attempts_of(copy),
            shown(compared_by(copy.check)),
            _result(copy.outcome),
            shown(error),
        ]
        if copy.retries and copy.attempts:
            yield from _attempt_rows(history, copy.attempts, error, is_copy=True)


def _attempt_rows(history: History, attempts: tuple[Attempt, ...], printed: str, *, is_copy: bool) -> Iterator[Row]:
    """A row for each attempt. The error that was printed last is not repeated."""
    for number, attempt in enumerate(attempts, 1):
        until = attempt.ended or history.ended
        ended = between(history.started if is_copy else attempt.scheduled, until)
        times = [f"  [dim]attempt {number}[/]", f"[dim]{between(history.started, attempt.scheduled)}[/]"]
        error = error_text(attempt.error, attempt.cause)
        yield [
            *times,
            f"[dim]{ended}[/]",
            *([""] * (2 if is_copy else 1)),
            _result(attempt.status or "RUNNING"),
            "" if error == printed else shown(error),
        ]
        printed = error or printed


def _result(status: str, label: str | None = None) -> Text:
    return Text(printable(f"{sign_of(status)} {label or status}"), style=style_of(status))


def _print_data(console: Console, name: str, input_: str | None, output: str | None) -> None:
    for what, text in (("input", input_), ("output", output)):
        _print(console, Text(f"{printable(name)}: {what}", style="bold"))
        for line in pretty(text).split("\n"):
            _print(console, Text(f"  {line}"))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)
