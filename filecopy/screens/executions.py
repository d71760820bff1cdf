"""Screen of ``filecopy executions``: a list of executions."""

from __future__ import annotations

from collections.abc import Container, Sequence

from rich.console import Console

from filecopy.executions.find import Listed
from filecopy.terminal import Column, Row, duration, error_text, local, now, print_table, short_time, shown, styled
from handlers.arns import name_of

_EXECUTIONS = (
    Column("File"),
    Column("Started"),
    Column("Status"),
    Column("Took", is_right=True),
    Column("Execution", is_below=True),
    Column("Error", is_below=True),
)


def show_executions(console: Console, executions: Sequence[Listed], waiting: Container[str], *, has_more: bool) -> None:
    """Print a table of executions.

    Args:
        waiting: the ARNs of those that wait for another execution of their file.
    """
    if not executions:
        console.print("No execution.")
        return
    print_table(console, _EXECUTIONS, [_execution(console, one, one.arn in waiting) for one in executions])
    if has_more:
        console.print(f"These are the latest {len(executions)}; --limit shows more, --since and --status fewer.")


def _execution(console: Console, one: Listed, is_waiting: bool) -> Row:
    started = short_time(one.started, now()) if console.is_terminal else local(one.started)
    return [
        shown(one.job.key or "(no file)"),
        started,
        f"{styled(one.status)}, waiting" if is_waiting else styled(one.status),
        "" if one.took is None else duration(one.took),
        shown(name_of(one.arn)),
        shown(error_text(one.error, one.cause)),
    ]
