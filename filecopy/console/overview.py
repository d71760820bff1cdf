"""The overview: what needs a person, what happens now, and how long files take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from components import outputs
from components.names import ALARM_NAMES_BEGIN_WITH
from filecopy.pages.report import BAD, BUSY, GOOD
from filecopy.stack.records import IN_PROGRESS, STATUSES, TrackingRecord, read_page, read_records
from filecopy.terminal import counted
from handlers.text import iso

from .dead_letters import Queue, queues
from .reader import Part, Reader, part, percentile, upload_to_copied
from .words import status_words, why

# Records of each status that the overview reads: enough for the graph of a day of most stacks, in one request.
_READ = 250
_SHOWN = 8
_HOURS = 24
_TIMED = 25


@dataclass(frozen=True)
class Need:
    """Something that needs a person."""

    text: str
    url: str
    action: str


@dataclass(frozen=True)
class Column:
    """An hour of the graph: the heights of its parts, in percent, from the bottom up."""

    label: str
    title: str
    parts: Sequence[tuple[str, float, float]]
    """Kind, lower end and height."""


@dataclass(frozen=True)
class Failure:
    """A file that was not copied everywhere."""

    record: TrackingRecord
    why: str


@dataclass(frozen=True)
class Times:
    """Seconds from the upload to the end of the copies, of the latest uploads."""

    count: int
    median: float
    p95: float


def overview(reader: Reader, _query: dict[str, str]) -> dict[str, Any]:
    """Read the overview."""
    now = datetime.now(UTC)
    since = iso(now - timedelta(hours=_HOURS))
    records = reader.pages(STATUSES, _READ, since=since)
    # A copy may have been in progress for longer than a day.
    running = records[IN_PROGRESS] or read_page(reader.stack, IN_PROGRESS, _SHOWN)
    failed = sorted(records["FAILED"] + records["PARTIAL_FAILURE"], key=_started, reverse=True)
    queue_part = part(lambda: reader.recent("queues", lambda: queues(reader)))
    alarm_part = part(lambda: reader.recent("alarms", lambda: _alarms(reader)))
    columns, highest = _columns([record for found in records.values() for record in found], now)
    counts = {status: len(found) for status, found in records.items()}
    return {
        "needs": list(_needs(len(failed), queue_part.value or [], alarm_part.value or [])),
        "running": running[:_SHOWN],
        "failures": _failures(reader, failed[:_SHOWN]),
        "latest": records["COMPLETED"][:_SHOWN],
        "counts": counts,
        "is_cut": any(count == _READ for count in counts.values()),
        "read": _READ,
        "columns": columns,
        "highest": highest,
        "queues": queue_part,
        "alarms": alarm_part,
        "times": _times(reader),
        "has_files": any(counts.values()) or bool(running),
    }


def _started(record: TrackingRecord) -> datetime:
    return record.started or datetime.min.replace(tzinfo=UTC)


def _needs(failed: int, found: Sequence[Queue], alarms: Sequence[dict[str, Any]]) -> Any:
    for alarm in alarms:
        text = str(alarm.get("AlarmDescription") or alarm["StateReason"]).partition("\n")[0]
        yield Need(f"Alarm {alarm['AlarmName']}: {text}", "", "")
    for queue in found:
        if queue.dead_letters:
            text = f"{counted(queue.dead_letters, 'event')} of {queue.name} could not be processed."
            yield Need(text, f"/dead-letters?{urlencode({'queue': queue.name})}", "See why and replay")
    if failed:
        text = f"{counted(failed, 'file was', 'files were')} not copied everywhere in the last {_HOURS} hours."
        yield Need(text, "/files?status=failed&since=1d", "See and retry")


def _failures(reader: Reader, failed: Sequence[TrackingRecord]) -> list[Failure]:
    # Stacks with other source buckets may share the table.
    own = [record.key for record in failed if record.source_bucket == reader.stack.source_bucket]
    whole = read_records(reader.stack, list(dict.fromkeys(own))) if own else {}
    return [Failure(record, why(whole.get(record.key) or record)) for record in failed]


def _alarms(reader: Reader) -> list[dict[str, Any]]:
    """The alarms of the stack, in every region, that need attention."""
    machine = reader.stack.state_machine.rpartition(":")[2]
    prefix = machine.removesuffix("file-copy-workflow") + ALARM_NAMES_BEGIN_WITH
    found: list[dict[str, Any]] = []
    for region in dict.fromkeys([reader.stack.outputs[outputs.REGION], *reader.stack.regions.values()]):
        cloudwatch = reader.stack.clients.in_region(region)("cloudwatch")
        found += cloudwatch.describe_alarms(AlarmNamePrefix=prefix, StateValue="ALARM")["MetricAlarms"]
    # LocalStack returns those in other states, too.
    return [alarm for alarm in found if alarm["StateValue"] == "ALARM"]


def _times(reader: Reader) -> Part[Times | None]:
    def read() -> Times | None:
        executions, _ = reader.list_executions("SUCCEEDED", None, _TIMED)
        seconds = [took for one in reader.describe(executions) if one and (took := upload_to_copied(one)) is not None]
        return Times(len(seconds), percentile(seconds, 50), percentile(seconds, 95)) if seconds else None

    return part(lambda: reader.recent("times", read))


def _columns(records: Sequence[TrackingRecord], now: datetime) -> tuple[list[Column], int]:
    """The hours of the graph, the latest last, and the number of files in the highest column."""
    kinds = (GOOD, BUSY, BAD)
    numbers = [dict.fromkeys(kinds, 0) for _ in range(_HOURS)]
    for record in records:
        if record.started and 0 <= (hour := int((now - record.started).total_seconds() // 3600)) < _HOURS:
            numbers[_HOURS - 1 - hour][status_words(record.status)[0]] += 1
    highest = max(sum(each.values()) for each in numbers)
    columns = []
    for index, each in enumerate(numbers):
        start = (now - timedelta(hours=_HOURS - index)).astimezone()
        parts, below = [], 0.0
        for kind in kinds:
            height = each[kind] / (highest or 1) * 100
            if height:
                parts.append((kind, below, height))
            below += height
        title = f"{start:%H:%M}: {each[GOOD]} copied, {each[BUSY]} in progress, {each[BAD]} failed"
        columns.append(Column(f"{start:%H:%M}", title, parts))
    return columns, highest
