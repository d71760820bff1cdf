"""Follows executions while they run. Each look reads only the events since the last one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from filecopy.polling import Poller
from filecopy.stack.records import TrackingRecord, read_record, read_record_and_arrivals
from filecopy.stack.stack import Stack

from .find import MAX_FOLLOWED, arns_since, find_execution, running_arns
from .from_events import Event, history_of
from .model import RUNNING, WORKER_MAP_STATE, History

# Executions that are read at the same time.
_READ_AT_ONCE = 10

# Executions that have ended and are still shown.
MAX_ENDED = 20

# The clock of this machine may be ahead of AWS's.
_CLOCK_DIFFERENCE = timedelta(seconds=10)

# Events in an answer of GetExecutionHistory: few for what is new, and as many as it returns for the first look.
_PAGE, _FIRST_PAGE = 100, 1000


@dataclass
class _Followed:
    """An execution that is followed: its description, and the events read so far, oldest first."""

    described: dict[str, Any]
    events: list[Event] = field(default_factory=list)
    history: History | None = None

    @property
    def last_id(self) -> int:
        return int(self.events[-1]["id"]) if self.events else 0


class Follower:
    """Follows executions of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._workflow = stack.clients("stepfunctions")
        self._followed: dict[str, _Followed] = {}
        self._ended: dict[str, History | None] = {}
        """The executions that have ended since the first call. ``None`` if they are no longer shown."""
        self._since: datetime | None = None

    def find(self, name: str) -> str:
        """Find an execution by its ARN, its name, or a file's key, and return its ARN.

        Raises:
            StackError: there is no such execution.
        """
        described = find_execution(self._stack, name)
        arn: str = described["executionArn"]
        self._followed[arn] = _Followed(_as_started(described))
        return arn

    def look(self, execution_arn: str) -> History:
        """Read the execution, and its file's record while copy-worker is copying."""
        followed = self._followed.get(execution_arn)
        new = self._events_after(followed.last_id if followed else 0, execution_arn)
        if followed is None:
            followed = self._followed[execution_arn] = _Followed(self._description(execution_arn, new))
        followed.events += new
        history = followed.history
        if new or history is None:
            history = history_of(followed.described, followed.events)
        record = self._record_of(history)
        followed.history = replace(history, record=record, read_at=datetime.now(UTC))
        return followed.history

    def _description(self, execution_arn: str, events: list[Event]) -> dict[str, Any]:
        """What DescribeExecution says of a running execution. The first event says the same, without a request."""
        if not events:
            return _as_started(self._workflow.describe_execution(executionArn=execution_arn))
        return {
            "executionArn": execution_arn,
            "stateMachineArn": self._stack.state_machine,
            "status": RUNNING,
            "startDate": events[0]["timestamp"],
            "input": events[0]["executionStartedEventDetails"].get("input"),
        }

    def read(self, execution_arn: str) -> History:
        """Read what is new in the execution, and its file's record, and return everything that is known of it."""
        history = self.look(execution_arn)
        followed = self._followed[execution_arn]
        job = history.job
        is_own = job.key and job.source_bucket == self._stack.source_bucket
        record = read_record_and_arrivals(self._stack, str(job.key)) if is_own else None
        return history_of(followed.described, followed.events, record)

    def events(self, execution_arn: str) -> Sequence[Event]:
        """The events that have been read so far, oldest first."""
        return self._followed[execution_arn].events

    def _record_of(self, history: History) -> TrackingRecord | None:
        if history.is_over or history.state != WORKER_MAP_STATE or not history.job.key:
            return None
        return read_record(self._stack, history.job.key)

    def _events_after(self, last_id: int, execution_arn: str) -> list[Event]:
        """Read the events after the one with this id, oldest first."""
        new: list[Event] = []
        token: dict[str, str] = {}
        while True:
            page = self._workflow.get_execution_history(
                executionArn=execution_arn, reverseOrder=True, maxResults=_PAGE if last_id else _FIRST_PAGE, **token
            )
            new += [event for event in page["events"] if event["id"] > last_id]
            if "nextToken" not in page or page["events"][-1]["id"] <= last_id:
                return new[::-1]
            token = {"nextToken": page["nextToken"]}

    def current(self) -> list[History]:
        """Read the executions that are running, MAX_FOLLOWED at most, and those that have ended since the first call.

        An execution can start and end between two calls.

        Returns:
            The running executions, the latest first; then the MAX_ENDED latest of those that have ended.
        """
        if self._since is None:
            self._since = datetime.now(UTC) - _CLOCK_DIFFERENCE
            arns = running_arns(self._stack)
        else:
            arns = [arn for arn in self._followed if arn not in self._ended]
        arns += [arn for arn in arns_since(self._stack, self._since) if arn not in arns and arn not in self._ended]
        del arns[MAX_FOLLOWED:]
        # In parallel, so that all are read at about the same time.
        with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
            histories = dict(zip(arns, pool.map(self.look, arns), strict=True))
        running = sorted(
            (history for history in histories.values() if not history.is_over),
            key=lambda one: one.started,
            reverse=True,
        )
        for arn, history in histories.items():
            if history.is_over:
                self._ended[arn] = history
                del self._followed[arn]
        return [*running, *self._latest_ended()]

    def _latest_ended(self) -> list[History]:
        """The executions that have ended and are still shown, the latest first. The others are only remembered."""
        ended = [(history.ended, arn) for arn, history in self._ended.items() if history]
        latest = [arn for _, arn in sorted(ended, reverse=True)[:MAX_ENDED]]
        self._ended = {arn: history if arn in latest else None for arn, history in self._ended.items()}
        return [history for arn in latest if (history := self._ended[arn])]


def follow(follower: Follower, execution_arn: str, poller: Poller) -> Iterator[History]:
    """Look at an execution until it has ended, and yield it at each look."""
    for _ in poller.looks():
        history = follower.look(execution_arn)
        yield history
        if history.is_over:
            return


def follow_running(follower: Follower, poller: Poller) -> Iterator[list[History]]:
    """Look at all running executions for ever, and yield them and those that have ended at each look."""
    for _ in poller.looks():
        yield follower.current()


def _as_started(described: dict[str, Any]) -> dict[str, Any]:
    """The description without the end: DescribeExecution may know it before the last events have been read."""
    ends = ("stopDate", "error", "cause", "output")
    return {name: value for name, value in described.items() if name not in ends} | {"status": "RUNNING"}
