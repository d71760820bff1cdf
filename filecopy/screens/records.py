"""Screens of ``filecopy status`` and ``filecopy list``: tracking records."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from filecopy.stack.records import IN_PROGRESS, TrackingRecord
from filecopy.terminal import BAD, GOOD, compared_by, error_text, local, shown, size, styled

# Failed destinations of a file that a list names.
_MAX_FAILED = 3


def show_record(console: Console, record: TrackingRecord) -> None:
    """Print a record: the file, and for each destination the result and the arrival."""
    if record.status is None:
        console.print(f"{shown(record.key)}: an execution is about to write the record of this file.")
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
    console.print()
    table = Table("Destination", "Copy", "Arrived", "Verified", "Error", box=None, pad_edge=False)
    for bucket in record.destinations:
        table.add_row(shown(bucket), _copy(record, bucket), *_arrival(record, bucket), _error(record, bucket))
    console.print(table)


def _copy(record: TrackingRecord, bucket: str) -> str:
    if bucket in record.copied:
        result = record.results.get(bucket)
        check = compared_by(result.check if result else None)
        return "[green]✔ copied[/]" + (f" ({shown(check)})" if check else "")
    if bucket in record.failed:
        return f"{BAD} [red]failed[/]"
    if bucket in record.uploads:
        return f"[cyan]… {record.uploads[bucket].percent} %[/]"
    return "[cyan]…[/]" if record.status == IN_PROGRESS else f"{BAD} [red]not made[/]"


def _arrival(record: TrackingRecord, bucket: str) -> tuple[str, str]:
    """The time of an arrival, and how it was verified."""
    arrival = record.arrivals.get(bucket)
    if arrival is None:
        return "-", "-"
    time = local(arrival.arrived) if arrival.arrived else "-"
    return time, f"{GOOD if arrival.is_verified else BAD} {shown(arrival.check or '')}"


def _error(record: TrackingRecord, bucket: str) -> str:
    result, arrival = record.results.get(bucket), record.arrivals.get(bucket)
    if arrival and arrival.problem:
        return shown(arrival.problem)
    return shown(error_text(result.error, result.cause)) if result else ""


def show_records(console: Console, records: Sequence[TrackingRecord], *, has_more: bool) -> None:
    """Print a table of records."""
    if not records:
        console.print("No record.")
        return
    table = Table("Started", "Status", "Copied", "File", "Failed", box=None, pad_edge=False)
    for record in records:
        copied = "…" if record.copied_count is None else record.copied_count
        more = f" and {len(record.failed) - _MAX_FAILED} more" if len(record.failed) > _MAX_FAILED else ""
        table.add_row(
            local(record.started) if record.started else "",
            styled(record.status or IN_PROGRESS),
            f"{copied} of {'?' if record.total_count is None else record.total_count}",
            shown(record.key),
            shown(", ".join(record.failed[:_MAX_FAILED])) + more,
        )
    console.print(table)
    if has_more:
        console.print(f"These are the latest {len(records)}; --limit shows more, --since and --status fewer.")
