"""Follows the copies of files that were uploaded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from filecopy.errors import StackError
from filecopy.executions.inputs import Job
from filecopy.polling import Poller
from filecopy.stack.records import MAX_KEYS, Part, TrackingRecord, read_records
from filecopy.stack.stack import Stack
from filecopy.terminal import command, quoted
from handlers import arns

from .upload import Sent

# An execution can fail before it writes a record. So one look in ten is for the executions that failed.
LOOKS_PER_LIST = 10
_FAILED = ("FAILED", "TIMED_OUT", "ABORTED")

# Looks at the record of an execution that has failed, until execution-watcher must have closed it.
LOOKS_AFTER_FAILURE = 30

# replication-worker puts the end of the key into the execution's name (handlers/arns.py). Names have room for more.
_LENGTH_IN_NAME = 40


@dataclass(frozen=True)
class Outcome:
    """The end of a file's copies."""

    sent: Sent
    record: TrackingRecord | None
    """``None`` if the execution failed before it wrote one."""
    missing: list[str]
    """The followed destinations that have no copy."""
    is_superseded: bool = False
    """A newer upload of the key was copied instead. The record is about that one."""
    problem: str | None = None
    """The reason why there are no results."""
    execution_arn: str | None = None


@dataclass
class _Failure:
    """An execution that failed, and how often the record is looked at before that is the outcome."""

    described: dict[str, Any]
    looks_left: int = LOOKS_AFTER_FAILURE


class CopyFollower:
    """Follows the copies of some files. Each look is one request, whatever the number of files."""

    def __init__(self, stack: Stack, sent: Sequence[Sent], destinations: Sequence[str]) -> None:
        """
        Args:
            destinations: the destinations that count.
        """
        self._stack, self._sent, self._destinations = stack, sent, destinations
        self._workflow = stack.clients("stepfunctions")
        self._waiting = {one.key: one for one in sent}
        self._turns = deque(self._waiting)
        self._suspects: deque[str] = deque()
        self._seen: set[str] = set()
        self._failures: dict[str, _Failure] = {}
        self._parts: dict[tuple[str, str], Part] = {}

    @property
    def part(self) -> Part | None:
        """The copied part of the large copies seen so far, together; ``None`` if there are none."""
        parts = self._parts.values()
        return Part(sum(one.copied for one in parts), sum(one.total for one in parts)) if parts else None

    def outcomes(self, timeout: float, on_look: Callable[[], None] = lambda: None) -> Iterator[Outcome]:
        """Yield the outcome of each file when its copies have ended.

        Args:
            timeout: seconds.
            on_look: called after each look.

        Raises:
            StackError: some copies have not ended after ``timeout`` seconds.
        """
        for number, _ in enumerate(Poller.of(self._stack).looks(timeout), start=1):
            if number % LOOKS_PER_LIST == 0:
                self._list_failed(_FAILED[number // LOOKS_PER_LIST % len(_FAILED)])
            elif self._suspects:
                self._describe(self._suspects.popleft())
            else:
                yield from self._read_records()
            on_look()
            if not self._waiting:
                return
        names = ", ".join(quoted(key) for key in list(self._waiting)[:5])
        more = ", …" if len(self._waiting) > 5 else ""
        raise StackError(
            f"Timed out after {timeout:.0f} s: {len(self._waiting)} of {len(self._sent)} files have not finished:"
            f" {names}{more}. Their copies continue. See them with '{command('watch')}'."
        )

    def _read_records(self) -> Iterator[Outcome]:
        keys = [self._turns.popleft() for _ in range(min(MAX_KEYS, len(self._turns)))]
        records = read_records(self._stack, keys)
        for key in keys:
            outcome = self._judge(self._waiting[key], records[key]) if key in records else None
            if outcome is None:
                self._turns.append(key)
            else:
                del self._waiting[key]
                yield outcome

    def _judge(self, sent: Sent, record: TrackingRecord | None) -> Outcome | None:
        self._note_parts(sent.key, record)
        if outcome := outcome_of(sent, record, self._destinations):
            return outcome
        if failure := self._failures.get(sent.key):
            arn = failure.described["executionArn"]
            failure.looks_left -= 1
            # A record in progress gets its results from execution-watcher.
            if failure.looks_left <= 0 or not (record and record.is_of(arn)):
                parts = (failure.described.get(name) for name in ("status", "error", "cause"))
                problem = ": ".join(part for part in parts if part)
                return Outcome(sent, None, list(self._destinations), problem=problem, execution_arn=arn)
        return None

    def _note_parts(self, key: str, record: TrackingRecord | None) -> None:
        uploads = record.uploads if record else {}
        for name, part in self._parts.items():
            if name[0] == key:
                # The record drops a copy when it ends.
                self._parts[name] = uploads.get(name[1], Part(part.total, part.total))
        self._parts |= {(key, bucket): part for bucket, part in uploads.items()}

    def _list_failed(self, status: str) -> None:
        """Find the latest executions that failed and that may be of a file that waits."""
        earliest = min(datetime.fromisoformat(one.after) for one in self._waiting.values()) - timedelta(seconds=2)
        names = {arns.in_a_name(key)[-_LENGTH_IN_NAME:].strip("-") for key in self._waiting}
        listed = self._workflow.list_executions(
            stateMachineArn=self._stack.state_machine, statusFilter=status, maxResults=100
        )
        for execution in listed["executions"]:
            arn = execution["executionArn"]
            if (
                arn not in self._seen
                and execution["startDate"] >= earliest
                and any(name in arns.name_of(arn) for name in names)
            ):
                self._seen.add(arn)
                self._suspects.append(arn)

    def _describe(self, arn: str) -> None:
        described = self._workflow.describe_execution(executionArn=arn)
        job = Job.parse(described.get("input"))
        sent = self._waiting.get(job.key or "")
        if sent and job.source_bucket == self._stack.source_bucket and job.version_id == sent.version:
            self._failures[sent.key] = _Failure(described)


def outcome_of(sent: Sent, record: TrackingRecord | None, destinations: Sequence[str]) -> Outcome | None:
    """The outcome of a file, from its record; ``None`` if its copies have not ended.

    Executions for one file run one after the other, and each copies the newest version that it sees. So a record of
    another version is about an older upload, unless its execution started when this file was there already.
    """
    if record is None or not record.is_over:
        return None
    is_other = sent.version is not None and record.version_id not in (sent.version, None)
    is_earlier = record.started is not None and record.started < datetime.fromisoformat(sent.after)
    if is_earlier and (is_other or sent.version is None):
        return None
    missing = [bucket for bucket in destinations if bucket not in record.copied]
    return Outcome(sent, record, missing, is_other, record.problem, record.execution_arn)
