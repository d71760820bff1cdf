"""Screen of ``filecopy backfill``: a bar or a line for each object, and a summary."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeElapsedColumn
from rich.text import Text

from filecopy.backfill.executions import MAX_FAILURES, MAX_FAILURES_IN_A_ROW
from filecopy.backfill.outcome import FAILURES, Outcome, Result
from filecopy.backfill.run import Backfill
from filecopy.terminal import BAD, BUSY, GOOD, counted, quoted, shown, to_json
from handlers.text import printable

_SKIPPED = "[yellow]○[/]"
_SIGNS = {
    Result.COPIED: GOOD,
    Result.FAILED: BAD,
    Result.FAILED_BEFORE: BAD,
    Result.NOT_COMPARED: BAD,
    Result.ARCHIVED: _SKIPPED,
    Result.CUSTOMER_KEY: _SKIPPED,
}

# Without a line each. The summary counts them.
_QUIET = frozenset({Result.UP_TO_DATE, Result.GONE, Result.NOT_STARTED})
_QUIET_ON_TERMINAL = _QUIET | {Result.COPIED, Result.ARCHIVED}

# What the summary says to do about a result.
_ADVICE = {
    Result.ARCHIVED: "restore them first",
    Result.FAILED_BEFORE: "--retry-failed tries them again",
    Result.CUSTOMER_KEY: "S3 refuses to copy them without that key",
}


# Keys that the error names. Each has a line of its own above.
_NAMED = 20


class _Counts(ProgressColumn):
    """The counts so far. The total is unknown until the buckets are listed to their end."""

    def __init__(self, work: Backfill) -> None:
        super().__init__()
        self._work = work

    def render(self, _task: Task) -> Text:
        where = printable(self._work.at)[-40:]
        return Text(f"{compared(self._work, with_advice=False)}; at {where}", no_wrap=True, overflow="ellipsis")


def compared(work: Backfill, *, with_advice: bool = True) -> str:
    """The counts so far, such as ``1,000 objects compared: 990 up to date, 10 copied``."""
    parts = []
    for result in Result:
        if number := work.results[result]:
            advice = f" ({_ADVICE[result]})" if with_advice and result in _ADVICE else ""
            parts.append(f"{number:,} {result}{advice}")
    return f"{counted(sum(work.results.values()), 'object')} compared" + (f": {', '.join(parts)}" if parts else "")


def backfill(console: Console, errors: Console, work: Backfill, *, as_json: bool) -> list[str]:
    """Run a backfill, and show it.

    Args:
        as_json: print JSON lines, and the summary to ``errors``.

    Returns:
        The keys that failed.
    """
    has_bar = console.is_terminal and not as_json
    quiet = _QUIET_ON_TERMINAL if has_bar else _QUIET
    failed: list[str] = []

    def report(outcome: Outcome) -> None:
        if outcome.result in FAILURES:
            failed.append(outcome.key)
        if outcome.result not in quiet:
            _show(console, outcome, as_json=as_json)

    bars = Progress(
        BarColumn(20), TimeElapsedColumn(), _Counts(work), console=console, disable=not has_bar, transient=True
    )
    try:
        with bars:
            bars.add_task("", total=None)
            work.run(report)
    except BaseException:
        if work.results:
            _sum_up(errors if as_json else console, errors, work)
        raise
    _sum_up(errors if as_json else console, errors, work)
    return failed


def some_of(keys: Sequence[str]) -> str:
    """The first keys of a list that may be long."""
    more = len(keys) - _NAMED
    return ", ".join(map(quoted, keys[:_NAMED])) + (f" and {more:,} more" if more > 0 else "")


def _show(console: Console, outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        console.print(to_json(outcome.as_json()), soft_wrap=True, markup=False)
        return
    why = f": {shown(outcome.error)}" if outcome.error else ""
    where = ", ".join(f"{shown(bucket)} ({what})" for bucket, what in outcome.differences.items())
    mark = _SIGNS.get(outcome.result, BUSY)
    console.print(f"{mark} {shown(outcome.key)}: {outcome.result}: {where}{why}", soft_wrap=True)


def _sum_up(console: Console, errors: Console, work: Backfill) -> None:
    summary = compared(work) if work.results else f"No key in {work.source} begins with {quoted(work.prefix)}"
    console.print(f"{shown(summary)}.", soft_wrap=not console.is_terminal)
    for bucket in sorted(work.failures.stopped):
        errors.print(
            f"{shown(bucket)}: {MAX_FAILURES_IN_A_ROW} copies in a row failed, so nothing more was copied there.",
            soft_wrap=True,
        )
    if work.failures.is_too_many:
        errors.print(
            f"Each failure is a notification, so after {MAX_FAILURES} nothing more was started.", soft_wrap=True
        )
