"""Model of an execution: its states, its copies, and the attempts at both. What is not recorded is ``None``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any

from filecopy.stack.records import Arrival, Part, TrackingRecord

from .inputs import Job, parse_json
from .states import Path

MAP_STATE = "CopyToMultipleBuckets"
COPY_STATE = "CopyToBucket"
COPY_FAILED_STATE = "CopyFailed"
WORKER_MAP_STATE = "CopyThroughWorker"
RUN_STATE = "RunCopyWorker"
LEASE_STATE = "AcquireLease"
WAIT_STATE = "WaitForTurn"

NOT_RECORDED = "not recorded"

RUNNING, SUCCEEDED = "RUNNING", "SUCCEEDED"
STATUSES = (RUNNING, SUCCEEDED, "FAILED", "TIMED_OUT", "ABORTED")


class StateStatus(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    CAUGHT = "CAUGHT"
    """It failed, and the execution continued at one of its catchers."""
    FAILED = "FAILED"
    ABORTED = "ABORTED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def is_failure(self) -> bool:
        return self not in (StateStatus.RUNNING, StateStatus.SUCCEEDED)


class Outcome(StrEnum):
    """Outcome of a copy."""

    COPIED = "copied"
    FAILED = "failed"
    IN_PROGRESS = "in progress"
    WAITING = "waiting"
    NOT_TRIED = "not tried"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Attempt:
    """One call of a Task. ``status`` and ``ended`` are None until it ends."""

    scheduled: datetime | None
    started: datetime | None
    ended: datetime | None
    status: str | None
    error: str | None
    cause: str | None


@dataclass(frozen=True)
class Calls:
    """Number of calls inside a Map, when it is not recorded which destination each call was for."""

    scheduled: int
    succeeded: int
    failed: int


@dataclass(frozen=True)
class CopyCalls:
    """Number of calls that copy a file, in the whole execution. A call of AbortCopy counts as one, too."""

    scheduled: int = 0
    copied: int = 0
    failed: int = 0
    unfinished: int = 0
    """Calls of copy-worker that neither copied nor failed: another run continues the copy."""


@dataclass(frozen=True)
class State:
    """A state that was entered. Input and output are JSON texts."""

    name: str
    type: str
    status: StateStatus
    entered: datetime
    exited: datetime | None
    input: str | None
    output: str | None
    error: str | None
    cause: str | None
    attempts: tuple[Attempt, ...]
    calls: Calls | None

    @property
    def retries(self) -> int:
        return max(len(self.attempts) - 1, 0)

    @property
    def is_lease_refusal(self) -> bool:
        """Another execution has the lease of the file. That is not a failure: this execution waits."""
        is_caught = self.name == LEASE_STATE and self.status is StateStatus.CAUGHT
        return is_caught and str(self.error).endswith("ConditionalCheckFailedException")


@dataclass(frozen=True)
class LeaseWait:
    """The time during which an execution waited for the lease of its file, because another execution had it."""

    states: tuple[State, ...]
    """The states in which it waited: attempts to take the lease, each with a wait after it."""

    @property
    def entered(self) -> datetime:
        return self.states[0].entered

    @property
    def exited(self) -> datetime | None:
        return self.states[-1].exited

    @property
    def count(self) -> int:
        return sum(state.name == LEASE_STATE for state in self.states)


@dataclass(frozen=True)
class Copy:
    """The copy to one destination."""

    bucket: str
    outcome: Outcome
    started: datetime | None
    ended: datetime | None
    attempts: tuple[Attempt, ...] | None
    """The attempts of all runs; None if they are not recorded by destination."""
    runs: int | None
    """Number of runs of copy-worker; 0 if S3 copied at once, or if the copy was not tried."""
    error: str | None
    cause: str | None
    etag: str | None
    version_id: str | None
    check: str | None
    """The check that verified the copy: the name of a checksum, ``ETag`` or ``none``."""
    arrival: Arrival | None
    """The copy as regional-sync found it."""

    @property
    def retries(self) -> int | None:
        """Attempts after the first of each run."""
        return None if self.attempts is None else max(len(self.attempts) - max(self.runs or 0, 1), 0)


@dataclass(frozen=True)
class History:
    """An execution so far. ``read_at`` is when it was read: the end of what is still running."""

    execution_arn: str
    state_machine_arn: str
    status: str
    started: datetime
    stopped: datetime | None
    read_at: datetime
    input: str | None
    output: str | None
    error: str | None
    cause: str | None
    states: tuple[State, ...]
    copies: tuple[Copy, ...]
    path: Path
    record: TrackingRecord | None
    """The file's tracking record. It may describe a newer execution."""
    copy_calls: CopyCalls = field(default_factory=CopyCalls)
    inner: tuple[State, ...] = ()
    """The states inside Maps, of all iterations. Empty on an engine that does not record which iteration an event is
    of."""

    @property
    def record_is_of_this_execution(self) -> bool:
        return self.record is not None and self.record.is_of(self.execution_arn)

    @cached_property
    def job(self) -> Job:
        return Job.parse(self.input)

    @property
    def is_over(self) -> bool:
        return self.status != RUNNING

    @property
    def ended(self) -> datetime:
        return self.stopped or self.read_at

    @property
    def elapsed(self) -> float:
        """Seconds."""
        return (self.ended - self.started).total_seconds()

    @property
    def state(self) -> str:
        """The name of the current state, or of the last one."""
        return self.states[-1].name if self.states else ""

    @property
    def steps(self) -> list[State | LeaseWait]:
        """The states, with those in which it waited for its file's lease together."""
        steps: list[State | LeaseWait] = []
        for state in self.states:
            if not state.is_lease_refusal and state.name != WAIT_STATE:
                steps.append(state)
            elif steps and isinstance(steps[-1], LeaseWait):
                steps[-1] = LeaseWait((*steps[-1].states, state))
            else:
                steps.append(LeaseWait((state,)))
        return steps

    @property
    def is_waiting(self) -> bool:
        """It waits for the lease of its file."""
        return not self.is_over and bool(self.steps) and isinstance(self.steps[-1], LeaseWait)

    @property
    def retries(self) -> int:
        """Attempts after the first of each copy, or of each of its runs.

        Not every engine records which copy an attempt belongs to. So until every copy was tried, this is the smallest
        number possible.
        """
        calls = self.copy_calls
        return max(0, calls.scheduled - len(self.job.destinations) - calls.unfinished)

    @property
    def uploads(self) -> Mapping[str, Part]:
        """The copies that copy-worker is making, by destination."""
        return self.record.uploads if self.record and self.record_is_of_this_execution and not self.is_over else {}

    @property
    def uploaded(self) -> Part | None:
        """The sum of these copies; ``None`` if there is none."""
        parts = self.uploads.values()
        return Part(sum(part.copied for part in parts), sum(part.total for part in parts)) if parts else None

    def left(self, index: int) -> datetime | None:
        """The time when the execution left the state with this index; ``None`` if it has not left it."""
        if self.states[index].exited:
            return self.states[index].exited
        return self.states[index + 1].entered if index + 1 < len(self.states) else self.stopped

    def as_json(self) -> dict[str, Any]:
        """The members of ``history --json``: times in ISO 8601, inputs and outputs as values."""
        whole: dict[str, Any] = plain(asdict(replace(self, record=None)))
        del whole["path"], whole["copy_calls"], whole["inner"]
        for part in (whole, *whole["states"]):
            part["input"], part["output"] = parse_json(part["input"]), parse_json(part["output"])
        for part, state in zip(whole["states"], self.states, strict=True):
            part["retries"] = state.retries
        for part, copy in zip(whole["copies"], self.copies, strict=True):
            part["retries"] = copy.retries
            part["arrival"] = plain(copy.arrival.item) if copy.arrival else None
        whole["record"] = plain(self.record.item) if self.record else None
        whole["record_is_of_this_execution"] = self.record_is_of_this_execution
        camel: dict[str, Any] = _camel(whole, keep={"record", "input", "output", "arrival"})
        return camel

    def as_progress(self) -> dict[str, Any]:
        """The members of ``watch --json``; times are :class:`datetime`."""
        return {
            "executionArn": self.execution_arn,
            "key": self.job.key or "",
            "status": self.status,
            "started": self.started,
            "stopped": self.stopped,
            "elapsedSeconds": round(self.elapsed, 3),
            "state": self.state,
            "destinations": len(self.job.destinations),
            "copied": self.copy_calls.copied,
            "attempts": self.copy_calls.scheduled,
            "failedAttempts": self.copy_calls.failed,
            "retries": self.retries,
            "underWay": {
                bucket: {"copiedBytes": part.copied, "totalBytes": part.total, "percent": part.percent}
                for bucket, part in self.uploads.items()
            },
            "states": [
                {"state": state.name, "entered": state.entered, "left": self.left(index)}
                for index, state in enumerate(self.states)
            ],
        }


def plain(value: Any) -> Any:
    """The value in types that JSON has."""
    if isinstance(value, Mapping):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(member) for member in value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _camel(value: Any, keep: set[str]) -> Any:
    """The value with member names as in AWS's answers. The members in ``keep`` stay as they are."""
    if isinstance(value, list):
        return [_camel(member, keep) for member in value]
    if not isinstance(value, dict):
        return value
    return {
        name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:]): member
        if name in keep
        else _camel(member, keep)
        for name, member in value.items()
    }
