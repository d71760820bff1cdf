"""The state machine's definition: a pure function from plain names and ARNs to a dict. No Pulumi here.

States are in the order they are entered. Expressions are JSONata, written for AWS and kept to what LocalStack and
MiniStack evaluate alike (docs/engines.md): a list that may have one element is written ``[...]``, because JSONata
unwraps a single match; and an object with members that may be missing is built in one expression, because an
undefined member is left out there but is an error as a field of its own.

Variables, assigned once by ValidateInput unless said otherwise:
    $job: sourceBucket, sourceKey, sourceVersionId (may be missing), destinationBuckets (without repeats),
        copySource (encoded for S3)
    $executionId: the execution's ARN; $startTime: ISO 8601, UTC
    $results: one object per copy (see ``copyResults`` in docs/architecture.md); by ProcessResults
    $summary: status, counts and bucket lists; by ProcessResults
    $trackingProblem: what went wrong with the record, or ""; by a Catch
    $notificationProblem: what went wrong with the notification; by a Catch
"""

from __future__ import annotations

import re
from typing import Any

State = dict[str, Any]

# One execution's variables, payloads and Task arguments are 256 KiB at most (Step Functions developer guide,
# "Quotas"). A result is at most 250 bytes when its cause is cut to 60 characters, so 1,000 of them fit.
MAX_DESTINATIONS = 1_000
# Up to this many destinations, the record holds every copy's result; above it, the failed ones, this many at most.
MAX_COPY_RESULTS = 400
# How many failed buckets a notification spells out: 500 lines of 260 bytes stay below SNS's 256 KiB.
MAX_NOTIFIED_FAILURES = 500

# Seconds. CopyObject answers when the copy is done, and 5 GB take minutes; the others answer at once.
COPY_TIMEOUT = 600
DYNAMODB_TIMEOUT = 30
SNS_TIMEOUT = 30
# A thousand destinations, ten at a time, each with four attempts of some minutes.
EXECUTION_TIMEOUT = 24 * 3600

DYNAMODB_RETRY = [
    {
        "ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"],
        "MaxAttempts": 0,
    },
    {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 1,
        "MaxAttempts": 3,
        "BackoffRate": 1.0,
        "JitterStrategy": "FULL",
    },
]
COPY_RETRY = [
    # Neither a bucket nor a key that is missing comes back by waiting.
    {
        "ErrorEquals": ["S3.NoSuchBucketException", "S3.NoSuchKeyException"],
        "MaxAttempts": 0,
    },
    {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 2,
        "MaxAttempts": 3,
        "BackoffRate": 2.0,
        "JitterStrategy": "FULL",
    },
]
SNS_RETRY = [
    {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 1,
        "MaxAttempts": 2,
        "BackoffRate": 1.0,
        "JitterStrategy": "FULL",
    },
]

# One line of printable ASCII: what a log, a subject or a list can show without being forged or broken by it.
_PLAIN = r"""$plain := function($text, $length) { $substring($replace($string($text), /[^ -~]/, "?"), 0, $length) };"""

_JOB = (
    r"""(
    $input := $states.input;
    $said := function($value) {
        $exists($value) ? ", not " & $substring($string($value), 0, 100) : ", which is missing"
    };
    $isText := function($value) { $type($value) = "string" and $trim($value) != "" };
    $isBucket := function($value) {
        $type($value) = "string" and $contains($value, /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)
    };
    $given := $input.destinationBuckets;
    $isList := $type($given) = "array";
    $wrong := $isList ? [$filter($given, function($bucket) { $not($isBucket($bucket)) })] : [];
    $problems :=
        ($isBucket($input.sourceBucket)
            ? "" : "; sourceBucket must be a bucket's name" & $said($input.sourceBucket))
        & ($isText($input.sourceKey) and $length($input.sourceKey) <= 1024
            ? "" : "; sourceKey must be a text of 1 to 1024 characters" & $said($input.sourceKey))
        & ($isList and $count($given) > 0 and $count($given) <= MAX_DESTINATIONS
            ? "" : "; destinationBuckets must be a list of 1 to MAX_DESTINATIONS bucket names"
                & ($isList ? ", not of " & $string($count($given)) : $said($given)))
        & ($count($wrong) = 0
            ? "" : "; destinationBuckets must hold bucket names only" & $said($wrong))
        & ($isList and $exists($input.sourceBucket) and $input.sourceBucket in $given
            ? "; destinationBuckets must not hold the source bucket, " & $string($input.sourceBucket) : "")
        & ($exists($input.sourceVersionId) and $not($isText($input.sourceVersionId))
            ? "; sourceVersionId must be a text" & $said($input.sourceVersionId) : "");
    $problems != "" ? $error("Invalid input: " & $substring($problems, 2) & ".") : {
        "sourceBucket": $input.sourceBucket,
        "sourceKey": $input.sourceKey,
        "destinationBuckets": [$distinct($given)],
        "sourceVersionId": $input.sourceVersionId,
        "copySource": $input.sourceBucket & "/" & $encodeUrlComponent($input.sourceKey)
            & ($exists($input.sourceVersionId) ? "?versionId=" & $encodeUrlComponent($input.sourceVersionId) : "")
    }
)"""
).replace("MAX_DESTINATIONS", str(MAX_DESTINATIONS))

_COPIED = r"""{
    "destinationBucket": $states.input,
    "success": true,
    "etag": $replace($states.result.**.ETag, '"', ""),
    "versionId": $states.result.VersionId,
    "timestamp": $now()
}"""

_NOT_COPIED = (
    r"""(
    """
    + _PLAIN
    + r"""
    $room := $floor(60000 / $count($job.destinationBuckets));
    {
        "destinationBucket": $states.input,
        "success": false,
        "error": $plain($states.errorOutput.Error, 60),
        "cause": $plain($states.errorOutput.Cause, $room < 400 ? $room : 400),
        "timestamp": $now()
    }
)"""
)

_SUMMARY = r"""(
    $copied := [$filter($states.input, function($result) { $result.success })];
    $failed := [$filter($states.input, function($result) { $not($result.success) })];
    {
        "status": $count($failed) = 0 ? "COMPLETED" : $count($copied) = 0 ? "FAILED" : "PARTIAL_FAILURE",
        "totalBuckets": $count($states.input),
        "successfulCopies": $count($copied),
        "failedCopies": $count($failed),
        "successfulBuckets": [$copied.destinationBucket],
        "failedBuckets": [$failed.destinationBucket]
    }
)"""

_COPY_RESULTS = r"""(
    $failed := [$filter($results, function($result) { $not($result.success) })];
    $kept := $count($results) <= MAX_COPY_RESULTS ? $results
        : [$filter($failed, function($result, $index) { $index < MAX_COPY_RESULTS })];
    [$map($kept, function($result) {
        {
            "M": $merge([
                {
                    "destinationBucket": {"S": $result.destinationBucket},
                    "success": {"BOOL": $result.success},
                    "timestamp": {"S": $result.timestamp}
                },
                $exists($result.etag) ? {"etag": {"S": $result.etag}} : {},
                $exists($result.versionId) ? {"versionId": {"S": $result.versionId}} : {},
                $exists($result.error) ? {"error": {"S": $result.error}, "cause": {"S": $result.cause}} : {}
            ])
        }
    })]
)""".replace("MAX_COPY_RESULTS", str(MAX_COPY_RESULTS))

_PROBLEM = (
    r"""(
    """
    + _PLAIN
    + r"""
    $plain($states.errorOutput.Error, 60) & ": " & $plain($states.errorOutput.Cause, 1000)
)"""
)

_SUBJECT = (
    r"""(
    """
    + _PLAIN
    + r"""
    $what := $trackingProblem != "" ? "File copy not tracked: "
        : $summary.status = "FAILED" ? "File copy failed: " : "File copy partly failed: ";
    $plain($what & $job.sourceKey, 99)
)"""
)

_MESSAGE = (
    r"""(
    $shown := $replace($job.sourceKey, /[\x00-\x1f\x7f-\x9f\u2028\u2029]/, "?");
    $failed := [$filter($results, function($result) { $not($result.success) })];
    $listed := [$filter($failed, function($result, $index) { $index < MAX_NOTIFIED_FAILURES })];
    $key := $replace($string({"fileKey": {"S": $job.sourceKey}, "sourceBucket": {"S": $job.sourceBucket}}),
        "'", "'\\''");
    ($trackingProblem != "" ? "🚨 The tracking record could not be written\n"
        : $summary.status = "FAILED" ? "🚨 File copy failed\n" : "⚠️ File copy partly failed\n")
    & "\n📄 File: " & $shown
    & "\n🪣 Source bucket: " & $job.sourceBucket
    & "\n🎯 Destinations: " & $string($count($job.destinationBuckets))
    & "\n✅ Copied: " & $string($summary.successfulCopies)
    & "\n❌ Failed: " & $string($summary.failedCopies)
    & ($trackingProblem != "" ? "\n\n📒 Tracking: " & $trackingProblem : "")
    & ($count($failed) > 0 ? "\n\nFailed copies:" : "")
    & $join($map($listed, function($result) {
        "\n  ❌ " & $result.destinationBucket & ": " & $result.error & ": " & $substring($result.cause, 0, 120)
    }))
    & ($count($failed) > $count($listed)
        ? "\n  … and " & $string($count($failed) - $count($listed)) & " more: see failedBuckets in the record" : "")
    & "\n\n🔎 Execution: " & $executionId
    & "\n📋 Record: aws dynamodb get-item --table-name TABLE_NAME --key '" & $key & "'\n"
)"""
).replace("MAX_NOTIFIED_FAILURES", str(MAX_NOTIFIED_FAILURES))

_FAILURE_CAUSE = r"""(
    $trackingProblem != ""
        ? $string($summary.successfulCopies) & " of " & $string($count($job.destinationBuckets))
            & " copies were made, but the tracking record could not be written: " & $trackingProblem
        : $string($summary.failedCopies) & " of " & $string($summary.totalBuckets) & " copies failed: "
            & $substring($join($summary.failedBuckets, ", "), 0, 1000)
)"""


def jsonata(expression: str) -> str:
    """``expression`` as Step Functions takes it in a field: on one line, as not every validator reads several."""
    return "{% " + re.sub(r"\s*\n\s*", " ", expression) + " %}"


def strings(expression: str) -> dict[str, str]:
    """A DynamoDB list of strings, from an expression that gives a list."""
    return {"L": jsonata(f'[$map({expression}, function($item) {{{{"S": $item}}}})]')}


def number(expression: str) -> dict[str, str]:
    """A DynamoDB number."""
    return {"N": jsonata(f"$string({expression})")}


def text(expression: str) -> dict[str, str]:
    """A DynamoDB string."""
    return {"S": jsonata(expression)}


def copy_workflow_definition(*, partition: str, table_name: str, topic_arn: str, max_concurrency: int) -> State:
    """The definition of file-copy-workflow.

    Args:
        partition: of the ARNs, ``aws`` outside China and GovCloud.
        max_concurrency: copies at a time, 1 to 40 (more than 40 iterations of an inline Map do not run at once).
    """
    integration = f"arn:{partition}:states:::"
    # Whatever goes wrong with the record, a person is told; the copies that were made stay.
    tell_of_tracking_problem = {
        "ErrorEquals": ["States.ALL"],
        "Assign": {"trackingProblem": jsonata(_PROBLEM)},
        "Next": "SendFailureNotification",
    }
    return {
        "Comment": "Copies one file to every destination bucket, records each copy, tells a person of failures.",
        "QueryLanguage": "JSONata",
        "TimeoutSeconds": EXECUTION_TIMEOUT,
        "StartAt": "ValidateInput",
        "States": {
            "ValidateInput": {
                "Type": "Pass",
                "Assign": {
                    "job": jsonata(_JOB),
                    "executionId": jsonata("$states.context.Execution.Id"),
                    "startTime": jsonata("$states.context.Execution.StartTime"),
                    "results": [],
                    "summary": {"status": "FAILED", "totalBuckets": 0, "successfulCopies": 0, "failedCopies": 0},
                    "trackingProblem": jsonata('""'),
                    "notificationProblem": jsonata('""'),
                },
                "Next": "LogWorkflowStart",
            },
            "LogWorkflowStart": {
                "Type": "Task",
                "Resource": f"{integration}dynamodb:putItem",
                "Arguments": {
                    "TableName": table_name,
                    "Item": {
                        "fileKey": text("$job.sourceKey"),
                        "sourceBucket": text("$job.sourceBucket"),
                        "sourceVersionId": jsonata(
                            '$exists($job.sourceVersionId) ? {"S": $job.sourceVersionId} : {"NULL": true}'
                        ),
                        "executionId": text("$executionId"),
                        "status": {"S": "IN_PROGRESS"},
                        "startTime": text("$startTime"),
                        "destinationBuckets": strings("$job.destinationBuckets"),
                        "totalBuckets": number("$count($job.destinationBuckets)"),
                        # regional-sync adds one member per destination.
                        "arrivals": {"M": {}},
                    },
                },
                "TimeoutSeconds": DYNAMODB_TIMEOUT,
                "Retry": DYNAMODB_RETRY,
                # Nothing is copied without a record of it.
                "Catch": [tell_of_tracking_problem],
                "Next": "CopyToMultipleBuckets",
            },
            "CopyToMultipleBuckets": {
                "Type": "Map",
                "Items": jsonata("$job.destinationBuckets"),
                "MaxConcurrency": max_concurrency,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "INLINE"},
                    "StartAt": "CopyToBucket",
                    "States": {
                        "CopyToBucket": {
                            "Type": "Task",
                            "Resource": f"{integration}aws-sdk:s3:copyObject",
                            "Arguments": {
                                "Bucket": jsonata("$states.input"),
                                "Key": jsonata("$job.sourceKey"),
                                "CopySource": jsonata("$job.copySource"),
                            },
                            "TimeoutSeconds": COPY_TIMEOUT,
                            "Retry": COPY_RETRY,
                            # A failed copy is a result, so that the other copies go on.
                            "Catch": [
                                {
                                    "ErrorEquals": ["States.ALL"],
                                    "Output": jsonata(_NOT_COPIED),
                                    "Next": "CopyFailed",
                                }
                            ],
                            "Output": jsonata(_COPIED),
                            "End": True,
                        },
                        "CopyFailed": {"Type": "Pass", "End": True},
                    },
                },
                "Next": "ProcessResults",
            },
            "ProcessResults": {
                "Type": "Pass",
                "Assign": {"results": jsonata("[$states.input]"), "summary": jsonata(_SUMMARY)},
                "Next": "UpdateDynamoDBFinal",
            },
            "UpdateDynamoDBFinal": {
                "Type": "Task",
                "Resource": f"{integration}dynamodb:updateItem",
                "Arguments": {
                    "TableName": table_name,
                    "Key": {"fileKey": text("$job.sourceKey"), "sourceBucket": text("$job.sourceBucket")},
                    "UpdateExpression": "SET #status = :status, completedAt = :completedAt,"
                    " totalBuckets = :totalBuckets, successfulCopies = :successfulCopies,"
                    " failedCopies = :failedCopies, successfulBuckets = :successfulBuckets,"
                    " failedBuckets = :failedBuckets, copyResults = :copyResults",
                    # A newer execution for the same file has taken the record over: it is left alone.
                    "ConditionExpression": "executionId = :executionId",
                    "ExpressionAttributeNames": {"#status": "status"},
                    "ExpressionAttributeValues": {
                        ":executionId": text("$executionId"),
                        ":status": text("$summary.status"),
                        ":completedAt": text("$now()"),
                        ":totalBuckets": number("$summary.totalBuckets"),
                        ":successfulCopies": number("$summary.successfulCopies"),
                        ":failedCopies": number("$summary.failedCopies"),
                        ":successfulBuckets": strings("$summary.successfulBuckets"),
                        ":failedBuckets": strings("$summary.failedBuckets"),
                        ":copyResults": {"L": jsonata(_COPY_RESULTS)},
                    },
                },
                "TimeoutSeconds": DYNAMODB_TIMEOUT,
                "Retry": DYNAMODB_RETRY,
                "Catch": [
                    {
                        "ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"],
                        "Next": "CheckIfAllSuccessful",
                    },
                    tell_of_tracking_problem,
                ],
                "Next": "CheckIfAllSuccessful",
            },
            "CheckIfAllSuccessful": {
                "Type": "Choice",
                "Choices": [{"Condition": jsonata("$summary.failedCopies = 0"), "Next": "AllCopiesSuccessful"}],
                "Default": "SendFailureNotification",
            },
            # A Pass, because not every engine gives a Succeed state's Output to the execution.
            "AllCopiesSuccessful": {"Type": "Pass", "Output": jsonata("$summary"), "End": True},
            "SendFailureNotification": {
                "Type": "Task",
                "Resource": f"{integration}sns:publish",
                "Arguments": {
                    "TopicArn": topic_arn,
                    "Subject": jsonata(_SUBJECT),
                    "Message": jsonata(_MESSAGE.replace("TABLE_NAME", table_name)),
                },
                "TimeoutSeconds": SNS_TIMEOUT,
                "Retry": SNS_RETRY,
                "Catch": [
                    {
                        "ErrorEquals": ["States.ALL"],
                        "Assign": {"notificationProblem": jsonata(_PROBLEM)},
                        "Next": "NotificationFailed",
                    }
                ],
                "Next": "SomeCopiesFailed",
            },
            "SomeCopiesFailed": {
                "Type": "Fail",
                "Error": jsonata('$trackingProblem != "" ? "TrackingFailed" : "CopiesFailed"'),
                "Cause": jsonata(_FAILURE_CAUSE),
            },
            "NotificationFailed": {
                "Type": "Fail",
                "Error": "NotificationFailed",
                "Cause": jsonata(
                    _FAILURE_CAUSE + ' & ". Nobody could be told: " & $notificationProblem',
                ),
            },
        },
    }
