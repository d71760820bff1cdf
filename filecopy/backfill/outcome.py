"""The result for an object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from filecopy.stack.records import TrackingRecord

from .comparison import Difference


class Result(StrEnum):
    """The end of an object's comparison, as the summary counts it."""

    UP_TO_DATE = "up to date"
    COPIED = "copied"
    TO_BE_COPIED = "to be copied"
    FAILED = "failed"
    FAILED_BEFORE = "failed before"
    NOT_COMPARED = "not compared"
    ARCHIVED = "archived"
    CUSTOMER_KEY = "encrypted with a customer's key"
    BUSY = "being copied by another execution"
    GONE = "deleted meanwhile"
    STILL_COPYING = "still being copied"
    NOT_STARTED = "not started"


FAILURES = frozenset({Result.FAILED, Result.FAILED_BEFORE, Result.NOT_COMPARED})
"""The results after which the exit status is 1."""


@dataclass(frozen=True)
class Outcome:
    """An object that was not up to date everywhere by the listings, and its result."""

    key: str
    result: Result
    differences: Mapping[str, Difference] = field(default_factory=dict)
    """By destination that needs a copy."""
    execution_arn: str | None = None
    error: str | None = None
    failed: frozenset[str] = frozenset()
    """The destinations whose copies failed in this run."""

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        return {
            "key": self.key,
            "result": self.result,
            "destinations": dict(self.differences),
            "executionArn": self.execution_arn,
            "error": self.error,
        }


def judge(key: str, differences: Mapping[str, Difference], record: TrackingRecord) -> Outcome:
    """The outcome of an execution that ended with this record.

    Args:
        differences: the copies that the execution was for. The record may have failed copies to other destinations.
    """
    missing = {bucket for bucket in differences if bucket not in record.copied}
    if record.problem:
        # The copies in the record are those of an earlier execution.
        return Outcome(key, Result.FAILED, differences, record.execution_arn, record.problem, frozenset(differences))
    if not missing:
        return Outcome(key, Result.COPIED, differences, record.execution_arn)
    why = "; ".join(_reason(record, bucket) for bucket in sorted(missing))
    return Outcome(key, Result.FAILED, differences, record.execution_arn, why, frozenset(missing))


def describe_failures(record: TrackingRecord, buckets: Iterable[str]) -> str:
    """The reasons in a record why copies failed."""
    return record.problem or "; ".join(_reason(record, bucket) for bucket in buckets)


def _reason(record: TrackingRecord, bucket: str) -> str:
    result = record.results.get(bucket)
    return ": ".join(part for part in (bucket, result and result.error, result and result.cause) if part)
