"""Screen of ``filecopy history``: an execution with its states, attempts and copies."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from filecopy.executions.model import Attempt, Copy, History, Outcome, State
from filecopy.terminal import (
    attempts_of,
    between,
    compared_by,
    error_text,
    moment,
    pretty,
    sign_of,
    style_of,
    tries,
)
from handlers.text import printable


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
    console.print(_states_table(history))
    if history.copies:
        console.print(_copies_table(history))
    if not history.record_is_of_this_execution and history.record is not None:
        _print(console, Text("The file's record describes another execution now."))
    if not full:
        return
    _print_data(console, "The execution", history.input, history.output)
    for state in history.states:
        _print_data(console, state.name, state.input, state.output)


def _states_table(history: History) -> Table:
    table = Table(title="States", title_justify="left", box=None, pad_edge=False)
    table.add_column("State", no_wrap=True)
    table.add_column("After", justify="right", no_wrap=True)
    table.add_column("Took", justify="right", no_wrap=True)
    table.add_column("Attempts")
    table.add_column("Result", overflow="fold", ratio=1)
    for state in history.states:
        table.add_row(
            Text(printable(state.name)),
            between(history.started, state.entered),
            between(state.entered, _end_of(history, state)),
            tries(state),
            _result(state.status, state.error, state.cause),
        )
        if state.retries:
            for number, attempt in enumerate(state.attempts, 1):
                _add_attempt(table, history, number, attempt, attempt.scheduled)
    return table


def _end_of(history: History, state: State) -> datetime:
    return state.exited or (state.entered if state.type == "Fail" else history.ended)


def _copies_table(history: History) -> Table:
    table = Table(title="Copies", title_justify="left", box=None, pad_edge=False)
    table.add_column("Destination", overflow="fold")
    table.add_column("Began after", justify="right")
    table.add_column("Ended after", justify="right")
    table.add_column("Attempts")
    table.add_column("Check")
    table.add_column("Outcome", overflow="fold", ratio=1)
    for copy in history.copies:
        is_open = copy.attempts == () or copy.outcome is Outcome.UNDER_WAY
        table.add_row(
            Text(printable(copy.bucket)),
            "" if copy.attempts == () else between(history.started, copy.started),
            "" if is_open and not copy.ended else between(history.started, copy.ended),
            attempts_of(copy),
            Text(printable(compared_by(copy.check))),
            _outcome(copy),
        )
        if copy.retries and copy.attempts:
            for number, attempt in enumerate(copy.attempts, 1):
                _add_attempt(table, history, number, attempt, history.started, "")
    return table


def _add_attempt(
    table: Table, history: History, number: int, attempt: Attempt, since: datetime | None, *empty: str
) -> None:
    """Add a line for an attempt. Its second time counts from ``since``. ``empty`` are cells without content."""
    table.add_row(
        Text(f"  attempt {number}", style="dim"),
        Text(between(history.started, attempt.scheduled), style="dim"),
        Text(between(since, attempt.ended or history.ended), style="dim"),
        "",
        *empty,
        _result(attempt.status or "RUNNING", attempt.error, attempt.cause),
    )


def _outcome(copy: Copy) -> Text:
    is_copied = copy.outcome is Outcome.COPIED
    return _result(copy.outcome, None if is_copied else copy.error, None if is_copied else copy.cause)


def _result(status: str, error: str | None = None, cause: str | None = None) -> Text:
    reason = f" ({error_text(error, cause)})" if error else ""
    return Text(printable(f"{sign_of(status)} {status}{reason}"), style=style_of(status))


def _print_data(console: Console, name: str, input_: str | None, output: str | None) -> None:
    for what, text in (("input", input_), ("output", output)):
        _print(console, Text(f"{printable(name)}: {what}", style="bold"))
        for line in pretty(text).split("\n"):
            _print(console, Text(f"  {line}"))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)
