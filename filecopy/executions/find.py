"""Finds executions, and reads them from Step Functions."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from typing import Any

from botocore.exceptions import ClientError

from filecopy.errors import StackError
from filecopy.stack.records import read_record, read_record_and_arrivals
from filecopy.stack.stack import Stack
from filecopy.terminal import command, quoted
from handlers.arns import execution_arn

from .from_events import history_of
from .inputs import Job
from .model import RUNNING, STATUSES, History

# Number of running executions that are looked at. Each look is a request.
MAX_FOLLOWED = 50

# Number of executions that are described to find those of a file. On AWS that takes eight minutes (filecopy.polling).
MAX_DESCRIBED = 1000


def describe(stepfunctions: Any, arn: str) -> dict[str, Any] | None:
    """Call DescribeExecution. Return ``None`` if there is no such execution, as 90 days after its end."""
    try:
        described: dict[str, Any] = stepfunctions.describe_execution(executionArn=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ExecutionDoesNotExist", "InvalidArn"):
            return None
        raise
    return described


def read_events(stepfunctions: Any, arn: str) -> list[dict[str, Any]]:
    """Read all events of an execution so far, oldest first."""
    pages = stepfunctions.get_paginator("get_execution_history").paginate(executionArn=arn)
    return [event for page in pages for event in page["events"]]


def find_execution(stack: Stack, name: str) -> dict[str, Any]:
    """Find an execution by its ARN, its name, or a file's key.

    A key means the execution that the file's record describes. If there is no record yet, it means the execution that
    waits for the file's lease.

    Returns:
        The answer of DescribeExecution.

    Raises:
        StackError: there is no such execution.
    """
    stepfunctions = stack.clients("stepfunctions")
    if name.startswith("arn:"):
        arn = name
    else:
        record = read_record(stack, name)
        if record and record.execution_arn:
            if described := describe(stepfunctions, record.execution_arn):
                return described
            raise StackError(
                f"The execution in the record of {quoted(name)} does not exist any more: {record.execution_arn}. Step"
                f" Functions deletes executions 90 days after their end. See the record: {command('status', name)}"
            )
        arn = execution_arn(stack.state_machine, name)
    if described := describe(stepfunctions, arn) or _running_for(stack, name):
        return described
    raise StackError(
        f"There is no file {quoted(name)} with a record, and no execution of that name or ARN."
        f" See the files with '{command('list')}', and the executions with '{command('executions')}'."
    )


@dataclass(frozen=True)
class Listed:
    """An execution in a list: its description, without its events."""

    arn: str
    status: str
    started: datetime
    stopped: datetime | None
    job: Job
    error: str | None
    cause: str | None

    @property
    def took(self) -> float | None:
        """Seconds; ``None`` while it is running."""
        return (self.stopped - self.started).total_seconds() if self.stopped else None

    def as_json(self) -> dict[str, Any]:
        """The members of ``executions --json``; times are :class:`datetime`."""
        return {
            "executionArn": self.arn,
            "key": self.job.key,
            "status": self.status,
            "started": self.started,
            "stopped": self.stopped,
            "tookSeconds": None if self.took is None else round(self.took, 3),
            "error": self.error,
            "cause": self.cause,
        }


def listed(described: Mapping[str, Any]) -> Listed:
    """The execution in an answer of DescribeExecution."""
    return Listed(
        arn=described["executionArn"],
        status=described["status"],
        started=described["startDate"],
        stopped=described.get("stopDate"),
        job=Job.parse(described.get("input")),
        error=described.get("error"),
        cause=described.get("cause"),
    )


def list_executions(
    stack: Stack, *, key: str | None = None, statuses: Sequence[str] = STATUSES, since: datetime | None = None
) -> Iterator[Listed]:
    """List executions, the latest first. Each is described, at the rate that AWS allows.

    Without ``since``, the list ends after MAX_DESCRIBED executions have been described.

    Args:
        key: only executions for this file of the source bucket.
        statuses: only executions with these statuses, such as ``FAILED``.
        since: only executions that started at this time or later.
    """
    # One list of all is fewer requests than a list for each status.
    lists = [_pages(stack, status) for status in (statuses if len(set(statuses)) < len(STATUSES) else [None])]
    latest_first = heapq.merge(*lists, key=lambda one: one["startDate"], reverse=True)
    if since is None:
        wanted: Iterator[dict[str, Any]] = islice(latest_first, MAX_DESCRIBED)
    else:
        wanted = takewhile(lambda one: one["startDate"] >= since, latest_first)
    for one in _described(stack, wanted):
        if key is None or (one.job.source_bucket, one.job.key) == (stack.source_bucket, key):
            yield one


def _described(stack: Stack, executions: Iterable[dict[str, Any]]) -> Iterator[Listed]:
    for one in executions:
        if described := describe(stack.clients("stepfunctions"), one["executionArn"]):
            yield listed(described)


def _pages(stack: Stack, status: str | None = None, size: int = 100) -> Iterator[dict[str, Any]]:
    """The executions with this status, or with any, as ListExecutions returns them: the latest first."""
    pages = (
        stack.clients("stepfunctions")
        .get_paginator("list_executions")
        .paginate(
            stateMachineArn=stack.state_machine,
            PaginationConfig={"PageSize": size},
            **({"statusFilter": status} if status else {}),
        )
    )
    return (execution for page in pages for execution in page["executions"])


def running_arns(stack: Stack) -> list[str]:
    """The ARNs of the executions that are running, the latest first; MAX_FOLLOWED at most."""
    return [one["executionArn"] for one in islice(_pages(stack, RUNNING, MAX_FOLLOWED), MAX_FOLLOWED)]


def arns_since(stack: Stack, time: datetime) -> list[str]:
    """The ARNs of the executions that started at this time or later, the latest first; MAX_FOLLOWED at most."""
    latest = islice(_pages(stack, None, MAX_FOLLOWED), MAX_FOLLOWED)
    return [one["executionArn"] for one in takewhile(lambda one: one["startDate"] >= time, latest)]


def _running_for(stack: Stack, key: str) -> dict[str, Any] | None:
    """The running execution for the file, among the MAX_FOLLOWED latest."""
    for arn in running_arns(stack):
        described = describe(stack.clients("stepfunctions"), arn) or {}
        job = Job.parse(described.get("input"))
        if (job.source_bucket, job.key) == (stack.source_bucket, key):
            return described
    return None


def read_history(stack: Stack, name: str) -> History:
    """Find an execution and read everything that is known of it.

    Args:
        name: its ARN or name, or a file's key.

    Raises:
        StackError: there is no such execution.
    """
    described = find_execution(stack, name)
    job = Job.parse(described.get("input"))
    key = job.key if job.source_bucket == stack.source_bucket else None
    record = read_record_and_arrivals(stack, key) if key else None
    return history_of(described, read_events(stack.clients("stepfunctions"), described["executionArn"]), record)


def read_definition(stack: Stack, history: History) -> dict[str, Any]:
    """Read the definition that the execution runs by. The state machine may have a newer one."""
    machine = stack.clients("stepfunctions").describe_state_machine_for_execution(executionArn=history.execution_arn)
    definition: dict[str, Any] = json.loads(machine["definition"])
    return definition
