"""Screen of ``filecopy backfill``: a bar or a line for each object, and a summary."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeElapsedColumn
from rich.text import Text

from filecopy.backfill.backfill import MAX_FAILURES, Backfill, Outcome, Result
from filecopy.terminal import BAD, BUSY, GOOD, counted, shown, to_json
from handlers.text import printable

_SIGNS = {Result.COPIED: GOOD, Result.FAILED: BAD}


class _Counts(ProgressColumn):
    """The counts so far. The total is unknown until the buckets are listed to their end."""

    def __init__(self, work: Backfill) -> None:
        super().__init__()
        self._work = work

    def render(self, _task: Task) -> Text:
        where = printable(self._work.at)[-40:]
        return Text(f"{compared(self._work)}; at {where}", no_wrap=True, overflow="ellipsis")


def compared(work: Backfill) -> str:
    """The counts so far, such as ``1,000 objects compared: 990 up to date, 10 copied``."""
    counts = {result: work.results[result] for result in Result}
    parts = ", ".join(f"{number:,} {result}" for result, number in counts.items() if number)
    return f"{counted(sum(counts.values()), 'object')} compared" + (f": {parts}" if parts else "")


def backfill(console: Console, errors: Console, work: Backfill, *, as_json: bool) -> list[str]:
    """Run a backfill, with a bar on a terminal and a line for each object elsewhere, and print a summary.

    Args:
        as_json: the lines are JSON, and the summary goes to ``errors``.

    Returns:
        The keys that failed.
    """
    has_bar = console.is_terminal and not as_json
    # The bar counts these, so they get no line.
    quiet = {Result.UP_TO_DATE, Result.GONE, Result.NOT_STARTED} | ({Result.COPIED} if has_bar else set())
    failed: list[str] = []

    def show(outcome: Outcome) -> None:
        if outcome.result is Result.FAILED:
            failed.append(outcome.key)
        if outcome.result in quiet:
            return
        if as_json:
            console.print(to_json(outcome.as_json()), soft_wrap=True, markup=False)
            return
        why = f": {shown(outcome.error)}" if outcome.error else ""
        where = ", ".join(f"{shown(bucket)} ({what})" for bucket, what in outcome.differences.items())
        sign = _SIGNS.get(outcome.result, BUSY)
        console.print(f"{sign} {shown(outcome.key)}: {outcome.result}: {where}{why}", soft_wrap=True)

    def sum_up() -> None:
        summary = (
            compared(work) if work.results else f"No key in {shown(work.source)} begins with {shown(repr(work.prefix))}"
        )
        (errors if as_json else console).print(f"{summary}.", soft_wrap=True)
        if work.is_cut_short:
            errors.print(f"Each failure is a notification, so after {MAX_FAILURES} nothing more was started.")

    bars = Progress(
        BarColumn(20), TimeElapsedColumn(), _Counts(work), console=console, disable=not has_bar, transient=True
    )
    try:
        with bars:
            bars.add_task("", total=None)
            work.run(show)
    except BaseException:
        if work.results:
            sum_up()
        raise
    sum_up()
    return failed
