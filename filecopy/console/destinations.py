"""The destinations: how well the copies to each bucket work."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from filecopy.stack.records import MAX_KEYS, STATUSES, TrackingRecord, read_records
from filecopy.terminal import duration, size

from .reader import Reader, percentile
from .words import copies_of


@dataclass(frozen=True)
class Destination:
    """A bucket, and the latest copies to it."""

    bucket: str
    region: str
    is_external: bool
    copied: int
    failed: int
    going: int
    bytes: str
    lag: str
    """The median and the 95th percentile of the time from the start of an execution to the end of its copy here."""
    last_failure: TrackingRecord | None
    why: str

    @property
    def rate(self) -> str:
        total = self.copied + self.failed
        # Rounded down, so that it is 100 only when nothing failed.
        return f"{self.copied * 1000 // total / 10:g} %" if total else "no copy yet"


def destinations(reader: Reader, _query: dict[str, str]) -> dict[str, Any]:
    """Read the page: the latest MAX_KEYS files, with one request for their records."""
    records = reader.recent("destinations", lambda: _latest(reader))
    buckets = dict.fromkeys([*reader.stack.destinations, *(one for record in records for one in record.destinations)])
    return {
        "destinations": [_destination(reader, bucket, records) for bucket in buckets],
        "files": len(records),
        "most": MAX_KEYS,
    }


def _latest(reader: Reader) -> list[TrackingRecord]:
    latest = heapq.merge(
        *reader.pages(STATUSES, MAX_KEYS).values(),
        key=lambda record: str(record.item.get("startTime", "")),
        reverse=True,
    )
    own = (record.key for record in latest if record.source_bucket == reader.stack.source_bucket)
    keys = list(islice(dict.fromkeys(own), MAX_KEYS))
    whole: Mapping[str, TrackingRecord | None] = read_records(reader.stack, keys) if keys else {}
    return [record for key in keys if (record := whole.get(key))]


def _destination(reader: Reader, bucket: str, records: Sequence[TrackingRecord]) -> Destination:
    copies = [(record, copy) for record in records for copy in copies_of(record) if copy.bucket == bucket]
    copied = [(record, copy) for record, copy in copies if copy.outcome == "copied"]
    failed = [(record, copy) for record, copy in copies if copy.outcome == "failed"]
    lags = [(copy.ended - record.started).total_seconds() for record, copy in copied if copy.ended and record.started]
    lags = [lag for lag in lags if lag >= 0]
    return Destination(
        bucket=bucket,
        region=reader.stack.regions.get(bucket, ""),
        is_external=bucket not in reader.stack.destinations,
        copied=len(copied),
        failed=len(failed),
        going=len(copies) - len(copied) - len(failed),
        bytes=size(sum(record.size or 0 for record, _ in copied)),
        lag=f"{duration(percentile(lags, 50))}, {duration(percentile(lags, 95))}" if lags else "",
        last_failure=failed[0][0] if failed else None,
        why=(failed[0][1].error or failed[0][0].problem or "") if failed else "",
    )
