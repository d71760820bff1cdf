"""Closes what an execution leaves open when it ends in a way that its own states could not deal with.

It hears of every execution that failed, timed out or was stopped. Most have closed their record and told a person
themselves. The others were stopped by hand, ran out of time, or met an error that no Catch takes.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from . import clients, log, sqs_batch, text, tracking

# The errors of the workflow's own Fail states that come after a notification.
_TOLD_BY_THE_WORKFLOW = {"CopiesFailed", "SourceUnreadable", "TrackingFailed"}


@dataclass(frozen=True, kw_only=True)
class Environment:
    table_name: str
    topic_arn: str
    lease_grace_seconds: int
    """How long S3 may still be at work on a copy that the execution had asked for."""


@cache
def environment() -> Environment:
    """What the function is told, read and checked at its first use.

    Raises:
        KeyError: a variable is missing.
    """
    return Environment(
        table_name=os.environ["TABLE_NAME"],
        topic_arn=os.environ["TOPIC_ARN"],
        lease_grace_seconds=int(os.environ["LEASE_GRACE_SECONDS"]),
    )


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an execution ended."""

    execution_arn: str
    status: str
    error: str | None
    cause: str | None
    source_bucket: str | None
    source_key: str | None
    """``None``, as the bucket, where the execution was not started with one."""

    @property
    def problem(self) -> str:
        return ": ".join(part for part in (self.status, self.error, self.cause) if part)[:1000]


class StillRunningError(Exception):
    """The execution has not ended. The message has to come again."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """SQS batches of EventBridge's "Step Functions Execution Status Change" events."""
    return sqs_batch.process(event, _close)


def _close(body: str) -> None:
    ending = _look_up(text.required(json.loads(body)["detail"]["executionArn"]))
    if ending.status == "SUCCEEDED":
        log.info("Execution succeeded after all", executionArn=ending.execution_arn)
        return
    is_closed = False
    if _may_have_record(ending):
        is_closed = _close_record(ending)
        _shorten_lease(ending)
    is_told = ending.error in _TOLD_BY_THE_WORKFLOW
    log.info(
        "Execution did not succeed",
        executionArn=ending.execution_arn,
        key=ending.source_key,
        status=ending.status,
        error=ending.error,
        recordClosed=is_closed,
        toldByTheWorkflow=is_told,
    )
    if not is_told:
        _notify(ending)


def _look_up(execution_arn: str) -> Ending:
    """How the execution has ended, as Step Functions itself says: whoever can put a message into the queue could say
    anything. What is no execution of the workflow, the role may not ask for.

    Raises:
        StillRunningError: it has not ended, or Step Functions does not show it yet.
    """
    described = clients.stepfunctions().describe_execution(executionArn=execution_arn)
    if described["status"] in ("RUNNING", "PENDING_REDRIVE"):
        raise StillRunningError(execution_arn)
    try:
        job = json.loads(described.get("input", "null"))
    except RecursionError:
        # An execution is started with any input, and ends at the first state. A person is told all the same.
        job = None
    bucket, key = (job.get("sourceBucket"), job.get("sourceKey")) if isinstance(job, dict) else (None, None)
    return Ending(
        execution_arn=execution_arn,
        status=described["status"],
        error=described.get("error"),
        cause=described.get("cause"),
        source_bucket=bucket if isinstance(bucket, str) else None,
        source_key=key if isinstance(key, str) else None,
    )


def _may_have_record(ending: Ending) -> bool:
    """Whether the table can hold a record of the file: an execution is started with any input.

    DynamoDB's limits: a partition key has 1 to 2,048 bytes, a sort key 1 to 1,024.
    """
    try:
        key, bucket = (ending.source_key or "").encode(), (ending.source_bucket or "").encode()
    except UnicodeEncodeError:
        return False
    return 1 <= len(key) <= 2048 and 1 <= len(bucket) <= 1024


def _close_record(ending: Ending) -> bool:
    """Ends a record that the execution left in progress."""
    return _update(
        ending,
        "SET #status = :failed, completedAt = :now, problem = :problem",
        "executionId = :executionId AND #status = :inProgress",
        {
            ":failed": {"S": "FAILED"},
            ":inProgress": {"S": "IN_PROGRESS"},
            ":now": {"S": tracking.now()},
            ":problem": {"S": ending.problem},
        },
        {"#status": "status"},
    )


def _shorten_lease(ending: Ending) -> None:
    """Lets the file's next execution begin when no copy of this one can land any more, not when its lease ends."""
    until = {":until": {"N": str(int(time.time()) + environment().lease_grace_seconds)}}
    _update(
        ending,
        "SET #until = :until",
        "leaseOwner = :executionId AND #until > :until",
        until,
        {"#until": "leaseExpiresAt"},
    )


def _update(ending: Ending, update: str, condition: str, values: dict[str, Any], names: dict[str, str]) -> bool:
    """Updates the record where it is the execution's. Returns whether it was."""
    return tracking.update_if(
        condition,
        table_name=environment().table_name,
        key=tracking.key_of(str(ending.source_key), str(ending.source_bucket)),
        update=update,
        names=names,
        values={":executionId": {"S": ending.execution_arn}, **values},
    )


def _notify(ending: Ending) -> None:
    key = text.printable(ending.source_key or "unknown file")
    clients.sns().publish(
        TopicArn=environment().topic_arn,
        Subject=text.subject(f"File copy {ending.status.lower().replace('_', ' ')}: {key}"),
        Message=(
            "🚨 A file copy ended before its work was done\n\n"
            f"📄 File: {key}\n"
            f"🪣 Source bucket: {text.printable(ending.source_bucket or 'unknown')}\n"
            f"❌ Ended as {text.printable(ending.problem)}\n\n"
            f"🔎 Execution: {text.printable(ending.execution_arn)}\n"
            f"📋 Record: table {environment().table_name}\n"
        ),
    )
