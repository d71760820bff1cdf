"""What the commands show: on a terminal something to look at, elsewhere plain lines."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.table import Table
from rich.text import Text

from filecopy import sending
from filecopy.backfill.backfill import MAX_FAILURES, Backfill, Outcome, Result
from filecopy.errors import StackError
from filecopy.executions.follow import Progress, Visit
from filecopy.executions.model import MAP_STATE, WORKER_MAP_STATE, compared_by
from filecopy.sending import Sent, Upload
from filecopy.stack.records import Part, under_way
from filecopy.stack.stack import Stack
from handlers.text import printable

STYLES = {
    "COMPLETED": "green",
    "SUCCEEDED": "green",
    "PARTIAL_FAILURE": "yellow",
    "IN_PROGRESS": "cyan",
    "RUNNING": "cyan",
}
"""Whatever else there is has failed."""

NOTHING_RUNS = "No execution is running."

# Files that are uploaded at once, each in up to four parts at a time.
UPLOADS_AT_ONCE = 4


def shown(text: object) -> str:
    """``text`` that somebody else chose, on one line and without what a terminal would obey."""
    return escape(printable(str(text)))


def styled(status: str) -> str:
    return f"[{STYLES.get(status, 'red')}]{shown(status)}[/]"


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON of a record or an execution: numbers as numbers, times in ISO 8601, text as it is."""

    def convert(other: object) -> object:
        if isinstance(other, Decimal):
            return int(other) if other == other.to_integral_value() else float(other)
        if isinstance(other, datetime):
            return other.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        raise TypeError(f"{other!r:.100} is not of JSON")

    # ASCII, so that a key can hold nothing that a terminal obeys.
    return json.dumps(value, default=convert, indent=indent)


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def size(count: float) -> str:
    """Bytes, for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"


def local(time: str) -> str:
    """A record's time in the reader's own zone, to the second, with its offset: ``--since`` takes it so."""
    return datetime.fromisoformat(time).astimezone().isoformat(" ", "seconds")


# --- Sending ----------------------------------------------------------------------------------------------------


def upload(console: Console, stack: Stack, uploads: Sequence[Upload]) -> list[Sent]:
    """Uploads the files, some at a time: on a terminal with a bar, and one line in the end for all of them; elsewhere
    with a line each."""
    total = sum(one.size for one in uploads)
    is_summed_up = console.is_terminal and len(uploads) > 1
    what = shown(uploads[0].key) if len(uploads) == 1 else f"{len(uploads)} files"
    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    is_interrupted = threading.Event()

    def say(name: str, count: int) -> None:
        console.print(f"Uploaded {name} ({size(count)}) to s3://{stack.source_bucket}", soft_wrap=True)

    with bars, ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        bar = bars.add_task(f"Uploading {what}", total=total)

        def advance(count: int) -> None:
            if is_interrupted.is_set():
                # What is raised here ends the upload, and what S3 has of it is thrown away.
                raise StackError("Interrupted.")
            bars.advance(bar, count)

        def send(one: Upload) -> Sent:
            sent = sending.send(stack, one, advance)
            if not is_summed_up:
                say(shown(one.key), one.size)
            return sent

        try:
            sent = list(pool.map(send, uploads))
        except BaseException:
            # One that failed, or Ctrl-C: the others are not worth waiting for.
            is_interrupted.set()
            pool.shutdown(cancel_futures=True)
            raise
    if is_summed_up:
        say(what, total)
    return sent


def follow_copies(
    console: Console, stack: Stack, sent: Sequence[Sent], destinations: Sequence[str], timeout: float
) -> int:
    """Follows the files' copies, and says how each has ended; on a terminal, where there are many, of those that have
    all their copies how many they are. Returns for how many files not all are made."""
    is_summed_up = console.is_terminal and len(sent) > 1
    places = "1 destination" if len(destinations) == 1 else f"{len(destinations)} destinations"
    failed = unsaid = 0
    with console.status(f"Copying to {places} …") as status:
        for count, outcome in enumerate(sending.follow(stack, sent, destinations, timeout), start=1):
            key, record = shown(outcome.sent.key), outcome.record
            copied = len(destinations) - len(outcome.missing)
            took = datetime.fromisoformat(record["completedAt"]) - datetime.fromisoformat(record["startTime"])
            line = f"{copied} of {places}, {duration(took.total_seconds())}"
            if outcome.is_superseded:
                line += "; a newer upload of it has taken its place"
            if outcome.missing:
                failed += 1
                console.print(f"[red]✘[/] {key}: {line}. Missing: {', '.join(outcome.missing)}", soft_wrap=True)
                console.print(f"  See: filecopy status {shown(shlex.quote(outcome.sent.key))}", soft_wrap=True)
            elif is_summed_up and not outcome.is_superseded:
                unsaid += 1
            else:
                console.print(f"[green]✔[/] {key}: {line}", soft_wrap=True)
            status.update(f"Copying to {places} … {count} of {len(sent)} files are through")
    if unsaid:
        console.print(f"[green]✔[/] {unsaid} of {len(sent)} files: {len(destinations)} of {places}")
    return failed


# --- Backfill ---------------------------------------------------------------------------------------------------

MARKS = {Result.COPIED: "[green]✔[/]", Result.FAILED: "[red]✘[/]"}


class _Counts(ProgressColumn):
    """How far a backfill has come. How far it has to go nobody knows before the buckets are listed to their end."""

    def __init__(self, work: Backfill) -> None:
        super().__init__()
        self._work = work

    def render(self, _task: Task) -> Text:
        where = printable(self._work.at)[-40:]
        return Text(f"{compared(self._work)}; at {where}", no_wrap=True, overflow="ellipsis")


def compared(work: Backfill) -> str:
    """What a backfill has found so far, such as ``1,000 objects compared: 990 up to date, 10 copied``."""
    counts = {result: work.results[result] for result in Result}
    parts = ", ".join(f"{number:,} {result}" for result, number in counts.items() if number)
    total = sum(counts.values())
    return f"{total:,} object{'' if total == 1 else 's'} compared" + (f": {parts}" if parts else "")


def backfill(console: Console, errors: Console, work: Backfill, *, as_json: bool) -> list[str]:
    """Runs a backfill: with a bar on a terminal, and a line for each object elsewhere; and a summary.

    Args:
        as_json: the lines are JSON, and the summary goes to ``errors``.

    Returns:
        The keys that failed.
    """
    has_bar = console.is_terminal and not as_json
    # What the bar counts needs no line of its own.
    quiet = {Result.UP_TO_DATE, Result.GONE, Result.NOT_STARTED} | ({Result.COPIED} if has_bar else set())
    failed: list[str] = []

    def tell(outcome: Outcome) -> None:
        if outcome.result is Result.FAILED:
            failed.append(outcome.key)
        if outcome.result in quiet:
            return
        if as_json:
            console.print(to_json(outcome.as_json()), soft_wrap=True, markup=False)
            return
        why = f": {shown(outcome.error)}" if outcome.error else ""
        where = ", ".join(f"{shown(bucket)} ({what})" for bucket, what in outcome.differences.items())
        mark = MARKS.get(outcome.result, "[cyan]…[/]")
        console.print(f"{mark} {shown(outcome.key)}: {outcome.result}: {where}{why}", soft_wrap=True)

    def sum_up() -> None:
        said = (
            compared(work) if work.results else f"No key in {shown(work.source)} begins with {shown(repr(work.prefix))}"
        )
        (errors if as_json else console).print(f"{said}.", soft_wrap=True)
        if work.is_cut_short:
            errors.print(f"Each failure is a notification, so after {MAX_FAILURES} nothing more was started.")

    bars = Bars(BarColumn(20), TimeElapsedColumn(), _Counts(work), console=console, disable=not has_bar, transient=True)
    try:
        with bars:
            bars.add_task("", total=None)
            work.run(tell)
    except BaseException:
        if work.results:
            sum_up()
        raise
    sum_up()
    return failed


# --- Records ----------------------------------------------------------------------------------------------------


def show_record(console: Console, record: dict[str, Any]) -> None:
    """A record in full: what it is of, and each destination with its result and what regional-sync found there."""
    if "status" not in record:
        console.print(f"{shown(record['fileKey'])}: an execution is about to write the record of this file.")
        return
    facts = {
        "File": f"[bold]{shown(record['fileKey'])}[/]",
        "Source bucket": shown(record["sourceBucket"]),
        "Status": styled(record["status"]),
        "Started": local(record["startTime"]),
        "Completed": local(record["completedAt"]) if "completedAt" in record else None,
        "Size": size(int(record["sourceSize"])) if record.get("sourceSize") is not None else None,
        "Version": shown(record["sourceVersionId"]) if record.get("sourceVersionId") else None,
        "Execution": shown(record["executionId"]),
        "Problem": f"[red]{shown(record['problem'])}[/]" if record.get("problem") else None,
    }
    for name, value in facts.items():
        if value is not None:
            # Never cut: an ARN is there to be copied.
            console.print(f"{name:<15}{value}", soft_wrap=True)
    console.print()
    table = Table("Destination", "Copy", "Arrived", "Verified", "Error", box=None, pad_edge=False)
    results = {result["destinationBucket"]: result for result in record.get("copyResults", [])}
    parts = under_way(record)
    for bucket in record["destinationBuckets"]:
        result, arrival = results.get(bucket, {}), record.get("arrivals", {}).get(bucket)
        if bucket in record.get("successfulBuckets", []):
            check = compared_by(result.get("check"))
            copy = "[green]✔ copied[/]" + (f" ({shown(check)})" if check else "")
        elif bucket in record.get("failedBuckets", []):
            copy = "[red]✘ failed[/]"
        elif bucket in parts:
            copy = f"[cyan]… {parts[bucket].percent} %[/]"
        else:
            copy = "[cyan]…[/]" if record["status"] == "IN_PROGRESS" else "[red]✘ not made[/]"
        verified = ("[green]✔[/] " if arrival["verified"] else "[red]✘[/] ") + arrival["check"] if arrival else "-"
        error = ": ".join(shown(result[name]) for name in ("error", "cause") if result.get(name))
        if arrival and arrival.get("problem"):
            error = shown(arrival["problem"])
        table.add_row(shown(bucket), copy, local(arrival["arrivedAt"]) if arrival else "-", verified, error)
    console.print(table)


def show_records(console: Console, records: Sequence[dict[str, Any]], *, has_more: bool) -> None:
    if not records:
        console.print("No record.")
        return
    table = Table("Started", "Status", "Copied", "File", "Failed", box=None, pad_edge=False)
    for record in records:
        copied = record.get("successfulCopies", "…")
        failed = [str(bucket) for bucket in record.get("failedBuckets", [])]
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        table.add_row(
            local(record["startTime"]),
            styled(record["status"]),
            f"{copied} of {record.get('totalBuckets', '?')}",
            shown(record["fileKey"]),
            shown(", ".join(failed[:3])) + more,
        )
    console.print(table)
    if has_more:
        console.print(f"These are the latest {len(records)}; --limit shows more, --since and --status fewer.")


# --- Watching ---------------------------------------------------------------------------------------------------


class Screen(Protocol):
    """Where executions are shown, again and again."""

    def __enter__(self) -> Screen: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, executions: Sequence[Progress]) -> None: ...


def for_watching(console: Console, *, as_json: bool, of_one: bool) -> Screen:
    """The screen that suits: a live view on a terminal, otherwise a line for each change.

    Args:
        of_one: one execution is followed, and shown as a timeline.
    """
    if as_json:
        return _Lines(console, lambda progress: to_json(progress.as_json()), nothing=None)
    if console.is_terminal:
        return _Live(console, _timeline if of_one else _running)
    return _Lines(console, _line, nothing=NOTHING_RUNS)


class _Live:
    """The terminal's lower part, drawn anew at each look."""

    def __init__(self, console: Console, draw: Callable[[Sequence[Progress]], RenderableType]) -> None:
        self._draw = draw
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="ellipsis")

    def __enter__(self) -> _Live:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, executions: Sequence[Progress]) -> None:
        self._live.update(self._draw(executions), refresh=True)


class _Lines:
    """A line for each execution that has changed since it was shown last."""

    def __init__(self, console: Console, line: Callable[[Progress], str], nothing: str | None) -> None:
        self._console, self._line, self._nothing = console, line, nothing
        self._last: dict[str, tuple[object, ...]] = {}

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""

    def show(self, executions: Sequence[Progress]) -> None:
        if not executions and not self._last and self._nothing:
            self._console.print(self._nothing)
            self._nothing = None
        for progress in executions:
            now = (progress.status, len(progress.visits), progress.copied, progress.attempts, progress.part)
            if self._last.get(progress.execution_arn) != now:
                self._last[progress.execution_arn] = now
                self._console.print(self._line(progress), soft_wrap=True, markup=False, highlight=False)


def _line(progress: Progress) -> str:
    return (
        f"{printable(progress.key)}: {progress.status} {progress.state}, {_counts(progress)},"
        f" {duration(progress.elapsed)}"
    )


def _counts(progress: Progress) -> str:
    retries = f", {progress.retries} retries" if progress.retries else ""
    part = f", {_how_far(progress.part)} under way" if progress.part else ""
    return f"{progress.copied} of {progress.destinations} copied{retries}{part}"


def _how_far(part: Part) -> str:
    return f"{size(part.copied)} of {size(part.total)} ({part.percent} %)"


def _running(executions: Sequence[Progress]) -> RenderableType:
    if not executions:
        return NOTHING_RUNS
    table = Table("File", "State", "Copied", "Under way", "Retries", "Elapsed", box=None, pad_edge=False)
    for progress in executions:
        table.add_row(
            shown(progress.key),
            styled(progress.status) if progress.is_over else progress.state,
            f"{progress.copied} of {progress.destinations}",
            _how_far(progress.part) if progress.part else "",
            str(progress.retries),
            duration(progress.elapsed),
        )
    return table


def _timeline(executions: Sequence[Progress]) -> RenderableType:
    [progress] = executions
    table = Table("", "State", "After", "Took", "", box=None, pad_edge=False)
    # A state is a line, however often it was entered: one that waits for its turn asks every few seconds, and a large
    # file takes many rounds.
    visits: dict[str, list[Visit]] = {}
    for visit in progress.visits:
        visits.setdefault(visit.state, []).append(visit)
    copying = [state for state in visits if state in (MAP_STATE, WORKER_MAP_STATE)]
    for state, its in visits.items():
        took = sum(((visit.left or datetime.now(UTC)) - visit.entered).total_seconds() for visit in its)
        mark = "[green]●[/]"
        if state == progress.state and progress.is_over:
            mark = "[green]✔[/]" if progress.status == "SUCCEEDED" else "[red]✘[/]"
        elif state == progress.state:
            mark = "[cyan]…[/]"
        times = f"{len(its)} times" if len(its) > 1 else ""
        table.add_row(
            mark,
            state,
            duration((its[0].entered - progress.started).total_seconds()),
            duration(took),
            ", ".join(filter(None, [_counts(progress) if state in copying[-1:] else "", times])),
        )
        if state in copying[-1:]:
            for bucket, part in progress.under_way.items():
                table.add_row("", f"  {shown(bucket)}", "", "", _how_far(part))
    # Beside the table, and not its title, which would be broken where the table ends.
    return Group(f"{shown(progress.key)}: {styled(progress.status)}, {duration(progress.elapsed)}", table)
