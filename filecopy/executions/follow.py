"""Follows executions while they run: the state each is in, its copies, its retries."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from filecopy import executions
from filecopy.errors import StackError
from filecopy.stack.records import Part, read_record, under_way
from filecopy.stack.stack import Target
from handlers import arns

from .model import WORKER_MAP_STATE, parsed

# Executions that are looked into at once: each look is a request.
MAX_FOLLOWED = 50
_LOOKS_AT_ONCE = 10

# How many events of a history come in one answer; most looks need no second.
_PAGE = 100


@dataclass
class Visit:
    """A state that was entered. ``left`` is ``None`` as long as it is not left."""

    state: str
    entered: datetime
    left: datetime | None = None


@dataclass
class Progress:
    """An execution, as far as its history has been read."""

    execution_arn: str
    key: str
    status: str
    started: datetime
    destinations: int
    """How many copies the execution makes."""
    visits: list[Visit] = field(default_factory=list)
    """The states entered, in order. Those inside the Maps are the copies, and counted below."""
    copied: int = 0
    attempts: int = 0
    failed_attempts: int = 0
    unfinished: int = 0
    """Calls of copy-worker after which nothing was copied or failed: runs that another follows, and AbortCopy's."""
    under_way: dict[str, Part] = field(default_factory=dict)
    """How far the large copies are, by destination."""
    stopped: datetime | None = None
    _seen: int = field(default=0, repr=False)
    """The last event that was read."""

    @property
    def is_over(self) -> bool:
        return self.status != "RUNNING"

    @property
    def state(self) -> str:
        """The state it is in, or was in last."""
        return self.visits[-1].state if self.visits else ""

    @property
    def retries(self) -> int:
        """Attempts beyond the first of each copy, or of each of its runs. Not every engine says which copy an attempt
        is of, so as long as not every copy has been tried this is the least that it can be; and a call of AbortCopy
        that fails counts as one."""
        return max(0, self.attempts - self.destinations - self.unfinished)

    @property
    def part(self) -> Part | None:
        """How far the large copies are, together; ``None`` where none is under way."""
        parts = self.under_way.values()
        return Part(sum(one.copied for one in parts), sum(one.total for one in parts)) if parts else None

    @property
    def elapsed(self) -> float:
        """Seconds."""
        return ((self.stopped or datetime.now(UTC)) - self.started).total_seconds()

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` has it; times are still :class:`datetime`."""
        return {
            "executionArn": self.execution_arn,
            "key": self.key,
            "status": self.status,
            "started": self.started,
            "stopped": self.stopped,
            "elapsedSeconds": round(self.elapsed, 3),
            "state": self.state,
            "destinations": self.destinations,
            "copied": self.copied,
            "attempts": self.attempts,
            "failedAttempts": self.failed_attempts,
            "retries": self.retries,
            "underWay": {
                bucket: {"copiedBytes": part.copied, "totalBytes": part.total, "percent": part.percent}
                for bucket, part in self.under_way.items()
            },
            "states": [{"state": one.state, "entered": one.entered, "left": one.left} for one in self.visits],
        }


class Watcher:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._workflow = target.clients("stepfunctions")
        self._known: dict[str, Progress] = {}

    def running(self) -> list[Progress]:
        """The executions that run now, the latest first, MAX_FOLLOWED at most; and once those that were seen running
        and have ended since."""
        arns = self._running_arns()
        if len(arns) < MAX_FOLLOWED:
            arns += [arn for arn in self._known if arn not in arns]
        # One after the other, the first would have changed before the last was looked at.
        with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
            found = list(pool.map(self.look, arns))
        self._known = {progress.execution_arn: progress for progress in found if not progress.is_over}
        return found

    def _running_arns(self) -> list[str]:
        pages = self._workflow.get_paginator("list_executions").paginate(
            stateMachineArn=self._target.state_machine,
            statusFilter="RUNNING",
            PaginationConfig={"MaxItems": MAX_FOLLOWED, "PageSize": MAX_FOLLOWED},
        )
        return [execution["executionArn"] for page in pages for execution in page["executions"]]

    def look(self, execution_arn: str) -> Progress:
        """How far the execution is. Only what has happened since the last look is read, and the record while
        copy-worker is at work."""
        progress = self._known.get(execution_arn) or _not_read(
            self._workflow.describe_execution(executionArn=execution_arn)
        )
        self._known[execution_arn] = progress
        # Oldest last: what was seen before ends the reading.
        token: dict[str, str] = {}
        fresh: list[dict[str, Any]] = []
        while True:
            page = self._workflow.get_execution_history(
                executionArn=execution_arn, reverseOrder=True, maxResults=_PAGE, **token
            )
            fresh += [event for event in page["events"] if event["id"] > progress._seen]
            if "nextToken" not in page or page["events"][-1]["id"] <= progress._seen:
                break
            token = {"nextToken": page["nextToken"]}
        for event in reversed(fresh):
            _read(event, progress)
        if progress.is_over:
            progress.under_way = {}
        elif progress.state == WORKER_MAP_STATE:
            record = read_record(self._target.clients("dynamodb"), self._target.outputs, progress.key)
            is_ours = record is not None and record.get("executionId") == execution_arn
            progress.under_way = under_way(record) if record and is_ours else {}
        return progress

    def find(self, named: str) -> dict[str, Any]:
        """The execution that is meant by its ARN, by its name, or by a file's key: the one that its record is of, or,
        where there is no record yet, one that waits for its turn.

        Returns:
            What DescribeExecution answers.

        Raises:
            StackError: there is none.
        """
        described = self._describe(named)
        self._known[described["executionArn"]] = _not_read(described)
        return described

    def _describe(self, named: str) -> dict[str, Any]:
        if named.startswith("arn:"):
            arn = named
        else:
            record = read_record(self._target.clients("dynamodb"), self._target.outputs, named)
            if record and "executionId" in record:
                if described := executions.describe(self._workflow, record["executionId"]):
                    return described
                raise StackError(
                    f"The execution that the record of {named!r} is of is gone, as 90 days after its end:"
                    f" {record['executionId']}. 'filecopy status' shows the record."
                )
            arn = arns.execution_arn(self._target.state_machine, named)
        if described := executions.describe(self._workflow, arn) or self._running_for(named):
            return described
        raise StackError(
            f"There is no file {named!r} with a record, and no execution of that name or ARN."
            " 'filecopy list' shows the files, 'filecopy watch' what runs."
        )

    def _running_for(self, key: str) -> dict[str, Any] | None:
        """The execution for the file that runs, of the MAX_FOLLOWED latest."""
        running = (executions.describe(self._workflow, arn) for arn in self._running_arns())
        of_the_source = {"sourceBucket": self._target.source_bucket, "sourceKey": key}
        return next((one for one in running if one and of_the_source.items() <= input_of(one).items()), None)


def follow(watcher: Watcher, execution_arn: str, interval: float) -> Iterator[Progress]:
    """Looks at one execution until it is over.

    Args:
        interval: seconds between two looks.
    """
    while True:
        progress = watcher.look(execution_arn)
        yield progress
        if progress.is_over:
            return
        time.sleep(interval)


def _not_read(described: dict[str, Any]) -> Progress:
    """An execution of which no event has been read."""
    job = input_of(described)
    return Progress(
        execution_arn=described["executionArn"],
        key=str(job.get("sourceKey", "")),
        status="RUNNING",
        started=described["startDate"],
        destinations=len(set(map(str, job.get("destinationBuckets") or []))),
    )


_COPY_OBJECT, _INVOKE = "copyObject", "invoke"
_COPIES = (_COPY_OBJECT, _INVOKE)
_ENDS = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionTimedOut": "TIMED_OUT",
    "ExecutionAborted": "ABORTED",
}


def _read(event: dict[str, Any], progress: Progress) -> None:
    progress._seen = event["id"]
    kind = event["type"]
    if kind in _ENDS:
        progress.status = _ENDS[kind]
        progress.stopped = event["timestamp"]
        _leave(progress, event)
    elif "stateEnteredEventDetails" in event:
        name = event["stateEnteredEventDetails"]["name"]
        # On AWS the states inside a Map are entered, too: once for each copy.
        if name not in _INSIDE_A_MAP:
            _leave(progress, event)
            progress.visits.append(Visit(name, event["timestamp"]))
    elif kind == "TaskScheduled":
        # AWS names the action alone, an emulator the whole integration.
        progress.attempts += event["taskScheduledEventDetails"]["resource"].endswith(_COPIES)
    elif kind == "TaskSucceeded":
        details = event["taskSucceededEventDetails"]
        if details["resource"].endswith(_COPY_OBJECT):
            progress.copied += 1
        elif details["resource"].endswith(_INVOKE):
            # copy-worker answers with the copy's result once there is one.
            success = parsed(details["output"])["Payload"].get("success")
            progress.copied += success is True
            progress.failed_attempts += success is False
            progress.unfinished += success is None
    elif kind in ("TaskFailed", "TaskTimedOut", "TaskSubmitFailed"):
        details = next(value for name, value in event.items() if name.endswith("EventDetails"))
        progress.failed_attempts += details["resource"].endswith(_COPIES)


_INSIDE_A_MAP = {"CopyToBucket", "CopyFailed", "RunCopyWorker", "AbortCopy", "CopyNotAborted"}


def _leave(progress: Progress, event: dict[str, Any]) -> None:
    if progress.visits:
        progress.visits[-1].left = event["timestamp"]


def input_of(described: dict[str, Any]) -> dict[str, Any]:
    """The input of an execution, as DescribeExecution gives it; nothing where that is no object."""
    try:
        job = json.loads(described.get("input") or "null")
    except (json.JSONDecodeError, RecursionError):
        return {}
    return job if isinstance(job, dict) else {}
