"""The state machine's definition: a pure function from plain names and ARNs to a dict. No Pulumi here.

The executions of one file take turns. AcquireLease takes the lease on the file's record, or waits for it. Under the
lease, ReadSource finds the newest version. An execution for another version ends, superseded, without a copy. So the
version that is copied last is the newest (docs/reliability.md has the argument).

S3 itself makes the copies that Step Functions can ask it for: files up to a limit, whose keys need no encoding, into
buckets of the stack's own region. copy-worker makes the other copies, in rounds. Each round ends with the record
written; CheckIfAllSuccessful begins the next round. So the common case passes nine states, and one for each
destination, and calls no function.

A variable is an object wherever its text may hold a quote or a backslash, because some engines do not quote the text of
a string variable (docs/engines.md).

Variables, assigned by ValidateInput unless another state is named:
    $job: sourceBucket, sourceKey, sourceVersionId (may be missing), destinationBuckets (without repeats), retry, and
        s3Event (the name of the event that started the execution, or "")
    $executionId: the execution's ARN; $startTime: ISO 8601, UTC
    $destinations: the stack's destinations, by bucket name
    $regions, $owners: of the destinations that are not in the stack's own region, or account
    $turn: the number of times that the execution has waited for the lease; by AcquireLease's Catch
    $source: versionId (may be missing), etag, size in bytes, storageClass, checksums by name, and checksumOfParts: the
        name of an algorithm, where S3 has only a checksum of the parts and copy-worker can compute that of the whole
        file; redirect (may be missing); by ReadSource
    $previous: the record before this execution: isOwn (it had none), and version (the version of the source, or its
        ETag, if it had one); by AcquireLease
    $results: one object per copy that was made or has failed (see ``copyResults`` in docs/architecture.md), including
        those that the record keeps for other destinations; by AcquireLease, ReadSource, CopyToMultipleBuckets and
        CopyThroughWorker
    $remaining: the destinations that copy-worker has not completed; by CopyToMultipleBuckets and CopyThroughWorker
    $summary: status, counts and bucket lists, including what the record keeps; by AcquireLease, ReadSource and
        ProcessResults
    $leaseUntil: seconds since 1970, until which a copy that timed out may still land; by ProcessResults
    $problem: source, tracking, notification: the error of each, or ""; by a Catch, and by ReadSource
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import states
from .limits import EXECUTION_TIMEOUT, MULTIPART_THRESHOLD_MIB
from .states import Parameters, State

STATES: dict[str, Callable[[Parameters], State]] = {
    "ValidateInput": states.validate_input,
    "AcquireLease": states.acquire_lease,
    "WaitForTurn": states.wait_for_turn,
    "ReadSource": states.read_source,
    "LogWorkflowStart": states.log_workflow_start,
    "ReleaseLease": states.release_lease,
    "CheckIfSuperseded": states.check_if_superseded,
    "Superseded": states.superseded,
    "CopyToMultipleBuckets": states.copy_to_multiple_buckets,
    "ProcessResults": states.process_results,
    "UpdateDynamoDBFinal": states.update_dynamodb_final,
    "CheckIfAllSuccessful": states.check_if_all_successful,
    "CopyThroughWorker": states.copy_through_worker,
    "AllCopiesSuccessful": states.all_copies_successful,
    "SendFailureNotification": states.send_failure_notification,
    "SomeCopiesFailed": states.some_copies_failed,
    "NotificationFailed": states.notification_failed,
}
"""The states in the order in which an execution enters them. ValidateInput is the first."""


def copy_workflow_definition(
    *,
    partition: str,
    table_name: str,
    topic_arn: str,
    copy_worker_arn: str,
    max_concurrency: int,
    multipart_threshold: int = MULTIPART_THRESHOLD_MIB * 1024**2,
    record_retention_days: int = 0,
    destinations: Sequence[str] = (),
    regions: Mapping[str, str] | None = None,
    owners: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The definition of file-copy-workflow. :class:`Parameters` describes the arguments."""
    parameters = Parameters(
        partition=partition,
        table_name=table_name,
        topic_arn=topic_arn,
        copy_worker_arn=copy_worker_arn,
        max_concurrency=max_concurrency,
        multipart_threshold=multipart_threshold,
        record_retention_days=record_retention_days,
        destinations=destinations,
        regions=regions or {},
        owners=owners or {},
    )
    return {
        "Comment": "Copies one file to every destination bucket, records each copy, and notifies people of failures.",
        "QueryLanguage": "JSONata",
        "TimeoutSeconds": EXECUTION_TIMEOUT,
        "StartAt": "ValidateInput",
        "States": {name: state(parameters) for name, state in STATES.items()},
    }
