"""Closes what an execution leaves open when it ends in a way that its own states could not deal with, and measures.

It hears of every execution that has ended. Most that did not succeed have closed their record and told a person
themselves. The others were stopped by hand, ran out of time, or met an error that no Catch takes.

What it measures, as a line of its log that CloudWatch makes metrics of:
    UploadToCompleted: seconds from S3's time of an upload to the end of the execution that copied it everywhere. Not of
        an execution that was started by hand or is a retry, nor of a version that was overwritten before its turn.
    CopiesMade, CopiesFailed: of each execution that succeeded, and of each whose failed copies are in the record: not
        of one that was stopped, whose copies nobody has counted.
A line is written last, when nothing can fail any more, so an execution counts once. AWS may deliver an event twice, and
then it counts twice, which is rare; or never, which is rarer.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import log, sqs_batch, text
from .environment import Variables

# clients and tracking are imported where an execution did not succeed: with them comes botocore, which takes longer
# than all the rest, and most executions succeed.
if TYPE_CHECKING:
    from . import tracking

NAMESPACE = "FileCopyWorkflow"

# The errors of the workflow's own Fail states that come after a notification.
_TOLD_BY_THE_WORKFLOW = {"CopiesFailed", "SourceUnreadable", "TrackingFailed"}


@dataclass(frozen=True, kw_only=True)
class Environment(Variables):
    """Environment variables, by their names in lower case."""

    table_name: str
    topic_arn: str
    lease_grace_seconds: int
    """How long S3 may still be at work on a copy that the execution had asked for."""
    state_machine: str
    """Its name, by which the metrics of two stacks are told apart."""


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
    destinations: frozenset[str]
    is_completed: bool
    """Whether it succeeded, and not because it was superseded."""
    seconds_since_upload: float | None
    """``None`` where no upload started it."""

    @property
    def problem(self) -> str:
        return ": ".join(part for part in (self.status, self.error, self.cause) if part)[:1000]


class StillRunningError(Exception):
    """The execution has not ended. The message has to come again."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """SQS batches of EventBridge's "Step Functions Execution Status Change" events."""
    return sqs_batch.process(event, _close)


def _close(body: str) -> None:
    detail = json.loads(body)["detail"]
    # A success changes nothing here, and there are many of them: the event's own word is enough to count them.
    ending = (
        _as_told(detail) if detail.get("status") == "SUCCEEDED" else _look_up(text.required(detail["executionArn"]))
    )
    log.about(executionArn=ending.execution_arn, bucket=ending.source_bucket, key=ending.source_key)
    if ending.status == "SUCCEEDED":
        if ending.is_completed:
            _measure("Execution completed", made=len(ending.destinations), failed=0, ending=ending)
        else:
            log.info("Execution superseded")
        return
    is_closed, record = False, dict[str, Any]()
    if _may_have_record(ending):
        is_closed, record = _close_record(ending)
        # A record that never became the execution's is of one that ended before its first copy.
        may_copy = is_closed or record.get("executionId") == {"S": ending.execution_arn}
        _shorten_lease(ending, int(time.time()) + Environment.read().lease_grace_seconds if may_copy else 0)
    is_told = ending.error in _TOLD_BY_THE_WORKFLOW
    log.info(
        "Execution did not succeed",
        status=ending.status,
        error=ending.error,
        recordClosed=is_closed,
        toldByTheWorkflow=is_told,
    )
    if not is_told:
        _notify(ending)
    if record.get("executionId") == {"S": ending.execution_arn} and "failedBuckets" in record:
        # The record of a retry has all its destinations, also those that this execution left alone.
        failed = ending.destinations & {bucket["S"] for bucket in record["failedBuckets"]["L"]}
        _measure("Copies counted", made=len(ending.destinations - failed), failed=len(failed), ending=ending)


def _measure(message: str, *, made: int, failed: int, ending: Ending) -> None:
    values: dict[str, tuple[float, str]] = {"CopiesMade": (made, "Count"), "CopiesFailed": (failed, "Count")}
    if ending.is_completed and ending.seconds_since_upload is not None:
        values["UploadToCompleted"] = (ending.seconds_since_upload, "Seconds")
    log.metrics(message, NAMESPACE, {"StateMachine": Environment.read().state_machine}, values)


def _as_told(detail: dict[str, Any]) -> Ending:
    """The end of an execution, as its event has it. EventBridge leaves out what is too long for an event."""
    if detail.get("input") is None or detail.get("output") is None:
        return _look_up(text.required(detail["executionArn"]))
    return _ending(detail, text.required(detail["executionArn"]), detail.get("stopDate"))


def _look_up(execution_arn: str) -> Ending:
    """How the execution has ended, as Step Functions itself says: whoever can put a message into the queue could say
    anything. What is no execution of the workflow, the role may not ask for.

    Raises:
        StillRunningError: it has not ended, or Step Functions does not show it yet.
    """
    from . import clients

    described = clients.stepfunctions().describe_execution(executionArn=execution_arn)
    if described["status"] in ("RUNNING", "PENDING_REDRIVE"):
        raise StillRunningError(execution_arn)
    stopped = described.get("stopDate")
    return _ending(described, execution_arn, int(stopped.timestamp() * 1000) if stopped else None)


def _ending(told: Any, execution_arn: str, stop_date: object) -> Ending:
    """
    Args:
        told: what the event, or Step Functions, says of the execution.
        stop_date: milliseconds since 1970.
    """
    job, summary = _object(told.get("input")), _object(told.get("output"))
    bucket, key, destinations = job.get("sourceBucket"), job.get("sourceKey"), job.get("destinationBuckets")
    return Ending(
        execution_arn=execution_arn,
        status=text.required(told["status"]),
        error=text.optional(told.get("error")),
        cause=text.optional(told.get("cause")),
        source_bucket=bucket if isinstance(bucket, str) else None,
        source_key=key if isinstance(key, str) else None,
        destinations=frozenset(
            name for name in (destinations if isinstance(destinations, list) else []) if isinstance(name, str)
        ),
        is_completed=summary.get("status") == "COMPLETED",
        seconds_since_upload=_seconds_between(job.get("uploadedAt"), stop_date),
    )


def _object(document: object) -> dict[str, Any]:
    """What is in a JSON text; nothing where it is none, or no object. An execution is started with any input."""
    try:
        found = json.loads(document) if isinstance(document, str) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _seconds_between(uploaded_at: object, stop_date: object) -> float | None:
    """``uploaded_at`` as S3 writes it, ``stop_date`` in milliseconds since 1970 as EventBridge does.

    Anybody may start an execution with anything, so what is no time is none.
    """
    if not isinstance(uploaded_at, str) or not isinstance(stop_date, int):
        return None
    try:
        seconds = stop_date / 1000 - datetime.fromisoformat(uploaded_at).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    # The clocks of two services may differ by more than a small file takes.
    return max(0.0, round(seconds, 3))


def _may_have_record(ending: Ending) -> bool:
    """Whether the table can hold a record of the file: an execution is started with any input.

    DynamoDB's limits: a partition key has 1 to 2,048 bytes, a sort key 1 to 1,024.
    """
    try:
        key, bucket = (ending.source_key or "").encode(), (ending.source_bucket or "").encode()
    except UnicodeEncodeError:
        return False
    return 1 <= len(key) <= 2048 and 1 <= len(bucket) <= 1024


def _close_record(ending: Ending) -> tracking.Update:
    """Ends a record that the execution left in progress."""
    from . import tracking

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


def _shorten_lease(ending: Ending, until: int) -> None:
    """Lets the file's next execution begin when no copy of this one can land any more, not when its lease ends.

    Args:
        until: when that is, in seconds since 1970.
    """
    _update(
        ending,
        "SET #until = :until",
        "leaseOwner = :executionId AND #until > :until",
        {":until": {"N": str(until)}},
        {"#until": "leaseExpiresAt"},
    )


def _update(
    ending: Ending, update: str, condition: str, values: dict[str, Any], names: dict[str, str]
) -> tracking.Update:
    """Updates the record where it is the execution's."""
    from . import tracking

    return tracking.update_if(
        condition,
        table_name=Environment.read().table_name,
        key=tracking.key_of(str(ending.source_key), str(ending.source_bucket)),
        update=update,
        names=names,
        values={":executionId": {"S": ending.execution_arn}, **values},
    )


def _notify(ending: Ending) -> None:
    from . import clients

    key = text.printable(ending.source_key or "unknown file")
    clients.sns().publish(
        TopicArn=Environment.read().topic_arn,
        Subject=text.subject(f"File copy {ending.status.lower().replace('_', ' ')}: {key}"),
        Message=(
            "🚨 A file copy ended before its work was done\n\n"
            f"📄 File: {key}\n"
            f"🪣 Source bucket: {text.printable(ending.source_bucket or 'unknown')}\n"
            f"❌ Ended as {text.printable(ending.problem)}\n\n"
            f"🔎 Execution: {text.printable(ending.execution_arn)}\n"
            f"📋 Record: table {Environment.read().table_name}\n"
        ),
    )
