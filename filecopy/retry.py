"""Retries the failed copies of a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from filecopy.errors import StackError
from filecopy.executions.model import RUNNING, SUCCEEDED
from filecopy.polling import Poller
from filecopy.stack.records import SUPERSEDED, TrackingRecord, read_record
from filecopy.stack.stack import Stack
from filecopy.terminal import quoted

# Seconds.
TIMEOUT = 3600.0


@dataclass(frozen=True)
class Retried:
    """A retry that has ended: its status, such as ``SUCCEEDED``, its error, and the record after it."""

    execution_arn: str
    status: str
    error: str | None
    record: TrackingRecord | None

    @property
    def results(self) -> TrackingRecord | None:
        """The record, if it has the results of this retry and not of an earlier execution."""
        record = self.record
        is_written = self.status in (SUCCEEDED, "FAILED") and self.error != "TrackingFailed"
        return record if is_written and record and record.is_of(self.execution_arn) and record.has_counts else None

    @property
    def is_superseded(self) -> bool:
        """The retry made no copy, because another execution copies a newer version of the file."""
        return self.status == SUCCEEDED and self.results is None


def retry(
    stack: Stack, key: str, on_left_out: Callable[[Sequence[str]], None] = lambda _buckets: None
) -> Retried | None:
    """Start an execution for the failed copies of a file, and wait for its end.

    If an execution for the file is running, wait for that first. If the last execution ended without results, retry
    all its destinations.

    Args:
        on_left_out: called with the failed buckets that are not destinations of the stack, so that a copy to them
            would fail again.

    Returns:
        ``None`` if no copy has failed, or only those that are left out.

    Raises:
        StackError: there is no record of the file, or an execution still runs after TIMEOUT seconds.
    """
    started = start(stack, _wait_for_record(stack, key), on_left_out)
    if started is None:
        return None
    ended = _wait_for_end(stack, started)
    return Retried(started, ended["status"], ended.get("error"), read_record(stack, key))


def start(stack: Stack, record: TrackingRecord, on_left_out: Callable[[Sequence[str]], None]) -> str | None:
    """Start an execution for the failed copies of a file whose last execution has ended, and return its ARN.

    The arguments and the meaning of ``None`` are those of :func:`retry`.
    """
    failed = [bucket for bucket in record.destinations if bucket not in record.copied]
    if left_out := [bucket for bucket in failed if not _can_take_copies(stack, bucket)]:
        on_left_out(left_out)
        failed = [bucket for bucket in failed if bucket not in left_out]
    if not failed:
        return None
    job = {
        "sourceBucket": record.source_bucket,
        "sourceKey": record.key,
        "destinationBuckets": failed,
        "retry": True,
        **({"sourceVersionId": record.version_id} if record.version_id else {}),
    }
    stepfunctions = stack.clients("stepfunctions")
    answer = stepfunctions.start_execution(stateMachineArn=stack.state_machine, input=json.dumps(job))
    return str(answer["executionArn"])


def _can_take_copies(stack: Stack, bucket: str) -> bool:
    """Return true if the workflow may copy to a bucket. Anyone may start an execution with any bucket."""
    if bucket in stack.destinations:
        return True
    if not stack.clients.is_emulator:
        # The roles of the workflow name the destinations of the stack.
        return False
    # Emulators do not check the role of a state machine.
    try:
        stack.clients("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.NOT_FOUND
    return True


def _wait_for_record(stack: Stack, key: str) -> TrackingRecord:
    """Wait until no execution is running for the file, and return its record."""
    record = None
    for _ in Poller.of(stack).looks(TIMEOUT):
        record = read_record(stack, key)
        if record is None or record.execution_arn is None:
            raise StackError(f"There is no record of {quoted(key)} in {stack.table}.")
        if record.is_over or record.status == SUPERSEDED:
            return record
    raise StackError(f"The execution for {quoted(key)} is still running: {record and record.execution_arn}.")


def _wait_for_end(stack: Stack, execution_arn: str) -> dict[str, Any]:
    for _ in Poller.of(stack).looks(TIMEOUT):
        ended: dict[str, Any] = stack.clients("stepfunctions").describe_execution(executionArn=execution_arn)
        if ended["status"] != RUNNING:
            return ended
    raise StackError(f"The retry is still running after {TIMEOUT:.0f} s: {execution_arn}.")
