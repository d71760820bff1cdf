"""Closes the records of executions that could not do so themselves, notifies people of them, and writes metrics.

It receives the status change of each execution that has ended. Most of those that failed have closed their record and
notified people themselves. The others were stopped by hand, timed out, or met an error that no Catch handles.

The metrics, written as a line of its log from which CloudWatch makes them:
    UploadToCompleted: seconds from S3's time of the upload to the end of the execution that copied it everywhere. Not
        for an execution that was started by hand, for a retry, or for a superseded version.
    CopiesMade, CopiesFailed: for each execution that succeeded, and for each whose failed copies are in the record. Not
        for one that was stopped, because nothing has counted its copies.
The line is written last, when nothing can fail any more, so an execution counts once. In rare cases AWS delivers an
event twice, and the execution counts twice, or never, and it does not count.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import copy_job, log, sqs_batch, text
from .environment import Variables

# clients and tracking are imported only if an execution failed. They import botocore, which takes longer than all the
# rest, and most executions succeed.
if TYPE_CHECKING:
    from . import tracking

NAMESPACE = "FileCopyWorkflow"

# The errors of the workflow's Fail states that follow a notification.
_NOTIFIED_BY_WORKFLOW = {"CopiesFailed", "SourceUnreadable", "TrackingFailed"}

# The lease owner after an execution's end, as the workflow itself writes it: its ARN, and this.
_ENDED = "#ended"

# What an event of this status must have. An event leaves out an input or output above 248 KiB.
_NEEDED = {
    "SUCCEEDED": ("input", "output"),
    "FAILED": ("input", "error"),
    "TIMED_OUT": ("input",),
    "ABORTED": ("input",),
}


@dataclass(frozen=True, kw_only=True)
class Environment(Variables):
    """Environment variables, by their names in lower case."""

    table_name: str
    topic_arn: str
    lease_grace_seconds: int
    """The time that S3 may still work on a copy that the execution asked for."""
    record_retention_days: int
    """0 keeps a record forever."""
    state_machine: str
    """The name, which distinguishes the metrics of two stacks."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of an execution."""

    execution_arn: str
    status: str
    error: str | None
    cause: str | None
    source_bucket: str | None
    source_key: str | None
    """``None``, as the bucket, if the input has none."""
    is_refused: bool
    """True if the input is wrong, so that the execution ended in ValidateInput and has written nothing."""
    destinations: frozenset[str]
    is_completed: bool
    """True if it succeeded and was not superseded."""
    started: str | None
    """ISO 8601, UTC, with milliseconds; ``None`` if the event does not say."""
    seconds_since_upload: float | None
    """``None`` if no upload started it."""

    @property
    def ended_owner(self) -> str:
        """The lease owner after the end."""
        return self.execution_arn + _ENDED

    @property
    def problem(self) -> str:
        return ": ".join(part for part in (self.status, self.error, self.cause) if part)[:1000]


class StillRunningError(Exception):
    """The execution has not ended. SQS has to deliver the message again."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Processes an SQS batch of EventBridge's "Step Functions Execution Status Change" events."""
    return sqs_batch.process(event, _close)


def _close(body: str) -> None:
    detail = json.loads(body)["detail"]
    execution_arn = text.required(detail["executionArn"])
    ending = _ending(detail, execution_arn, detail.get("stopDate")) if _is_whole(detail) else _look_up(execution_arn)
    log.about(executionArn=ending.execution_arn, bucket=ending.source_bucket, key=ending.source_key)
    if ending.status == "SUCCEEDED":
        if ending.is_completed:
            _measure("Execution completed", made=len(ending.destinations), failed=0, ending=ending)
        else:
            log.info("Execution superseded")
        return
    is_closed, record = False, dict[str, Any]()
    if not ending.is_refused:
        # The next second, so that an AcquireLease that was sent in this one is refused, too.
        now = int(time.time()) + 1
        _refuse_late_writes(ending, now)
        is_closed, record = _close_record(ending)
        # LogWorkflowStart writes totalBuckets into the execution's record. Before that, no copy had begun.
        may_copy = record.get("executionId") == {"S": ending.execution_arn} and "totalBuckets" in record
        _shorten_lease(ending, now + Environment.read().lease_grace_seconds if may_copy else now)
    is_notified = ending.error in _NOTIFIED_BY_WORKFLOW
    log.info(
        "Execution did not succeed",
        status=ending.status,
        error=ending.error,
        recordClosed=is_closed,
        notifiedByWorkflow=is_notified,
    )
    if not is_notified:
        _notify(ending)
    if not is_closed and record.get("executionId") == {"S": ending.execution_arn} and "failedCopies" in record:
        # The record also has destinations that this execution did not copy to.
        failed = ending.destinations & {bucket["S"] for bucket in record["failedBuckets"]["L"]}
        _measure("Copies counted", made=len(ending.destinations - failed), failed=len(failed), ending=ending)


def _measure(message: str, *, made: int, failed: int, ending: Ending) -> None:
    values: dict[str, tuple[float, str]] = {"CopiesMade": (made, "Count"), "CopiesFailed": (failed, "Count")}
    if ending.is_completed and ending.seconds_since_upload is not None:
        values["UploadToCompleted"] = (ending.seconds_since_upload, "Seconds")
    log.metrics(message, NAMESPACE, {"StateMachine": Environment.read().state_machine}, values)


def _is_whole(detail: dict[str, Any]) -> bool:
    """True if the event has all that DescribeExecution would return, of which AWS allows 10 to 15 calls a second.

    Source: Step Functions developer guide, "Automating Step Functions event delivery with EventBridge".
    """
    status = detail.get("status")
    needed = _NEEDED.get(status) if isinstance(status, str) else None
    return (
        needed is not None
        and all(isinstance(detail.get(name), str) for name in needed)
        and all(isinstance(detail.get(name), str | None) for name in ("error", "cause"))
    )


def _look_up(execution_arn: str) -> Ending:
    """The end of an execution from Step Functions itself.

    Raises:
        StillRunningError: it has not ended, or Step Functions does not show that yet.
    """
    from . import clients

    described = clients.stepfunctions().describe_execution(executionArn=execution_arn)
    if described["status"] in ("RUNNING", "PENDING_REDRIVE"):
        raise StillRunningError(execution_arn)
    stopped = described.get("stopDate")
    return _ending(described, execution_arn, int(stopped.timestamp() * 1000) if stopped else None)


def _ending(described: Any, execution_arn: str, stop_date: object) -> Ending:
    """
    Args:
        described: the execution, from the event or from Step Functions.
        stop_date: milliseconds since 1970.
    """
    job, summary = _object(described.get("input")), _object(described.get("output"))
    bucket, key, destinations = job.get("sourceBucket"), job.get("sourceKey"), job.get("destinationBuckets")
    return Ending(
        execution_arn=execution_arn,
        status=text.required(described["status"]),
        # Whoever stops an execution may give an empty error and cause.
        error=text.optional(described.get("error") or None),
        cause=text.optional(described.get("cause") or None),
        source_bucket=bucket if isinstance(bucket, str) else None,
        source_key=key if isinstance(key, str) else None,
        # The input of an execution has more members than a job that a person gives.
        is_refused=copy_job.problems({name: job[name] for name in copy_job.MEMBERS if name in job}) != [],
        destinations=frozenset(
            name for name in (destinations if isinstance(destinations, list) else []) if isinstance(name, str)
        ),
        is_completed=summary.get("status") == "COMPLETED",
        started=_iso(described.get("startDate")),
        seconds_since_upload=_seconds_between(job.get("uploadedAt"), stop_date),
    )


def _object(document: object) -> dict[str, Any]:
    """The members of a JSON object; empty for anything else. An execution can be started with any input."""
    try:
        found = json.loads(document) if isinstance(document, str) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _iso(moment: object) -> str | None:
    """A time as records have it; ``None`` for a value that is not a time.

    Args:
        moment: milliseconds since 1970 in an event, a datetime from Step Functions.
    """
    if isinstance(moment, int):
        moment = datetime.fromtimestamp(moment / 1000, UTC)
    return text.iso(moment) if isinstance(moment, datetime) else None


def _seconds_between(uploaded_at: object, stop_date: object) -> float | None:
    """The seconds between two times; ``None`` if one is not a time, because an execution can be started with any input.

    Args:
        uploaded_at: ISO 8601, UTC, as S3 writes it.
        stop_date: milliseconds since 1970, as EventBridge writes it.
    """
    if not isinstance(uploaded_at, str) or not isinstance(stop_date, int):
        return None
    try:
        seconds = stop_date / 1000 - datetime.fromisoformat(uploaded_at).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    # The clocks of two services may differ by more than the copy of a small file takes.
    return max(0.0, round(seconds, 3))


def _refuse_late_writes(ending: Ending, now: int) -> None:
    """Has DynamoDB refuse the writes that the execution has sent and that have not landed yet: first an AcquireLease,
    then all others.

    An AcquireLease that was sent before ``noLeaseBefore`` takes no lease. Any other write needs the execution to be the
    lease owner.

    Args:
        now: the next second, in seconds since 1970.
    """
    barred = _update(
        ending,
        "SET #barred = :now",
        "attribute_exists(fileKey) AND (attribute_not_exists(#barred) OR #barred < :now)",
        {":now": {"N": str(now)}},
        {"#barred": "noLeaseBefore"},
    )
    if not barred.is_done and not barred.record:
        _create_record(ending, now)
    _update(
        ending,
        "SET leaseOwner = :ended",
        "leaseOwner = :executionId",
        {":executionId": {"S": ending.execution_arn}, ":ended": {"S": ending.ended_owner}},
    )


def _create_record(ending: Ending, now: int) -> None:
    """Creates the record of a file that has none, closed, with a lease that ends now."""
    from . import tracking

    members: dict[str, Any] = {
        "executionId": {"S": ending.execution_arn},
        "leaseOwner": {"S": ending.ended_owner},
        "leaseExpiresAt": {"N": str(now)},
        "status": {"S": "FAILED"},
        "problem": {"S": ending.problem},
        "startTime": {"S": ending.started or tracking.now()},
        "completedAt": {"S": tracking.now()},
        "sourceVersionId": {"NULL": True},
        "sourceETag": {"NULL": True},
        "destinationBuckets": {"L": [{"S": bucket} for bucket in sorted(ending.destinations)]},
        "successfulBuckets": {"L": []},
        "copyResults": {"L": []},
        **tracking.expiry(Environment.read().record_retention_days),
    }
    _update(
        ending,
        "SET " + ", ".join(f"#{name} = :{name}" for name in members),
        "attribute_not_exists(fileKey)",
        {f":{name}": value for name, value in members.items()},
        {f"#{name}": name for name in members},
    )


def _close_record(ending: Ending) -> tracking.Update:
    """Closes a record that the execution left in progress."""
    from . import tracking

    return _update(
        ending,
        "SET #status = :failed, completedAt = :now, problem = :problem",
        "executionId = :executionId AND #status = :inProgress",
        {
            ":executionId": {"S": ending.execution_arn},
            ":failed": {"S": "FAILED"},
            ":inProgress": {"S": "IN_PROGRESS"},
            ":now": {"S": tracking.now()},
            ":problem": {"S": ending.problem},
        },
        {"#status": "status"},
    )


def _shorten_lease(ending: Ending, until: int) -> None:
    """Sets the lease to end when no copy of the execution can complete any more, so that the file's next one can begin.

    Args:
        until: seconds since 1970.
    """
    _update(
        ending,
        "SET #until = :until",
        "leaseOwner = :ended AND #until > :until",
        {":until": {"N": str(until)}, ":ended": {"S": ending.ended_owner}},
        {"#until": "leaseExpiresAt"},
    )


def _update(
    ending: Ending, update: str, condition: str, values: dict[str, Any], names: dict[str, str] | None = None
) -> tracking.Update:
    """Updates the record if ``condition`` holds."""
    from . import tracking

    return tracking.update_if(
        condition,
        table_name=Environment.read().table_name,
        key=tracking.key_of(str(ending.source_key), str(ending.source_bucket)),
        update=update,
        names=names,
        values=values,
    )


def _notify(ending: Ending) -> None:
    from . import clients

    key = text.printable(ending.source_key or "unknown file")
    clients.sns().publish(
        TopicArn=Environment.read().topic_arn,
        Subject=text.subject(f"File copy {ending.status.lower().replace('_', ' ')}: {key}"),
        Message=(
            "🚨 A file copy ended before it was complete\n\n"
            f"📄 File: {key}\n"
            f"🪣 Source bucket: {text.printable(ending.source_bucket or 'unknown')}\n"
            f"❌ Status: {text.printable(ending.problem)}\n\n"
            f"🔎 Execution: {text.printable(ending.execution_arn)}\n"
            f"📋 Record: table {Environment.read().table_name}\n"
        ),
    )
