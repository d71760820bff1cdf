"""The state machine's definition: a pure function from plain names and ARNs to a dict. No Pulumi here.

States are in the order they are entered. Expressions are JSONata, written for AWS and kept to what LocalStack and
MiniStack evaluate alike (docs/engines.md): a list that may have one element is written ``[...]``, because JSONata
unwraps a single match; and an object with members that may be missing is built in one expression, because an
undefined member is left out there but is an error as a field of its own.

One file's executions take turns. AcquireLease takes the lease on the file's record, or waits for it; under the lease
ReadSource looks which version is the newest, and an execution for another one ends, superseded, without a copy. So
whatever is copied last is the newest (docs/reliability.md has the argument).

S3 itself copies what Step Functions can ask it for: files up to a limit, whose keys need no encoding, into buckets of
the stack's own region. What remains goes through copy-worker, in rounds, each of which ends with the record written;
CheckIfAllSuccessful begins the next. So the common case passes nine states, and one for each destination, and pays for
no function.

A variable is an object wherever its text may hold a quote or a backslash, because not every engine quotes the text of a
string variable (docs/engines.md).

Variables, assigned by ValidateInput unless said otherwise:
    $job: sourceBucket, sourceKey, sourceVersionId (may be missing), destinationBuckets (without repeats), retry
    $executionId: the execution's ARN; $startTime: ISO 8601, UTC
    $regions, $owners: of the destinations that are not in the stack's own region, or account
    $turn: how often the execution has waited for the lease; by AcquireLease's Catch
    $source: versionId (may be missing), etag, size in bytes, storageClass, checksums by name, and checksumOfParts, an
        algorithm's name, where there is only one of which copy-worker makes that of the whole; by ReadSource
    $results: one object per copy that was made or has failed (see ``copyResults`` in docs/architecture.md), those of
        the record that a retry adds to among them; by AcquireLease, CopyToMultipleBuckets and CopyThroughWorker
    $remaining: the destinations that copy-worker is not done with; by CopyToMultipleBuckets and CopyThroughWorker
    $summary: status, counts and bucket lists, what a retry adds to included; by AcquireLease and ProcessResults
    $leaseUntil: seconds since 1970, before which a copy that nobody waits for may still land; by ProcessResults
    $problem: source, tracking, notification: what went wrong with each, or ""; by a Catch
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

State = dict[str, Any]

# One execution's variables, payloads and Task arguments are 256 KiB at most (Step Functions developer guide,
# "Quotas"). A result is at most 250 bytes when its cause is cut to 60 characters, so 1,000 of them fit.
MAX_DESTINATIONS = 1_000
# Up to this many destinations, the record holds every copy's result; above it, the failed ones, this many at most.
MAX_COPY_RESULTS = 400
# How many failed buckets a notification spells out: 500 lines of 260 bytes stay below SNS's 256 KiB.
MAX_NOTIFIED_FAILURES = 500

# S3 API reference, CopyObject: at most 5 GB, which is 5 GiB (S3 user guide, "Copying, moving, and renaming objects").
MAX_COPY_OBJECT_BYTES = 5 * 1024**3

# Seconds. CopyObject answers when the copy is done, and 5 GB take minutes; the others answer at once.
COPY_TIMEOUT = 600
# The longest that a function may run. It ends itself, so the Task waits a little longer than that.
COPY_WORKER_TIMEOUT = 900
COPY_WORKER_TASK_TIMEOUT = COPY_WORKER_TIMEOUT + 60
HEAD_TIMEOUT = 30
DYNAMODB_TIMEOUT = 30
SNS_TIMEOUT = 30
# 50 TB, S3's largest object, take a day and more; a thousand copies of some minutes, ten at a time, some hours.
EXECUTION_TIMEOUT = 7 * 24 * 3600

# Lambda's ten retries of COPY_WORKER_RETRY: 2, 4, … 64 s, then 120 s each.
LAMBDA_WAIT = 2 + 4 + 8 + 16 + 32 + 64 + 4 * 120

# Seconds that a lease outlives everything its holder may still do, so that what takes over an expired lease is never
# overtaken by a copy of the dead holder. A round of copies: four attempts and the waits of 2, 4 and 8 s between them.
LEASE_PER_ROUND = 4 * COPY_TIMEOUT + 14
# The same of copy-worker: its own four attempts, as many again that Lambda had no room for, and the call that gives up.
LEASE_PER_WORKER_ROUND = 4 * COPY_WORKER_TASK_TIMEOUT + 14 + LAMBDA_WAIT + COPY_WORKER_TASK_TIMEOUT
# How long a copy that nobody waits for any more may take to land: S3 may still be at work on it, or copy-worker.
LEASE_GRACE = max(COPY_TIMEOUT, COPY_WORKER_TIMEOUT)
# ReadSource, LogWorkflowStart and UpdateDynamoDBFinal with their retries, and a copy that still lands.
LEASE_BASE = 4 * (4 * DYNAMODB_TIMEOUT + 3) + LEASE_GRACE


def _retrier(*, interval: int, attempts: int, rate: float) -> dict[str, Any]:
    """Tries again after any error: first after ``interval`` seconds, then after ``rate`` times as long each time."""
    return {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": interval,
        "MaxAttempts": attempts,
        "BackoffRate": rate,
        "JitterStrategy": "FULL",
    }


# A condition that fails says that the record is another execution's: asking again at once changes nothing.
DYNAMODB_RETRY = [
    {
        "ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"],
        "MaxAttempts": 0,
    },
    _retrier(interval=1, attempts=3, rate=1.0),
]
# Neither a bucket nor a key that is missing comes back by waiting.
NO_RETRY_OF_MISSING = {"ErrorEquals": ["S3.NoSuchBucketException", "S3.NoSuchKeyException"], "MaxAttempts": 0}
# HeadObject's answer has no body, so a missing key, a forbidden one and a busy S3 look alike: two short retries.
HEAD_RETRY = [
    NO_RETRY_OF_MISSING,
    _retrier(interval=1, attempts=2, rate=2.0),
]
COPY_RETRY = [
    NO_RETRY_OF_MISSING,
    # S3 may still be at work on a copy that timed out. It is not tried again, so that the results show it, and the
    # lease is kept for as long as that copy may take.
    {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 0},
    _retrier(interval=2, attempts=3, rate=2.0),
]
COPY_WORKER_RETRY = [
    # Lambda had no room, or was not well: the function did not run, and a burst of files has to wait for its turn.
    {
        "ErrorEquals": [
            "Lambda.TooManyRequestsException",
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
        ],
        "IntervalSeconds": 2,
        "MaxAttempts": 10,
        "BackoffRate": 2.0,
        "MaxDelaySeconds": 120,
        "JitterStrategy": "FULL",
    },
    {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 0},
    _retrier(interval=2, attempts=3, rate=2.0),
]
SNS_RETRY = [
    _retrier(interval=1, attempts=2, rate=1.0),
]

# One line of printable ASCII: what a log, a subject or a list can show without being forged or broken by it.
_PLAIN = r"""$plain := function($text, $length) { $substring($replace($string($text), /[^ -~]/, "?"), 0, $length) };"""

# Which of the destinations are wrong is found text by text: $filter drops an empty list, and on some engines a null,
# which exists on the others.
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
    $wrong := $isList ? [$filter([$map($given, function($bucket) {
        $isBucket($bucket) ? ""
            : $type($bucket) = "string" ? '"' & $bucket & '"' : $exists($bucket) ? $string($bucket) : "null"
    })], function($text) { $text != "" })] : [];
    $problems :=
        ($isBucket($input.sourceBucket)
            ? "" : "; sourceBucket must be a bucket's name" & $said($input.sourceBucket))
        & ($isText($input.sourceKey) and $length($input.sourceKey) <= 1024
            ? "" : "; sourceKey must be a text of 1 to 1024 characters" & $said($input.sourceKey))
        & ($isList and $count($given) > 0 and $count($given) <= MAX_DESTINATIONS
            ? "" : "; destinationBuckets must be a list of 1 to MAX_DESTINATIONS bucket names"
                & ($isList ? ", not of " & $string($count($given)) : $said($given)))
        & ($count($wrong) = 0 ? "" : "; destinationBuckets must hold bucket names only, not "
            & $substring($join($wrong, ", "), 0, 100))
        & ($isList and $exists($input.sourceBucket) and $input.sourceBucket in $given
            ? "; destinationBuckets must not hold the source bucket, " & $string($input.sourceBucket) : "")
        & ($exists($input.sourceVersionId)
                and $not($isText($input.sourceVersionId) and $length($input.sourceVersionId) <= 1024)
            ? "; sourceVersionId must be a text of 1 to 1024 characters" & $said($input.sourceVersionId) : "")
        & ($exists($input.retry) and $type($input.retry) != "boolean"
            ? "; retry must be true or false" & $said($input.retry) : "");
    $problems != "" ? $error("Invalid input: " & $substring($problems, 2) & ".") : {
        "sourceBucket": $input.sourceBucket,
        "sourceKey": $input.sourceKey,
        "destinationBuckets": [$distinct($given)],
        "sourceVersionId": $input.sourceVersionId,
        "retry": $input.retry = true
    }
)"""
).replace("MAX_DESTINATIONS", str(MAX_DESTINATIONS))

# The checksums in an answer of S3, by S3's names, ChecksumCRC32 and its like: not every engine has their case. One that
# is made of the parts' ("…-3") says nothing of a copy, whose parts may be others.
_CHECKSUMS = r"""
    $named := function($answer) {
        $merge([$each($answer, function($value, $name) {
            $contains($name, /^Checksum[^T]/) and $type($value) = "string"
                ? {"Checksum" & $uppercase($substring($name, 8)): $value} : {}
        })])
    };
    $checksums := function($answer) {
        $merge([$each($named($answer), function($value, $name) {
            $contains($value, "-") ? {} : {$name: $value}
        })])
    };"""

_SOURCE = (
    r"""(
    """
    + _CHECKSUMS
    + r"""
    $theirs := $named($states.result);
    {
        "versionId": $states.result.VersionId,
        "etag": $replace($states.result.ETag, '"', ""),
        "size": $states.result.ContentLength,
        "storageClass": $exists($states.result.StorageClass) ? $states.result.StorageClass : "STANDARD",
        "checksums": $states.result.ChecksumType = "COMPOSITE" ? {} : $checksums($states.result),
        "checksumOfParts": $filter(["CRC32C", "CRC32"], function($name) {
            $states.result.ChecksumType = "COMPOSITE" and $exists($lookup($theirs, "Checksum" & $name))
        })[0]
    }
)"""
)

_IS_SUPERSEDED = r"""
    $exists($job.sourceVersionId) and $exists($source.versionId) and $job.sourceVersionId != $source.versionId
"""

# What a retry leaves alone of the record that it adds to.
_OTHERS = r"""
    $item := $states.result.Attributes;
    $others := function($buckets) { [$filter($buckets, function($bucket) {
        $not($bucket in $job.destinationBuckets)
    })] };"""

_PREVIOUS_RESULTS = (
    r"""(
    """
    + _OTHERS
    + r"""
    [$map($item.copyResults.L[$not(M.destinationBucket.S in $job.destinationBuckets)], function($r) {
        $merge([
            {
                "destinationBucket": $r.M.destinationBucket.S,
                "success": $r.M.success.BOOL,
                "timestamp": $r.M.timestamp.S
            },
            $exists($r.M.etag) ? {"etag": $r.M.etag.S} : {},
            $exists($r.M.versionId) ? {"versionId": $r.M.versionId.S} : {},
            $exists($r.M.check) ? {"check": $r.M.check.S} : {},
            $exists($r.M.error) ? {"error": $r.M.error.S, "cause": $r.M.cause.S} : {}
        ])
    })]
)"""
)

_PREVIOUS_SUMMARY = (
    r"""(
    """
    + _OTHERS
    + r"""
    {
        "status": "FAILED", "totalBuckets": 0, "successfulCopies": 0, "failedCopies": 0,
        "successfulBuckets": $others([$item.successfulBuckets.L.S]),
        "failedBuckets": $others([$item.failedBuckets.L.S])
    }
)"""
)

# Taking the lease changes nothing of these, but has DynamoDB return them: another read would be another transition.
_LEASE_UPDATE = r"""(
    "SET leaseOwner = :executionId, leaseExpiresAt = :expiresAt"
    & ($job.retry ? ", copyResults = if_not_exists(copyResults, :none),"
        & " successfulBuckets = if_not_exists(successfulBuckets, :none),"
        & " failedBuckets = if_not_exists(failedBuckets, :none)" : "")
)"""

_LEASE_VALUES = r"""(
    $now := $floor($millis() / 1000);
    $merge([
        {
            ":executionId": {"S": $executionId},
            ":now": {"N": $string($now)},
            ":expiresAt": {"N": $string($now + LEASE_BASE
                + LEASE_PER_ROUND * $ceil($count($job.destinationBuckets) / MAX_CONCURRENCY))}
        },
        $job.retry ? {":none": {"L": []}} : {}
    ])
)"""

# What S3 does not do when Step Functions asks it to, whichever the destination. CopyObject takes its source URL-encoded
# (S3 API reference, "CopySource"), and whether Step Functions passes on what it is given or encodes it once more is not
# documented. So only a key that is the same either way is left to it: RFC 3986, "Unreserved Characters", and "/". A
# version's ID is URL-ready (S3 user guide, "Version IDs").
_IS_FOR_WORKER = r"""(
    $source.size > MULTIPART_THRESHOLD or $exists($source.checksumOfParts)
        or $contains($replace($job.sourceKey, "/", ""), /[^A-Za-z0-9._~-]/)
)"""

# S3 copies these when it is asked to; copy-worker does the others.
_DIRECT = r"""(
    $problem.source != "" or IS_FOR_WORKER ? []
        : [$filter($job.destinationBuckets, function($bucket) { $not($exists($lookup($regions, $bucket))) })]
)""".replace("IS_FOR_WORKER", _IS_FOR_WORKER)

_REMAINING = r"""(
    $problem.source != "" ? [] : IS_FOR_WORKER ? $job.destinationBuckets
        : [$filter($job.destinationBuckets, function($bucket) { $exists($lookup($regions, $bucket)) })]
)""".replace("IS_FOR_WORKER", _IS_FOR_WORKER)

_REGION = r"""(
    $region := $lookup($regions, BUCKET);
    $exists($region) ? $region : $split($executionId, ":")[3]
)"""

# A bucket that is deleted and then made again by somebody else has the same name, but another owner.
_OWNER = r"""(
    $owner := $lookup($owners, BUCKET);
    $exists($owner) ? $owner : $split($executionId, ":")[4]
)"""

_COPY_ARGUMENTS = (
    r"""$merge([
    {
        "Bucket": $states.input,
        "Key": $job.sourceKey,
        "CopySource": $job.sourceBucket & "/" & $job.sourceKey
            & ($exists($source.versionId) ? "?versionId=" & $source.versionId : ""),
        "StorageClass": $source.storageClass,
        "ChecksumAlgorithm": $count($keys($source.checksums)) = 0 ? "CRC64NVME"
            : $substring($keys($source.checksums)[0], 8),
        "ExpectedBucketOwner": """
    + _OWNER.replace("BUCKET", "$states.input")
    + r"""
    },
    $exists($lookup($owners, $states.input)) ? {"ACL": "bucket-owner-full-control"} : {}
])"""
)

# A checksum that both have decides; ETags that are the same are of the same bytes, and ones that are not say nothing.
_COPIED = (
    r"""(
    """
    + _CHECKSUMS
    + r"""
    $etag := $replace($states.result.**.ETag, '"', "");
    $theirs := $checksums($exists($states.result.CopyObjectResult) ? $states.result.CopyObjectResult : $states.result);
    $name := $filter($keys($source.checksums), function($name) { $exists($lookup($theirs, $name)) })[0];
    $exists($name) and $lookup($theirs, $name) != $lookup($source.checksums, $name)
        ? {
            "destinationBucket": $states.input,
            "success": false,
            "error": "ChecksumMismatch",
            "cause": $name & " of the copy is " & $lookup($theirs, $name)
                & ", of the source " & $lookup($source.checksums, $name),
            "timestamp": $now()
        }
        : {
            "destinationBucket": $states.input,
            "success": true,
            "etag": $etag,
            "versionId": $states.result.VersionId,
            "check": $exists($name) ? $substring($name, 8) : $etag = $source.etag ? "ETag" : "none",
            "timestamp": $now()
        }
)"""
)

# What a function raises comes as JSON, {"errorMessage": …, "errorType": …, …}: its message says enough.
_NOT_COPIED = (
    r"""(
    """
    + _PLAIN
    + r"""
    $room := $floor(60000 / $count($job.destinationBuckets));
    $said := $replace($replace($states.errorOutput.Cause, /^\{ *"errorMessage": *"/, ""), /", *"errorType":.*$/, "");
    {
        "destinationBucket": $states.input,
        "success": false,
        "error": $plain($states.errorOutput.Error, 60),
        "cause": $plain($said, $room < 400 ? $room : 400) & "",
        "timestamp": $now()
    }
)"""
)

# What copy-worker is not done with has no success yet.
_SUMMARY = r"""(
    $copied := [$filter($states.input, function($result) { $result.success = true })];
    $failed := [$filter($states.input, function($result) { $result.success = false })];
    $successfulBuckets := [$summary.successfulBuckets, $copied.destinationBucket];
    $failedBuckets := $problem.source != "" ? [$summary.failedBuckets, $job.destinationBuckets]
        : [$summary.failedBuckets, $failed.destinationBucket];
    {
        "status": $count($remaining) > 0 ? "IN_PROGRESS" : $count($failedBuckets) = 0 ? "COMPLETED"
            : $count($successfulBuckets) = 0 ? "FAILED" : "PARTIAL_FAILURE",
        "totalBuckets": $count($successfulBuckets) + $count($failedBuckets) + $count($remaining),
        "successfulCopies": $count($successfulBuckets),
        "failedCopies": $count($failedBuckets),
        "successfulBuckets": $successfulBuckets,
        "failedBuckets": $failedBuckets
    }
)"""

# The record has become another execution's: what remains is not copied, and counts as failed.
_GIVEN_UP = r"""(
    $failedBuckets := [$summary.failedBuckets, $remaining];
    $merge([$summary, {
        "status": $count($failedBuckets) = 0 ? "COMPLETED"
            : $summary.successfulCopies = 0 ? "FAILED" : "PARTIAL_FAILURE",
        "failedCopies": $count($failedBuckets),
        "failedBuckets": $failedBuckets
    }])
)"""

# All destinations of the record: what a retry leaves alone, and the job's.
_ALL_DESTINATIONS = "[$summary.successfulBuckets, $summary.failedBuckets, $job.destinationBuckets]"

# What the record is at the start of an execution. A retry keeps what is known of the other copies.
_START_UPDATE = r"""(
    "SET executionId = :executionId, #status = :status, startTime = :startTime, sourceVersionId = :sourceVersionId,"
    & " sourceETag = :sourceETag, sourceSize = :sourceSize, destinationBuckets = :destinationBuckets,"
    & " totalBuckets = :totalBuckets, arrivals = "
    & ($job.retry ? "if_not_exists(arrivals, :noArrivals) REMOVE completedAt, problem"
        : ":noArrivals REMOVE completedAt, problem, successfulCopies, failedCopies, successfulBuckets,"
            & " failedBuckets, copyResults")
)"""

# The record after a round of copies; after the last, it is complete.
_RESULTS_UPDATE = r"""(
    "SET #status = :status, updatedAt = :now, totalBuckets = :totalBuckets, successfulCopies = :successfulCopies,"
    & " failedCopies = :failedCopies, successfulBuckets = :successfulBuckets, failedBuckets = :failedBuckets,"
    & " copyResults = :copyResults, problem = :problem, leaseExpiresAt = :leaseUntil"
    & ($count($remaining) = 0 ? ", completedAt = :now" : "")
)"""

# Seconds since 1970. A copy that timed out may still land: the lease is kept for as long as that may take.
_LEASE_UNTIL = r"""(
    "States.Timeout" in $states.input.error ? $floor($millis() / 1000) + LEASE_GRACE : $leaseUntil
)""".replace("LEASE_GRACE", str(LEASE_GRACE))

# As long as copies remain, the lease outlives the next round of them.
_LEASE_AFTER_ROUND = r"""$string(
    $count($remaining) = 0 ? $leaseUntil : $floor($millis() / 1000) + LEASE_BASE
        + LEASE_PER_WORKER_ROUND * $ceil($count($remaining) / MAX_CONCURRENCY)
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
                $exists($result.check) ? {"check": {"S": $result.check}} : {},
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
    $said := $plain($states.errorOutput.Error, 60) & ": " & $plain($states.errorOutput.Cause, 1000);
    $merge([$problem, {"PART": $said}])
)"""
)

_SUBJECT = (
    r"""(
    """
    + _PLAIN
    + r"""
    $what := $problem.tracking != "" ? "File copy not tracked: "
        : $summary.status = "FAILED" ? "File copy failed: " : "File copy partly failed: ";
    $plain($what & $job.sourceKey, 99)
)"""
)

# Controls, and what turns text around, joins it, or hides: a key must not forge a line of a message.
_UNPRINTABLE = r"/[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/"

_MESSAGE = (
    (
        r"""(
    $shown := $replace($job.sourceKey, UNPRINTABLE, "?");
    $failed := [$filter($results, function($result) { $not($result.success) })];
    $listed := [$filter($failed, function($result, $index) { $index < MAX_NOTIFIED_FAILURES })];
    $key := $replace($string({"fileKey": {"S": $job.sourceKey}, "sourceBucket": {"S": $job.sourceBucket}}),
        "'", "'\\''");
    ($problem.tracking != "" ? "🚨 The tracking record could not be written\n"
        : $summary.status = "FAILED" ? "🚨 File copy failed\n" : "⚠️ File copy partly failed\n")
    & "\n📄 File: " & $shown
    & "\n🪣 Source bucket: " & $job.sourceBucket
    & "\n🎯 Destinations: " & $string($count($job.destinationBuckets))
    & "\n✅ Copied: " & $string($summary.successfulCopies)
    & "\n❌ Failed: " & $string($summary.failedCopies)
    & ($problem.source != "" ? "\n\n📭 The source could not be read: " & $problem.source : "")
    & ($problem.tracking != "" ? "\n\n📒 Tracking: " & $problem.tracking : "")
    & ($count($failed) > 0 ? "\n\nFailed copies:" : "")
    & $join($map($listed, function($result) {
        "\n  ❌ " & $result.destinationBucket & ": " & $result.error & ": " & $substring($result.cause, 0, 120)
    }))
    & ($count($failed) > $count($listed)
        ? "\n  … and " & $string($count($failed) - $count($listed)) & " more: see failedBuckets in the record" : "")
    & "\n\n🔎 Execution: " & $executionId
    & "\n📋 Record: " & ($shown = $job.sourceKey
        ? "aws dynamodb get-item --table-name TABLE_NAME --key '" & $key & "'"
        : "in TABLE_NAME; the key has characters that are not shown here, and is whole in the execution's input") & "\n"
)"""
    )
    .replace("MAX_NOTIFIED_FAILURES", str(MAX_NOTIFIED_FAILURES))
    .replace("UNPRINTABLE", _UNPRINTABLE)
)

_FAILURE_CAUSE = r"""(
    $problem.tracking != ""
        ? $string($summary.successfulCopies) & " of " & $string($count($job.destinationBuckets))
            & " copies were made, but the tracking record could not be written: " & $problem.tracking
        : $problem.source != "" ? "The source could not be read: " & $problem.source
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


def problem_of(part: str) -> str:
    """``$problem`` with the error of the state that has failed as what is wrong with ``part``, a member of it."""
    return jsonata(_PROBLEM.replace("PART", part))


def text(expression: str) -> dict[str, str]:
    """A DynamoDB string."""
    return {"S": jsonata(expression)}


def optional(expression: str, dynamodb_type: str) -> str:
    """A DynamoDB value of what may be undefined: NULL where it is."""
    return jsonata(f'$exists({expression}) ? {{"{dynamodb_type}": {expression}}} : {{"NULL": true}}')


def copy_workflow_definition(
    *,
    partition: str,
    table_name: str,
    topic_arn: str,
    copy_worker_arn: str,
    max_concurrency: int,
    multipart_threshold: int = MAX_COPY_OBJECT_BYTES,
    regions: Mapping[str, str] | None = None,
    owners: Mapping[str, str] | None = None,
) -> State:
    """The definition of file-copy-workflow.

    Args:
        partition: of the ARNs, ``aws`` outside China and GovCloud.
        max_concurrency: copies at a time, 1 to 40 (more than 40 iterations of an inline Map do not run at once).
        multipart_threshold: bytes; a file of more is copied in parts, by copy-worker.
        regions: where the destinations are that are not in the state machine's own region, by their buckets' names.
        owners: whose the destinations are that are not in its own account.
    """

    def filled_in(expression: str) -> str:
        return jsonata(
            expression.replace("LEASE_BASE", str(LEASE_BASE))
            .replace("LEASE_PER_ROUND", str(LEASE_PER_ROUND))
            .replace("LEASE_PER_WORKER_ROUND", str(LEASE_PER_WORKER_ROUND))
            .replace("MAX_CONCURRENCY", str(max_concurrency))
            .replace("MULTIPART_THRESHOLD", str(multipart_threshold))
        )

    integration = f"arn:{partition}:states:::"
    record = {
        "TableName": table_name,
        "Key": {"fileKey": text("$job.sourceKey"), "sourceBucket": text("$job.sourceBucket")},
    }
    dynamodb_task = {"Type": "Task", "TimeoutSeconds": DYNAMODB_TIMEOUT, "Retry": DYNAMODB_RETRY}
    copy_worker_task = {
        "Type": "Task",
        "Resource": f"{integration}lambda:invoke",
        "TimeoutSeconds": COPY_WORKER_TASK_TIMEOUT,
        "Retry": COPY_WORKER_RETRY,
    }

    def copy_worker_payload(bucket: str) -> dict[str, Any]:
        return {
            "executionId": jsonata("$executionId"),
            "sourceBucket": jsonata("$job.sourceBucket"),
            "sourceKey": jsonata("$job.sourceKey"),
            "source": jsonata("$source"),
            "destinationBucket": jsonata(bucket),
            "region": jsonata(_REGION.replace("BUCKET", bucket)),
            "account": jsonata(_OWNER.replace("BUCKET", bucket)),
        }

    # Whatever goes wrong with the record, a person is told; the copies that were made stay.
    tell_of_tracking_problem = {
        "ErrorEquals": ["States.ALL"],
        "Assign": {"problem": problem_of("tracking")},
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
                    "regions": dict(regions or {}),
                    "owners": dict(owners or {}),
                    "turn": 0,
                    "source": {},
                    "results": [],
                    "remaining": [],
                    "summary": {"status": "FAILED", "totalBuckets": 0, "successfulCopies": 0, "failedCopies": 0},
                    "leaseUntil": 0,
                    "problem": {"source": jsonata('""'), "tracking": jsonata('""'), "notification": jsonata('""')},
                },
                "Next": "AcquireLease",
            },
            "AcquireLease": {
                **dynamodb_task,
                "Resource": f"{integration}dynamodb:updateItem",
                "Arguments": {
                    **record,
                    "UpdateExpression": jsonata(_LEASE_UPDATE),
                    "ConditionExpression": "attribute_not_exists(leaseOwner) OR leaseOwner = :executionId"
                    " OR leaseExpiresAt < :now",
                    "ExpressionAttributeValues": filled_in(_LEASE_VALUES),
                    "ReturnValues": "UPDATED_OLD",
                },
                "Assign": {"results": jsonata(_PREVIOUS_RESULTS), "summary": jsonata(_PREVIOUS_SUMMARY)},
                "Catch": [
                    {
                        "ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"],
                        "Assign": {"turn": jsonata("$turn + 1")},
                        "Next": "WaitForTurn",
                    },
                    # Nothing is copied without a record of it. Should the lease have been taken all the same,
                    # execution-watcher lets go of it.
                    tell_of_tracking_problem,
                ],
                "Next": "ReadSource",
            },
            "WaitForTurn": {
                "Type": "Wait",
                # Each wait is seven events of a history that holds 25,000; these leave room for the copies of a job.
                "Seconds": jsonata("$turn <= 10 ? 2 : $turn <= 20 ? 10 : $turn <= 100 ? 90 : 900"),
                "Next": "AcquireLease",
            },
            "ReadSource": {
                "Type": "Task",
                "Resource": f"{integration}aws-sdk:s3:headObject",
                "Arguments": {
                    "Bucket": jsonata("$job.sourceBucket"),
                    "Key": jsonata("$job.sourceKey"),
                    "ChecksumMode": "ENABLED",
                },
                "TimeoutSeconds": HEAD_TIMEOUT,
                "Retry": HEAD_RETRY,
                "Assign": {"source": jsonata(_SOURCE)},
                # Without a source no copy is tried: the record says so, and one notification.
                "Catch": [
                    {
                        "ErrorEquals": ["States.ALL"],
                        "Assign": {"problem": problem_of("source")},
                        "Next": "LogWorkflowStart",
                    }
                ],
                "Next": "LogWorkflowStart",
            },
            "LogWorkflowStart": {
                **dynamodb_task,
                "Resource": f"{integration}dynamodb:updateItem",
                "Arguments": {
                    **record,
                    "UpdateExpression": jsonata(_START_UPDATE),
                    # Nobody is superseded, so DynamoDB refuses the record to one that is. A Choice before this state
                    # would be one more transition of every execution.
                    "ConditionExpression": "leaseOwner = :starter",
                    "ExpressionAttributeNames": {"#status": "status"},
                    "ExpressionAttributeValues": {
                        ":executionId": text("$executionId"),
                        ":starter": text(f'{_IS_SUPERSEDED} ? "superseded" : $executionId'),
                        ":status": {"S": "IN_PROGRESS"},
                        ":startTime": text("$startTime"),
                        ":sourceVersionId": optional("$source.versionId", "S"),
                        ":sourceETag": optional("$source.etag", "S"),
                        ":sourceSize": optional("$string($source.size)", "N"),
                        ":destinationBuckets": strings(_ALL_DESTINATIONS),
                        ":totalBuckets": number(f"$count({_ALL_DESTINATIONS})"),
                        # regional-sync adds one member per destination.
                        ":noArrivals": {"M": {}},
                    },
                },
                # No copy has begun, and none can land any more: the file's next execution need not wait.
                "Catch": [{**tell_of_tracking_problem, "Next": "ReleaseLease"}],
                "Next": "CopyToMultipleBuckets",
            },
            "ReleaseLease": {
                **dynamodb_task,
                "Resource": f"{integration}dynamodb:updateItem",
                "Arguments": {
                    **record,
                    "UpdateExpression": "SET leaseExpiresAt = :released",
                    "ConditionExpression": "leaseOwner = :executionId",
                    "ExpressionAttributeValues": {":executionId": text("$executionId"), ":released": {"N": "0"}},
                },
                # If this fails, the lease is another execution's, or the next one waits until it expires.
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "CheckIfSuperseded"}],
                "Next": "CheckIfSuperseded",
            },
            "CheckIfSuperseded": {
                "Type": "Choice",
                "Choices": [{"Condition": jsonata(_IS_SUPERSEDED), "Next": "Superseded"}],
                "Default": "SendFailureNotification",
            },
            "Superseded": {
                "Type": "Pass",
                "Output": {
                    "status": "SUPERSEDED",
                    "sourceVersionId": jsonata("$job.sourceVersionId"),
                    "newestVersionId": jsonata("$source.versionId"),
                },
                "End": True,
            },
            "CopyToMultipleBuckets": {
                "Type": "Map",
                "Items": filled_in(_DIRECT),
                "MaxConcurrency": max_concurrency,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "INLINE"},
                    "StartAt": "CopyToBucket",
                    "States": {
                        "CopyToBucket": {
                            "Type": "Task",
                            "Resource": f"{integration}aws-sdk:s3:copyObject",
                            "Arguments": jsonata(_COPY_ARGUMENTS),
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
                # Not together with the summary: what one state assigns is 256 KiB at most.
                "Assign": {
                    "results": jsonata("[$results, $states.result]"),
                    "remaining": filled_in(_REMAINING),
                },
                "Next": "ProcessResults",
            },
            "ProcessResults": {
                "Type": "Pass",
                "Assign": {
                    "summary": jsonata(_SUMMARY),
                    "leaseUntil": jsonata(_LEASE_UNTIL),
                },
                "Next": "UpdateDynamoDBFinal",
            },
            "UpdateDynamoDBFinal": {
                **dynamodb_task,
                "Resource": f"{integration}dynamodb:updateItem",
                "Arguments": {
                    **record,
                    "UpdateExpression": jsonata(_RESULTS_UPDATE),
                    # A newer execution for the same file has taken the record over: it is left alone.
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
                        ":copyResults": {"L": jsonata(_COPY_RESULTS)},
                        ":problem": jsonata('$problem.source = "" ? {"NULL": true} : {"S": $problem.source}'),
                        ":leaseUntil": {"N": filled_in(_LEASE_AFTER_ROUND)},
                    },
                },
                "Catch": [
                    {
                        "ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"],
                        "Assign": {"summary": jsonata(_GIVEN_UP), "remaining": []},
                        "Next": "CheckIfAllSuccessful",
                    },
                    tell_of_tracking_problem,
                ],
                "Next": "CheckIfAllSuccessful",
            },
            "CheckIfAllSuccessful": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": jsonata("$count($remaining) > 0"), "Next": "CopyThroughWorker"},
                    {"Condition": jsonata("$summary.failedCopies = 0"), "Next": "AllCopiesSuccessful"},
                ],
                "Default": "SendFailureNotification",
            },
            "CopyThroughWorker": {
                "Type": "Map",
                "Items": jsonata("$remaining"),
                "MaxConcurrency": max_concurrency,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "INLINE"},
                    "StartAt": "RunCopyWorker",
                    "States": {
                        "RunCopyWorker": {
                            **copy_worker_task,
                            "Arguments": {
                                "FunctionName": copy_worker_arn,
                                "Payload": copy_worker_payload("$states.input"),
                            },
                            "Catch": [
                                {
                                    "ErrorEquals": ["States.ALL"],
                                    "Output": jsonata(_NOT_COPIED),
                                    "Next": "AbortCopy",
                                }
                            ],
                            "Output": jsonata("$states.result.Payload"),
                            "End": True,
                        },
                        # What was copied of it would be paid for, and nobody goes on with it.
                        "AbortCopy": {
                            **copy_worker_task,
                            "Arguments": {
                                "FunctionName": copy_worker_arn,
                                "Payload": {**copy_worker_payload("$states.input.destinationBucket"), "abort": True},
                            },
                            # The bucket's lifecycle rule is left to do it.
                            "Catch": [
                                {
                                    "ErrorEquals": ["States.ALL"],
                                    "Output": jsonata("$states.input"),
                                    "Next": "CopyNotAborted",
                                }
                            ],
                            "Output": jsonata("$states.input"),
                            "End": True,
                        },
                        "CopyNotAborted": {"Type": "Pass", "End": True},
                    },
                },
                "Assign": {
                    "results": jsonata("[$results, $filter($states.result, function($r) { $exists($r.success) })]"),
                    "remaining": jsonata(
                        "[$filter($states.result, function($r) { $not($exists($r.success)) }).destinationBucket]"
                    ),
                },
                "Next": "ProcessResults",
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
                        "Assign": {"problem": problem_of("notification")},
                        "Next": "NotificationFailed",
                    }
                ],
                "Next": "SomeCopiesFailed",
            },
            "SomeCopiesFailed": {
                "Type": "Fail",
                "Error": jsonata(
                    '$problem.tracking != "" ? "TrackingFailed"'
                    ' : $problem.source != "" ? "SourceUnreadable" : "CopiesFailed"'
                ),
                "Cause": jsonata(_FAILURE_CAUSE),
            },
            "NotificationFailed": {
                "Type": "Fail",
                "Error": "NotificationFailed",
                "Cause": jsonata(
                    _FAILURE_CAUSE + ' & ". Nobody could be told: " & $problem.notification',
                ),
            },
        },
    }
