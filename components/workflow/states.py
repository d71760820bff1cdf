"""The states, one function each, in the order in which an execution enters them. No Pulumi here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import expressions
from .fields import jsonata, number, optional, strings, text
from .limits import (
    COPY_RETRY,
    COPY_TIMEOUT,
    COPY_WORKER_RETRY,
    COPY_WORKER_TASK_TIMEOUT,
    DAY,
    DYNAMODB_RETRY,
    DYNAMODB_TIMEOUT,
    HEAD_RETRY,
    HEAD_TIMEOUT,
    SNS_RETRY,
    SNS_TIMEOUT,
)

# The results so far, and those of a round. A copy that continues in the next round has no ``success`` yet.
_WITH_RESULTS = "[$results, $filter($states.result, function($r) { $exists($r.success) })]"

State = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The values of a stack that its states contain."""

    partition: str
    """Of the ARNs: ``aws`` outside China and GovCloud."""
    table_name: str
    topic_arn: str
    copy_worker_arn: str
    max_concurrency: int
    """Copies at a time, 1 to 40: an inline Map runs at most 40 iterations at once."""
    multipart_threshold: int
    """Bytes. copy-worker copies a larger file in parts."""
    regions: Mapping[str, str]
    """Regions of the destinations that are not in the state machine's own region, by bucket name."""
    record_retention_days: int
    """After the last execution for the file. 0 keeps records forever."""
    destinations: Sequence[str]
    """The stack's destinations, by bucket name."""
    owners: Mapping[str, str]
    """Accounts of the destinations that are not in its own account, by bucket name."""

    def integration(self, action: str) -> str:
        """The resource of a Task that calls ``action``, such as ``sns:publish``."""
        return f"arn:{self.partition}:states:::{action}"

    @property
    def record(self) -> dict[str, Any]:
        """The table and the key of the file's record."""
        return {
            "TableName": self.table_name,
            "Key": {"fileKey": text("$job.sourceKey"), "sourceBucket": text("$job.sourceBucket")},
        }


# --- Validate, and take the lease -------------------------------------------------------------------------------


def validate_input(parameters: Parameters) -> State:
    return {
        "Type": "Pass",
        "Assign": {
            "job": jsonata(expressions.JOB),
            "executionId": jsonata("$states.context.Execution.Id"),
            "startTime": jsonata("$states.context.Execution.StartTime"),
            "destinations": list(parameters.destinations),
            "regions": dict(parameters.regions),
            "owners": dict(parameters.owners),
            "turn": 0,
            "source": {},
            "results": [],
            "remaining": [],
            "previous": {},
            "summary": {"status": "FAILED", "totalBuckets": 0, "successfulCopies": 0, "failedCopies": 0},
            "leaseUntil": 0,
            "problem": {"source": jsonata('""'), "tracking": jsonata('""'), "notification": jsonata('""')},
        },
        "Next": "AcquireLease",
    }


def acquire_lease(parameters: Parameters) -> State:
    days = parameters.record_retention_days
    return {
        **_update_record(parameters),
        "Arguments": {
            **parameters.record,
            "UpdateExpression": expressions.lease_update(days),
            "ConditionExpression": expressions.ACQUIRE_CONDITION,
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {
                ":executionId": text("$executionId"),
                ":now": {"N": jsonata(expressions.seconds_from_now(0))},
                ":leaseUntil": {"N": jsonata(expressions.lease_expiry(parameters.max_concurrency))},
                **({":recordUntil": {"N": jsonata(expressions.seconds_from_now(days * DAY))}} if days else {}),
                ":inProgress": {"S": "IN_PROGRESS"},
                ":startTime": text("$startTime"),
                ":unknown": {"NULL": True},
                ":none": {"L": []},
            },
            "ReturnValues": "UPDATED_OLD",
        },
        "Assign": {
            "previous": jsonata(expressions.PREVIOUS),
            "results": jsonata(expressions.PREVIOUS_RESULTS),
            "summary": jsonata(expressions.PREVIOUS_SUMMARY),
        },
        "Catch": [
            {
                "ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"],
                "Assign": {"turn": jsonata("$turn + 1")},
                "Next": "WaitForTurn",
            },
            # Without a record, nothing is copied. If the call took the lease in spite of its error, execution-watcher
            # releases it.
            _catch_tracking_problem(),
        ],
        "Next": "ReadSource",
    }


def wait_for_turn(_: Parameters) -> State:
    return {
        "Type": "Wait",
        # A history holds 25,000 events, and a wait adds seven. A week of waiting takes 5,300. The copies have room in
        # the rest.
        "Seconds": jsonata("$turn <= 10 ? 2 : $turn <= 20 ? 10 : $turn <= 100 ? 90 : 900"),
        "Next": "AcquireLease",
    }


def read_source(parameters: Parameters) -> State:
    return {
        "Type": "Task",
        "Resource": parameters.integration("aws-sdk:s3:headObject"),
        "Arguments": {
            "Bucket": jsonata("$job.sourceBucket"),
            "Key": jsonata("$job.sourceKey"),
            "ChecksumMode": "ENABLED",
        },
        "TimeoutSeconds": HEAD_TIMEOUT,
        "Retry": HEAD_RETRY,
        "Assign": {
            "source": jsonata(expressions.SOURCE),
            "problem": jsonata(expressions.ARCHIVED),
            "results": jsonata(expressions.KEPT_RESULTS),
            "summary": jsonata(expressions.KEPT_SUMMARY),
        },
        # Without a source, no copy is tried. The record says so, and one notification is sent.
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Assign": {"problem": jsonata(expressions.SOURCE_UNREADABLE)},
                "Next": "LogWorkflowStart",
            }
        ],
        "Next": "LogWorkflowStart",
    }


# --- Begin the record, or release the lease ---------------------------------------------------------------------


def log_workflow_start(parameters: Parameters) -> State:
    """Writes the record of the execution, before its first copy."""
    return {
        **_update_record(parameters),
        "Arguments": {
            **parameters.record,
            "UpdateExpression": expressions.START_UPDATE,
            # ":starter" never equals the lease owner when this version is superseded, so the condition fails. A Choice
            # before this state would be one more transition of every execution.
            "ConditionExpression": "leaseOwner = :starter",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {
                ":executionId": text("$executionId"),
                ":starter": text(expressions.STARTER),
                ":status": {"S": "IN_PROGRESS"},
                ":startTime": text("$startTime"),
                ":sourceVersionId": optional("$source.versionId", "S"),
                ":sourceETag": optional("$source.etag", "S"),
                ":sourceSize": optional("$string($source.size)", "N"),
                ":destinationBuckets": strings(expressions.ALL_DESTINATIONS),
                ":totalBuckets": number(expressions.NUMBER_OF_DESTINATIONS),
                ":successfulBuckets": strings("$summary.successfulBuckets"),
                ":failedBuckets": strings("$summary.failedBuckets"),
                ":copyResults": {"L": jsonata(expressions.COPY_RESULTS)},
            },
        },
        # No copy has begun, so none can land later: the file's next execution need not wait.
        "Catch": [{**_catch_tracking_problem(), "Next": "ReleaseLease"}],
        "Next": "CopyToMultipleBuckets",
    }


def release_lease(parameters: Parameters) -> State:
    return {
        **_update_record(parameters),
        "Arguments": {
            **parameters.record,
            "UpdateExpression": jsonata(expressions.RELEASE_UPDATE),
            "ConditionExpression": "leaseOwner = :executionId",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": jsonata(expressions.RELEASE_VALUES),
        },
        # The first is no problem: another execution holds the lease, or the write was repeated. After any other, the
        # execution fails, so that execution-watcher releases the lease and closes the record.
        "Catch": [
            {"ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"], "Next": "CheckIfSuperseded"},
            _catch_tracking_problem(),
        ],
        "Next": "CheckIfSuperseded",
    }


def check_if_superseded(_: Parameters) -> State:
    return {
        "Type": "Choice",
        "Choices": [{"Condition": jsonata(expressions.IS_SUPERSEDED), "Next": "Superseded"}],
        "Default": "SendFailureNotification",
    }


def superseded(_: Parameters) -> State:
    return {
        "Type": "Pass",
        "Output": {
            "status": "SUPERSEDED",
            "sourceVersionId": jsonata("$job.sourceVersionId"),
            "newestVersionId": jsonata("$source.versionId"),
        },
        "End": True,
    }


# --- Copy, and write the record ---------------------------------------------------------------------------------


def copy_to_multiple_buckets(parameters: Parameters) -> State:
    return {
        "Type": "Map",
        "Items": jsonata(expressions.direct(parameters.multipart_threshold)),
        "MaxConcurrency": parameters.max_concurrency,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "CopyToBucket",
            "States": {"CopyToBucket": copy_to_bucket(parameters), "CopyFailed": {"Type": "Pass", "End": True}},
        },
        # The summary is assigned in the next state, because one state may assign 256 KiB at most.
        "Assign": {
            "results": jsonata(_WITH_RESULTS),
            "remaining": jsonata(expressions.remaining(parameters.multipart_threshold)),
        },
        "Next": "ProcessResults",
    }


def copy_to_bucket(parameters: Parameters) -> State:
    return {
        "Type": "Task",
        "Resource": parameters.integration("aws-sdk:s3:copyObject"),
        "Arguments": jsonata(expressions.COPY_ARGUMENTS),
        "TimeoutSeconds": COPY_TIMEOUT,
        "Retry": COPY_RETRY,
        # A failed copy is a result, so the other copies continue.
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Output": jsonata(expressions.NOT_COPIED_BY_S3),
                "Next": "CopyFailed",
            }
        ],
        "Output": jsonata(expressions.COPIED),
        "End": True,
    }


def process_results(_: Parameters) -> State:
    """Computes the summary. Its input is the output of the Map before it, so there can be no state between them."""
    return {
        "Type": "Pass",
        "Assign": {
            "summary": jsonata(expressions.SUMMARY),
            "leaseUntil": jsonata(expressions.LEASE_UNTIL),
        },
        "Next": "UpdateDynamoDBFinal",
    }


def update_dynamodb_final(parameters: Parameters) -> State:
    """Writes the results of a round. While copies remain, the status stays ``IN_PROGRESS``."""
    return {
        **_update_record(parameters),
        "Arguments": {
            **parameters.record,
            "UpdateExpression": jsonata(expressions.RESULTS_UPDATE),
            # If a newer execution for the same file has taken over the record, the record is left alone. The last write
            # is refused, too, if it is repeated: no copy remains then, so the Catch changes nothing.
            "ConditionExpression": "leaseOwner = :executionId",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {
                ":executionId": text("$executionId"),
                ":status": text("$summary.status"),
                ":now": text("$now()"),
                ":totalBuckets": number("$summary.totalBuckets"),
                ":successfulCopies": number("$summary.successfulCopies"),
                ":failedCopies": number("$summary.failedCopies"),
                ":successfulBuckets": strings("$summary.successfulBuckets"),
                ":failedBuckets": strings("$summary.failedBuckets"),
                ":copyResults": {"L": jsonata(expressions.COPY_RESULTS)},
                ":problem": jsonata('$problem.source = "" ? {"NULL": true} : {"S": $problem.source}'),
                ":owner": text(expressions.OWNER_AFTER_ROUND),
                ":leaseUntil": {"N": jsonata(expressions.lease_after_round(parameters.max_concurrency))},
            },
        },
        "Catch": [
            {
                "ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"],
                "Assign": {
                    "summary": jsonata(expressions.GIVEN_UP),
                    "results": jsonata(expressions.GIVEN_UP_RESULTS),
                    "remaining": [],
                },
                "Next": "CheckIfAllSuccessful",
            },
            _catch_tracking_problem(),
        ],
        "Next": "CheckIfAllSuccessful",
    }


def check_if_all_successful(_: Parameters) -> State:
    return {
        "Type": "Choice",
        "Choices": [
            {"Condition": jsonata("$count($remaining) > 0"), "Next": "CopyThroughWorker"},
            {"Condition": jsonata("$summary.failedNow = 0"), "Next": "AllCopiesSuccessful"},
        ],
        "Default": "SendFailureNotification",
    }


def copy_through_worker(parameters: Parameters) -> State:
    return {
        "Type": "Map",
        "Items": jsonata("$remaining"),
        "MaxConcurrency": parameters.max_concurrency,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "RunCopyWorker",
            "States": {
                "RunCopyWorker": run_copy_worker(parameters),
                "AbortCopy": abort_copy(parameters),
                "CopyNotAborted": {"Type": "Pass", "End": True},
            },
        },
        "Assign": {
            "results": jsonata(_WITH_RESULTS),
            "remaining": jsonata(
                "[$filter($states.result, function($r) { $not($exists($r.success)) }).destinationBucket]"
            ),
        },
        "Next": "ProcessResults",
    }


def run_copy_worker(parameters: Parameters) -> State:
    return {
        **_copy_worker_task(parameters),
        "Arguments": {
            "FunctionName": parameters.copy_worker_arn,
            "Payload": _copy_worker_payload("$states.input"),
        },
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Output": jsonata(expressions.NOT_COPIED),
                "Next": "AbortCopy",
            }
        ],
        "Output": jsonata("$states.result.Payload"),
        "End": True,
    }


def abort_copy(parameters: Parameters) -> State:
    """Aborts the upload of a failed copy: S3 bills its parts until then."""
    return {
        **_copy_worker_task(parameters),
        "Arguments": {
            "FunctionName": parameters.copy_worker_arn,
            "Payload": {**_copy_worker_payload("$states.input.destinationBucket"), "abort": True},
        },
        # On an error, the bucket's lifecycle rule aborts the upload.
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Output": jsonata("$states.input"),
                "Next": "CopyNotAborted",
            }
        ],
        "Output": jsonata("$states.input"),
        "End": True,
    }


# --- End, and notify --------------------------------------------------------------------------------------------


def all_copies_successful(_: Parameters) -> State:
    """A Pass, because some engines do not give the Output of a Succeed state to the execution."""
    return {"Type": "Pass", "Output": jsonata(expressions.OWN_SUMMARY), "End": True}


def send_failure_notification(parameters: Parameters) -> State:
    return {
        "Type": "Task",
        "Resource": parameters.integration("sns:publish"),
        "Arguments": {
            "TopicArn": parameters.topic_arn,
            "Subject": jsonata(expressions.SUBJECT),
            "Message": jsonata(expressions.message(parameters.table_name)),
        },
        "TimeoutSeconds": SNS_TIMEOUT,
        "Retry": SNS_RETRY,
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Assign": {"problem": jsonata(expressions.problem("notification"))},
                "Next": "NotificationFailed",
            }
        ],
        "Next": "SomeCopiesFailed",
    }


def some_copies_failed(_: Parameters) -> State:
    return {
        "Type": "Fail",
        "Error": jsonata(expressions.FAILURE_ERROR),
        "Cause": jsonata(expressions.FAILURE_CAUSE),
    }


def notification_failed(_: Parameters) -> State:
    return {
        "Type": "Fail",
        "Error": "NotificationFailed",
        "Cause": jsonata(expressions.UNNOTIFIED_CAUSE),
    }


# --- Parts of several states ------------------------------------------------------------------------------------


def _update_record(parameters: Parameters) -> State:
    """A Task that updates the file's record."""
    return {
        "Type": "Task",
        "TimeoutSeconds": DYNAMODB_TIMEOUT,
        "Retry": DYNAMODB_RETRY,
        "Resource": parameters.integration("dynamodb:updateItem"),
    }


def _copy_worker_task(parameters: Parameters) -> State:
    """A Task that calls copy-worker."""
    return {
        "Type": "Task",
        "Resource": parameters.integration("lambda:invoke"),
        "TimeoutSeconds": COPY_WORKER_TASK_TIMEOUT,
        "Retry": COPY_WORKER_RETRY,
    }


def _copy_worker_payload(bucket: str) -> dict[str, Any]:
    """The event of copy-worker for the destination that the expression ``bucket`` names."""
    return {
        "executionId": jsonata("$executionId"),
        "sourceBucket": jsonata("$job.sourceBucket"),
        "sourceKey": jsonata("$job.sourceKey"),
        "source": jsonata("$source"),
        "destinationBucket": jsonata(bucket),
        "region": jsonata(expressions.region(bucket)),
        "account": jsonata(expressions.owner(bucket)),
        "s3Event": jsonata("$job.s3Event"),
        "maxCauseLength": jsonata(expressions.CAUSE_LENGTH),
    }


def _catch_tracking_problem() -> dict[str, Any]:
    """A catcher for any error of the record: people are notified, and the copies that were made stay."""
    return {
        "ErrorEquals": ["States.ALL"],
        "Assign": {"problem": jsonata(expressions.problem("tracking"))},
        "Next": "SendFailureNotification",
    }
