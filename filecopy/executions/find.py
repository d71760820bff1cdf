"""Finds executions, and reads them from Step Functions."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from filecopy.errors import StackError
from filecopy.stack.records import read_record
from filecopy.stack.stack import Stack

from .from_events import history_of
from .model import RUNNING, History
from .names import Job, execution_arn

# Number of running executions that are looked at. Each look is a request.
MAX_FOLLOWED = 50


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
                f"The record of {name!r} is of an execution that Step Functions does not have any more, as 90 days"
                f" after its end: {record.execution_arn}. 'filecopy status' shows the record."
            )
        arn = execution_arn(stack.state_machine, name)
    if described := describe(stepfunctions, arn) or _running_for(stack, name):
        return described
    raise StackError(
        f"There is no file {name!r} with a record, and no execution of that name or ARN."
        " 'filecopy list' shows the files, 'filecopy watch' what runs."
    )


def running_arns(stack: Stack) -> list[str]:
    """The ARNs of the executions that are running, the latest first; MAX_FOLLOWED at most."""
    pages = (
        stack.clients("stepfunctions")
        .get_paginator("list_executions")
        .paginate(
            stateMachineArn=stack.state_machine,
            statusFilter=RUNNING,
            PaginationConfig={"MaxItems": MAX_FOLLOWED, "PageSize": MAX_FOLLOWED},
        )
    )
    return [execution["executionArn"] for page in pages for execution in page["executions"]]


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
    record = read_record(stack, job.key) if job.key and job.source_bucket == stack.source_bucket else None
    return history_of(described, read_events(stack.clients("stepfunctions"), described["executionArn"]), record)


def read_definition(stack: Stack, history: History) -> dict[str, Any]:
    """Read the definition that the execution runs by. The state machine may have a newer one."""
    machine = stack.clients("stepfunctions").describe_state_machine_for_execution(executionArn=history.execution_arn)
    definition: dict[str, Any] = json.loads(machine["definition"])
    return definition
