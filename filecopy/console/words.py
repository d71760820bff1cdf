"""Words of the console: statuses, ages, and records in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from filecopy.executions.model import Outcome
from filecopy.pages.report import BAD, BUSY, GOOD, OUTCOME_KINDS, QUIET, Headline
from filecopy.stack.records import IN_PROGRESS, TrackingRecord
from filecopy.terminal import compared_by, counted, error_text

# The kind and the words of each status of a record or an execution.
STATUSES: Mapping[str, tuple[str, str]] = {
    "COMPLETED": (GOOD, "copied"),
    "SUCCEEDED": (GOOD, "succeeded"),
    IN_PROGRESS: (BUSY, "in progress"),
    "RUNNING": (BUSY, "running"),
    "PARTIAL_FAILURE": (BAD, "partly failed"),
    "FAILED": (BAD, "failed"),
    "TIMED_OUT": (BAD, "timed out"),
    "ABORTED": (BAD, "stopped"),
    "CAUGHT": (BAD, "failed, and continued after the error"),
}
WAITING = (QUIET, "waiting")


def status_words(status: str | None) -> tuple[str, str]:
    return STATUSES.get(status or "", WAITING)


def ago(time: datetime, now: datetime) -> str:
    """The age of a time, in words. It changes once a minute at most, and so does a page with it."""
    minutes = int((now - time).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days ago"


def record_headline(record: TrackingRecord) -> Headline:
    """The sentence about a file that a reader needs first."""
    total = record.total_count or len(record.destinations)
    copied = len(record.copied)
    sentences = {
        "COMPLETED": f"Copied to {'1 destination' if total == 1 else f'all {total} destinations'}",
        "PARTIAL_FAILURE": f"Partly failed: {len(record.failed)} of {counted(total, 'copy', 'copies')} failed",
        "FAILED": "Failed: no copy was made",
        IN_PROGRESS: f"In progress: {copied} of {counted(total, 'copy', 'copies')} made so far",
    }
    return Headline(status_words(record.status)[0], sentences.get(record.status or "", "Waiting for its first copies"))


@dataclass(frozen=True)
class Copied:
    """The copy of a file to one destination, as its record has it."""

    bucket: str
    kind: str
    outcome: str
    check: str = ""
    error: str = ""
    ended: datetime | None = None
    percent: int | None = None
    """Of a large copy that is being made."""
    arrival: str = ""
    arrival_kind: str = QUIET
    version: str | None = None


def copies_of(record: TrackingRecord) -> list[Copied]:
    """The copies of a file, by destination."""
    buckets = dict.fromkeys([*record.destinations, *record.copied, *record.failed, *record.results])
    return [_copied(record, bucket) for bucket in buckets]


def _copied(record: TrackingRecord, bucket: str) -> Copied:
    result, arrival, upload = record.results.get(bucket), record.arrivals.get(bucket), record.uploads.get(bucket)
    if bucket in record.copied or (result and result.is_copied):
        outcome = Outcome.COPIED
    elif bucket in record.failed or result:
        outcome = Outcome.FAILED
    else:
        outcome = Outcome.UNKNOWN if record.is_over else Outcome.IN_PROGRESS if upload else Outcome.WAITING
    verified = ""
    if arrival:
        verified = f"verified by {arrival.check}" if arrival.is_verified else f"not verified: {arrival.problem}"
    return Copied(
        bucket=bucket,
        kind=OUTCOME_KINDS[outcome],
        outcome=outcome,
        check=compared_by(result.check) if result else "",
        error=error_text(result.error, result.cause) if result and outcome is Outcome.FAILED else "",
        ended=result.ended if result else None,
        percent=upload.percent if upload else None,
        arrival=verified,
        arrival_kind=GOOD if arrival and arrival.is_verified else BAD if arrival else QUIET,
        version=result.version_id if result else None,
    )


def why(record: TrackingRecord) -> str:
    """The reason why a file was not copied everywhere: of the first copy that failed, or of the file itself."""
    failed = next((one for one in copies_of(record) if one.error), None)
    return record.problem or (f"{failed.bucket}: {failed.error}" if failed else "")
