"""Screens of ``filecopy status`` and ``filecopy list``: tracking records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from filecopy.stack.records import IN_PROGRESS, TrackingRecord
from filecopy.terminal import (
    BAD,
    BUSY,
    GOOD,
    Column,
    Row,
    compared_by,
    error_text,
    local,
    now,
    print_table,
    short_time,
    shown,
    size,
    styled,
)
from handlers.text import printable

# Failed destinations of a file that a list on a terminal names.
_MAX_FAILED = 3

_DESTINATIONS = (
    Column("Destination"),
    Column("Copy"),
    Column("Check"),
    Column("Arrived"),
    Column("Error", is_below=True),
)
_RECORDS = (Column("File"), Column("Started"), Column("Status"), Column("Copied"), Column("Failed", is_below=True))


def show_record(console: Console, record: TrackingRecord) -> None:
    """Print a record: the file, and for each destination the result and the arrival."""
    if record.status is None:
        console.print(f"{shown(record.key)}: an execution is about to write the record of this file.", soft_wrap=True)
        return
    facts = {
        "File": f"[bold]{shown(record.key)}[/]",
        "Source bucket": shown(record.source_bucket),
        "Status": styled(record.status),
        "Started": local(record.started) if record.started else None,
        "Completed": local(record.completed) if record.completed else None,
        "Size": None if record.size is None else size(record.size),
        "Version": shown(record.version_id) if record.version_id else None,
        "Execution": shown(record.execution_arn) if record.execution_arn else None,
        "Problem": f"[red]{shown(record.problem)}[/]" if record.problem else None,
    }
    for name, value in facts.items():
        if value is not None:
            # Not wrapped, so that an ARN can be copied.
            console.print(f"{name:<15}{value}", soft_wrap=True)
    if record.destinations:
        console.print()
        print_table(console, _DESTINATIONS, [_destination(console, record, bucket) for bucket in record.destinations])


def _destination(console: Console, record: TrackingRecord, bucket: str) -> Row:
    result, arrival = record.results.get(bucket), record.arrivals.get(bucket)
    error = error_text(result.error, result.cause) if result else ""
    if arrival and arrival.problem:
        error = arrival.problem
    arrived = _arrived(console, record, bucket)
    return [shown(bucket), _copy(record, bucket), _check(record, bucket), arrived, shown(error)]


def _copy(record: TrackingRecord, bucket: str) -> str:
    if bucket in record.copied:
        return f"{GOOD} [green]copied[/]"
    if bucket in record.failed:
        return f"{BAD} [red]failed[/]"
    if bucket in record.uploads:
        return f"[cyan]… {record.uploads[bucket].percent} %[/]"
    return BUSY if record.status == IN_PROGRESS else f"{BAD} [red]not made[/]"


def _check(record: TrackingRecord, bucket: str) -> str:
    """The strongest comparison with the source: the workflow's, or the one of regional-sync after the arrival."""
    result, arrival = record.results.get(bucket), record.arrivals.get(bucket)
    if result and result.is_copied and result.check not in (None, "none"):
        return shown(compared_by(result.check))
    if arrival and arrival.check:
        return "size only" if arrival.check == "size" else shown(arrival.check)
    return compared_by(result.check) if result and result.is_copied else ""


def _arrived(console: Console, record: TrackingRecord, bucket: str) -> str:
    arrival = record.arrivals.get(bucket)
    if arrival is None:
        return ""
    time = ""
    if arrival.arrived:
        is_short = console.is_terminal and record.started
        time = short_time(arrival.arrived, record.started or arrival.arrived) if is_short else local(arrival.arrived)
    return f"{GOOD if arrival.is_verified else BAD} {time}"


def show_records(console: Console, records: Sequence[TrackingRecord], *, has_more: bool) -> None:
    """Print a table of records."""
    if not records:
        console.print("No record.")
        return
    print_table(console, _RECORDS, [_record(console, record) for record in records])
    if has_more:
        console.print(f"These are the latest {len(records)}; --limit shows more, --since and --status fewer.")


def _record(console: Console, record: TrackingRecord) -> Row:
    copied = "…" if record.copied_count is None else record.copied_count
    total = "?" if record.total_count is None else record.total_count
    return [
        shown(record.key),
        _started(console, record.started),
        styled(record.status or IN_PROGRESS),
        f"{copied} of {total}",
        _failed(record.failed, len(record.failed) if not console.is_terminal else _MAX_FAILED),
    ]


def _started(console: Console, time: datetime | None) -> str:
    if time is None:
        return ""
    return short_time(time, now()) if console.is_terminal else local(time)


def _failed(buckets: Sequence[str], limit: int) -> Text:
    more = f" and {len(buckets) - limit} more" if len(buckets) > limit else ""
    return Text(printable(", ".join(buckets[:limit])) + more)
