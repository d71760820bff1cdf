"""The JSONata expressions of the states, written for AWS and kept to what LocalStack and MiniStack evaluate alike
(docs/engines.md). definition.py describes the variables.

A list that may have one element is written ``[...]``, because JSONata unwraps a single match. An object with members
that may be missing is built in one expression: an undefined member is left out there, but is an error as a field of its
own.
"""

from __future__ import annotations

from .fields import fill
from .limits import (
    LEASE_BASE,
    LEASE_GRACE,
    LEASE_PER_ROUND,
    LEASE_PER_WORKER_ROUND,
    MAX_COPY_RESULTS,
    MAX_DESTINATIONS,
    MAX_KEY_BYTES,
    MAX_NOTIFIED_FAILURES,
    UNKNOWN_S3_ERROR,
)

# One line of printable ASCII, so that a text cannot break or forge a line of a log, a subject or a list.
_PLAIN = r"""$plain := function($text, $length) { $substring($replace($string($text), /[^ -~]/, "?"), 0, $length) };"""

# The input, checked. URL-encoded, each byte of the key in UTF-8 is a character or "%" and two digits; half a character
# is an error. Each wrong destination becomes a string first: $filter drops an empty list and, on some engines, a null.
JOB = fill(
    r"""(
    $input := $states.input;
    $said := function($value) {
        $exists($value) ? ", not " & $substring($string($value), 0, 100) : ", and is missing"
    };
    $isText := function($value) { $type($value) = "string" and $trim($value) != "" };
    $isBucket := function($value) {
        $type($value) = "string" and $contains($value, /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)
    };
    $keyBytes := $type($input.sourceKey) = "string"
        ? $length($replace($encodeUrlComponent($input.sourceKey), /%../, "_")) : 0;
    $given := $input.destinationBuckets;
    $isList := $type($given) = "array";
    $wrong := $isList ? [$filter([$map($given, function($bucket) {
        $isBucket($bucket) ? ""
            : $type($bucket) = "string" ? '"' & $bucket & '"' : $exists($bucket) ? $string($bucket) : "null"
    })], function($text) { $text != "" })] : [];
    $problems :=
        ($isBucket($input.sourceBucket)
            ? "" : "; sourceBucket must be a bucket name" & $said($input.sourceBucket))
        & ($keyBytes > 0 and $keyBytes <= <MAX_KEY_BYTES> ? ""
            : $type($input.sourceKey) = "string"
            ? "; sourceKey must be a string of 1 to <MAX_KEY_BYTES> bytes in UTF-8, not " & $string($keyBytes)
            : "; sourceKey must be a string" & $said($input.sourceKey))
        & ($isList and $count($given) > 0 and $count($given) <= <MAX_DESTINATIONS>
            ? "" : "; destinationBuckets must be a list of 1 to <MAX_DESTINATIONS> bucket names"
                & ($isList ? ", not of " & $string($count($given)) : $said($given)))
        & ($count($wrong) = 0 ? "" : "; destinationBuckets must contain only bucket names, not "
            & $substring($join($wrong, ", "), 0, 100))
        & ($isList and $exists($input.sourceBucket) and $input.sourceBucket in $given
            ? "; destinationBuckets must not contain the source bucket, " & $string($input.sourceBucket) : "")
        & ($exists($input.sourceVersionId)
                and $not($isText($input.sourceVersionId) and $length($input.sourceVersionId) <= 1024)
            ? "; sourceVersionId must be a string of 1 to 1024 characters" & $said($input.sourceVersionId) : "")
        & ($exists($input.retry) and $type($input.retry) != "boolean"
            ? "; retry must be true or false" & $said($input.retry) : "");
    $problems != "" ? $error("Invalid input: " & $substring($problems, 2) & ".") : {
        "sourceBucket": $input.sourceBucket,
        "sourceKey": $input.sourceKey,
        "destinationBuckets": [$distinct($given)],
        "sourceVersionId": $input.sourceVersionId,
        "retry": $input.retry = true,
        "s3Event": $type($input.s3Event) = "string" ? $input.s3Event : ""
    }
)""",
    max_destinations=MAX_DESTINATIONS,
    max_key_bytes=MAX_KEY_BYTES,
)

# The checksums in an answer of S3, by S3's names such as ChecksumCRC32. Some engines change the case of these names. A
# checksum of the parts' checksums ("…-3") is left out: a copy may have other parts.
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

SOURCE = fill(
    r"""(
    <CHECKSUMS>
    $theirs := $named($states.result);
    {
        "versionId": $states.result.VersionId,
        "etag": $replace($states.result.ETag, '"', ""),
        "size": $states.result.ContentLength,
        "storageClass": $exists($states.result.StorageClass) ? $states.result.StorageClass : "STANDARD",
        "checksums": $states.result.ChecksumType = "COMPOSITE" ? {} : $checksums($states.result),
        "checksumOfParts": $filter(["CRC32C", "CRC32"], function($name) {
            $states.result.ChecksumType = "COMPOSITE" and $exists($lookup($theirs, "Checksum" & $name))
        })[0],
        "redirect": $states.result.WebsiteRedirectLocation
    }
)""",
    checksums=_CHECKSUMS,
)

# The end of the key, which people look for, as problems of the source name it.
_SHOWN_KEY = r"""$shown := $substring($plain($job.sourceKey, 2048), -100);"""

# S3 user guide, "Restoring an archived object": S3 does not copy an archived object until it is restored.
ARCHIVED = fill(
    r"""(
    <PLAIN>
    <SHOWN_KEY>
    $class := $exists($states.result.ArchiveStatus) ? $states.result.ArchiveStatus : $states.result.StorageClass;
    $isRestored := $exists($states.result.Restore) and $contains($states.result.Restore, 'ongoing-request="false"');
    $isArchived := $class in ["GLACIER", "DEEP_ARCHIVE", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"] and $not($isRestored);
    $merge([$problem, {"source": $isArchived ? $shown & " is archived (" & $class & "): restore it first" : ""}])
)""",
    plain=_PLAIN,
    shown_key=_SHOWN_KEY,
)

# HeadObject's answer to an error has no body, so the status is all that S3 says.
SOURCE_UNREADABLE = fill(
    r"""(
    <PLAIN>
    <SHOWN_KEY>
    $cause := $string($states.errorOutput.Cause);
    $name := $string($states.errorOutput.Error);
    $what :=
        $name = "S3.NoSuchKeyException" or $contains($cause, /[Ss]tatus (Code: )?404/)
            ? $shown & " is not in " & $job.sourceBucket
        : $name = "S3.AccessDeniedException" or $contains($cause, /[Ss]tatus (Code: )?403/)
            ? "access to " & $shown & " in " & $job.sourceBucket & " denied"
        : $contains($cause, /[Ss]tatus (Code: )?400/)
            ? $shown & " is encrypted with a customer's key, which S3 does not let anyone copy without it"
        : $plain($name, 60) & ": " & $plain($cause, 1000);
    $merge([$problem, {"source": $what}])
)""",
    plain=_PLAIN,
    shown_key=_SHOWN_KEY,
)

# The source has a newer version than the one that this execution is for.
IS_SUPERSEDED = r"""
    $exists($job.sourceVersionId) and $exists($source.versionId) and $job.sourceVersionId != $source.versionId
"""

# The value that the lease owner must equal. For a superseded execution, it never does.
STARTER = fill('<IS_SUPERSEDED> ? "superseded" : $executionId', is_superseded=IS_SUPERSEDED)

# --- What the record keeps of other destinations ----------------------------------------------------------------

# The record as it was, and the destinations that the execution does not copy to. Their failed copies stay in the
# record, and for a retry their copies, too. A failed copy to a bucket that is not a destination of the stack does not
# stay: nothing could fix it, so the record would never be COMPLETED again.
_BEFORE = r"""
    $item := $states.result.Attributes;
    $others := function($buckets) { [$filter($buckets, function($bucket) {
        $not($bucket in $job.destinationBuckets)
    })] };"""

PREVIOUS = fill(
    r"""(
    <BEFORE>
    {
        "isOwn": $not($exists($item.executionId)) or $item.executionId.S = $executionId,
        "version": $exists($item.sourceVersionId.S) ? $item.sourceVersionId.S : $item.sourceETag.S
    }
)""",
    before=_BEFORE,
)

# Only a failed copy has an error. Whether DynamoDB's integration names a boolean BOOL or Bool is not documented.
PREVIOUS_RESULTS = fill(
    r"""(
    <BEFORE>
    $kept := $item.copyResults.L[$not(M.destinationBucket.S in $job.destinationBuckets)
        and ($exists(M.error) ? M.destinationBucket.S in $destinations : $job.retry)];
    [$map($kept, function($r) {
        $merge([
            {
                "destinationBucket": $r.M.destinationBucket.S,
                "success": $not($exists($r.M.error)),
                "timestamp": $r.M.timestamp.S
            },
            $exists($r.M.etag) ? {"etag": $r.M.etag.S} : {},
            $exists($r.M.versionId) ? {"versionId": $r.M.versionId.S} : {},
            $exists($r.M.check) ? {"check": $r.M.check.S} : {},
            $exists($r.M.error) ? {"error": $r.M.error.S, "cause": $r.M.cause.S} : {}
        ])
    })]
)""",
    before=_BEFORE,
)

# A destination without a copy has failed, also if its execution ended before it could write that.
PREVIOUS_SUMMARY = fill(
    r"""(
    <BEFORE>
    $copied := $others([$item.successfulBuckets.L.S]);
    {
        "status": "FAILED", "totalBuckets": 0, "successfulCopies": 0, "failedCopies": 0,
        "successfulBuckets": $job.retry ? $copied : [],
        "failedBuckets": [$filter($others([$item.destinationBuckets.L.S]), function($bucket) {
            $bucket in $destinations and $not($bucket in $copied)
        })]
    }
)""",
    before=_BEFORE,
)

# A newer version of the file is not in the other destinations: their copies of the older one do not stay.
_IS_SAME_VERSION = """$previous.version = ($exists($states.result.VersionId) ? $states.result.VersionId
        : $replace($states.result.ETag, '"', ""))"""
KEPT_RESULTS = fill(
    "<IS_SAME> ? $results : [$filter($results, function($result) { $not($result.success) })]",
    is_same=_IS_SAME_VERSION,
)
KEPT_SUMMARY = fill(
    '$merge([$summary, <IS_SAME> ? {} : {"successfulBuckets": []}])',
    is_same=_IS_SAME_VERSION,
)

# --- The lease, and the destinations of each kind ---------------------------------------------------------------

# The lease owner after this execution's end. A write of it that lands later is refused: its condition is that the owner
# is still the execution.
ENDED = '$executionId & "#ended"'

# The lease owner after a round of copies.
OWNER_AFTER_ROUND = fill("$count($remaining) = 0 ? <ENDED> : $executionId", ended=ENDED)

# An AcquireLease that lands late must neither shorten a lease that was renewed meanwhile, nor take one that has ended:
# a lease is never released to a time before the end of its execution, and ":now" is the time when the call was sent.
# execution-watcher writes noLeaseBefore when an execution has ended that may have sent such a call.
ACQUIRE_CONDITION = (
    "attribute_not_exists(leaseOwner) OR (leaseOwner = :executionId AND leaseExpiresAt <= :leaseUntil)"
    " OR (leaseExpiresAt <= :now AND (attribute_not_exists(noLeaseBefore) OR noLeaseBefore <= :now))"
)

# Takes the lease. A new record is the execution's own at once. The other members are set to themselves, so that
# DynamoDB returns what they were: a read of its own would be another transition.
_SET_ONCE = {
    "executionId": ":executionId",
    "#status": ":inProgress",
    "startTime": ":startTime",
    "sourceVersionId": ":unknown",
    "sourceETag": ":unknown",
    "destinationBuckets": ":none",
    "successfulBuckets": ":none",
    "copyResults": ":none",
}


def lease_update(record_retention_days: int) -> str:
    """
    Args:
        record_retention_days: 0 keeps the record forever.
    """
    return (
        "SET leaseOwner = :executionId, leaseExpiresAt = :leaseUntil, "
        + ", ".join(f"{name} = if_not_exists({name}, {value})" for name, value in _SET_ONCE.items())
        # No execution runs for as many days as a record is kept, so no record expires while it is in progress.
        + (", expiresAt = :recordUntil" if record_retention_days else " REMOVE expiresAt")
    )


def seconds_from_now(seconds: int) -> str:
    """A time in seconds since 1970, as a string."""
    return f"$string($floor($millis() / 1000) + {seconds})"


def lease_expiry(max_concurrency: int) -> str:
    """The end of the lease, in seconds since 1970: it outlives the first round of copies."""
    return fill(
        r"""$string(
    $ceil($millis() / 1000) + <LEASE_BASE>
        + <LEASE_PER_ROUND> * $ceil($count($job.destinationBuckets) / <MAX_CONCURRENCY>)
)""",
        lease_base=LEASE_BASE,
        lease_per_round=LEASE_PER_ROUND,
        max_concurrency=max_concurrency,
    )


# A record that only this execution has, which copies nothing, because the source has a newer version.
_IS_LEFT_BEHIND = fill("($previous.isOwn and <IS_SUPERSEDED>)", is_superseded=IS_SUPERSEDED)
RELEASE_UPDATE = fill(
    '"SET leaseOwner = :ended, leaseExpiresAt = :released, #status = "'
    ' & (<IS_LEFT_BEHIND> ? ":superseded" : "#status")',
    is_left_behind=_IS_LEFT_BEHIND,
)
RELEASE_VALUES = fill(
    r"""$merge([
    {":executionId": {"S": $executionId}, ":ended": {"S": <ENDED>}, ":released": {"N": <NOW>}},
    <IS_LEFT_BEHIND> ? {":superseded": {"S": "SUPERSEDED"}} : {}
])""",
    ended=ENDED,
    now=seconds_from_now(0),
    is_left_behind=_IS_LEFT_BEHIND,
)


def is_for_worker(multipart_threshold: int) -> str:
    """True for a file that only copy-worker can copy, whatever the destination, and for one that was itself uploaded by
    a copy: copy-worker looks first if the destination has it already.

    CopyObject takes its source URL-encoded (S3 API reference, "CopySource"). AWS does not document whether Step
    Functions passes the source on as it is or encodes it once more. So S3 itself copies only a key that is the same
    either way: RFC 3986, "Unreserved Characters", and "/". A version's ID is URL-ready (S3 user guide, "Version IDs").
    """
    return fill(
        r"""(
    $source.size > <MULTIPART_THRESHOLD> or $exists($source.checksumOfParts) or $job.s3Event = "ObjectCreated:Copy"
        or $contains($replace($job.sourceKey, "/", ""), /[^A-Za-z0-9._~-]/)
)""",
        multipart_threshold=multipart_threshold,
    )


def direct(multipart_threshold: int) -> str:
    """The destinations that S3 itself copies to, on a call by Step Functions."""
    return fill(
        r"""(
    $problem.source != "" or <IS_FOR_WORKER> ? []
        : [$filter($job.destinationBuckets, function($bucket) { $not($exists($lookup($regions, $bucket))) })]
)""",
        is_for_worker=is_for_worker(multipart_threshold),
    )


def remaining(multipart_threshold: int) -> str:
    """The other destinations, and those to which S3 did not copy with an error that only copy-worker can tell apart:
    copy-worker copies to them.
    """
    return fill(
        r"""(
    $left := [$filter($states.result, function($r) { $not($exists($r.success)) }).destinationBucket];
    $problem.source != "" ? [] : <IS_FOR_WORKER> ? $job.destinationBuckets : [$filter(
        $job.destinationBuckets,
        function($bucket) { $exists($lookup($regions, $bucket)) or $bucket in $left }
    )]
)""",
        is_for_worker=is_for_worker(multipart_threshold),
    )


def region(bucket: str) -> str:
    """The region of the bucket that the expression ``bucket`` names."""
    return fill(
        r"""(
    $region := $lookup($regions, <BUCKET>);
    $exists($region) ? $region : $split($executionId, ":")[3]
)""",
        bucket=bucket,
    )


def owner(bucket: str) -> str:
    """The account that owns the bucket that the expression ``bucket`` names.

    A bucket that is deleted and then created by somebody else has the same name, but another owner.
    """
    return fill(
        r"""(
    $owner := $lookup($owners, <BUCKET>);
    $exists($owner) ? $owner : $split($executionId, ":")[4]
)""",
        bucket=bucket,
    )


COPY_ARGUMENTS = fill(
    r"""$merge([
    {
        "Bucket": $states.input,
        "Key": $job.sourceKey,
        "CopySource": $job.sourceBucket & "/" & $job.sourceKey
            & ($exists($source.versionId) ? "?versionId=" & $source.versionId : ""),
        "StorageClass": $source.storageClass,
        "ChecksumAlgorithm": $count($keys($source.checksums)) = 0 ? "CRC64NVME"
            : $substring($keys($source.checksums)[0], 8),
        "ExpectedBucketOwner": <OWNER>
    },
    $exists($source.redirect) ? {"WebsiteRedirectLocation": $source.redirect} : {}
])""",
    owner=owner("$states.input"),
)

# A checksum that both objects have decides. Without one, equal ETags prove equal bytes; different ETags prove nothing.
COPIED = fill(
    r"""(
    <CHECKSUMS>
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
)""",
    checksums=_CHECKSUMS,
)

# Characters of a cause: the results of 1,000 copies have to fit into one state's output.
CAUSE_LENGTH = r"""(
    $room := $floor(60000 / $count($job.destinationBuckets));
    $room < 400 ? $room : 400
)"""

# The error of a function is JSON, {"errorMessage": …, "errorType": …, …}. Only its message is kept.
NOT_COPIED = fill(
    r"""(
    <PLAIN>
    $said := $replace($replace($states.errorOutput.Cause, /^\{ *"errorMessage": *"/, ""), /", *"errorType":.*$/, "");
    {
        "destinationBucket": $states.input,
        "success": false,
        "error": $plain($states.errorOutput.Error, 60),
        "cause": $plain($said, <CAUSE_LENGTH>) & "",
        "timestamp": $now()
    }
)""",
    plain=_PLAIN,
    cause_length=CAUSE_LENGTH,
)

# An error that Step Functions cannot tell leaves the copy to copy-worker: it has no ``success`` yet.
NOT_COPIED_BY_S3 = fill(
    '$states.errorOutput.Error = "<UNKNOWN_S3_ERROR>" ? {"destinationBucket": $states.input} : <NOT_COPIED>',
    unknown_s3_error=UNKNOWN_S3_ERROR,
    not_copied=NOT_COPIED,
)

# The execution fails only if a copy of its own failed.
_FAILED_NOW = """$count([$filter($failedBuckets, function($bucket) { $bucket in $job.destinationBuckets })])"""

# A copy that copy-worker has not completed has no ``success`` yet.
SUMMARY = fill(
    r"""(
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
        "failedNow": <FAILED_NOW>,
        "successfulBuckets": $successfulBuckets,
        "failedBuckets": $failedBuckets
    }
)""",
    failed_now=_FAILED_NOW,
)

# Another execution has taken over the record: the remaining copies are not made and count as failed.
GIVEN_UP = fill(
    r"""(
    $failedBuckets := [$summary.failedBuckets, $remaining];
    $merge([$summary, {
        "status": $count($failedBuckets) = 0 ? "COMPLETED"
            : $summary.successfulCopies = 0 ? "FAILED" : "PARTIAL_FAILURE",
        "failedCopies": $count($failedBuckets),
        "failedNow": <FAILED_NOW>,
        "failedBuckets": $failedBuckets
    }])
)""",
    failed_now=_FAILED_NOW,
)
GIVEN_UP_RESULTS = r"""[$results, $map($remaining, function($bucket) {
    {
        "destinationBucket": $bucket,
        "success": false,
        "error": "LeaseLost",
        "cause": "another execution has taken over the record",
        "timestamp": $now()
    }
})]"""

# The output of an execution that made all its copies. The record may still have failed copies to other destinations.
OWN_SUMMARY = r"""{
    "status": "COMPLETED",
    "totalBuckets": $count($job.destinationBuckets),
    "successfulCopies": $count($job.destinationBuckets),
    "failedCopies": 0,
    "successfulBuckets": $job.destinationBuckets,
    "failedBuckets": []
}"""

# All destinations of the record: those that it keeps, and the job's.
ALL_DESTINATIONS = "[$summary.successfulBuckets, $summary.failedBuckets, $job.destinationBuckets]"
NUMBER_OF_DESTINATIONS = fill("$count(<ALL_DESTINATIONS>)", all_destinations=ALL_DESTINATIONS)

# The record at the start of an execution. It keeps the results of the other destinations. An older program kept
# arrivals in it.
START_UPDATE = (
    "SET executionId = :executionId, #status = :status, startTime = :startTime, sourceVersionId = :sourceVersionId,"
    " sourceETag = :sourceETag, sourceSize = :sourceSize, destinationBuckets = :destinationBuckets,"
    " totalBuckets = :totalBuckets, successfulBuckets = :successfulBuckets, failedBuckets = :failedBuckets,"
    " copyResults = :copyResults REMOVE completedAt, problem, successfulCopies, failedCopies, arrivals"
)

# The record after a round of copies. After the last round, it is complete.
RESULTS_UPDATE = r"""(
    "SET #status = :status, updatedAt = :now, totalBuckets = :totalBuckets, successfulCopies = :successfulCopies,"
    & " failedCopies = :failedCopies, successfulBuckets = :successfulBuckets, failedBuckets = :failedBuckets,"
    & " copyResults = :copyResults, problem = :problem, leaseOwner = :owner, leaseExpiresAt = :leaseUntil"
    & ($count($remaining) = 0 ? ", completedAt = :now" : "")
)"""

# Seconds since 1970. A copy that timed out may still land: the lease is kept for as long as that may take.
LEASE_UNTIL = fill(
    r"""(
    "States.Timeout" in $states.input.error ? $ceil($millis() / 1000) + <LEASE_GRACE> : $leaseUntil
)""",
    lease_grace=LEASE_GRACE,
)


def lease_after_round(max_concurrency: int) -> str:
    """The end of the lease after a round of copies. As long as copies remain, it outlives the next round. After the
    last, it ends now, or when no copy that timed out can land any more.
    """
    return fill(
        r"""(
    $time := $floor($millis() / 1000);
    $string($count($remaining) = 0 ? ($leaseUntil > $time ? $leaseUntil : $time)
        : $ceil($millis() / 1000) + <LEASE_BASE>
            + <LEASE_PER_WORKER_ROUND> * $ceil($count($remaining) / <MAX_CONCURRENCY>))
)""",
        lease_base=LEASE_BASE,
        lease_per_worker_round=LEASE_PER_WORKER_ROUND,
        max_concurrency=max_concurrency,
    )


COPY_RESULTS = fill(
    r"""(
    $failed := [$filter($results, function($result) { $not($result.success) })];
    $kept := $count($results) <= <MAX_COPY_RESULTS> ? $results
        : [$filter($failed, function($result, $index) { $index < <MAX_COPY_RESULTS> })];
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
)""",
    max_copy_results=MAX_COPY_RESULTS,
)


def problem(part: str) -> str:
    """``$problem``, in which the error of the failed state is now the problem of ``part``, a member of it."""
    return fill(
        r"""(
    <PLAIN>
    $said := $plain($states.errorOutput.Error, 60) & ": " & $plain($states.errorOutput.Cause, 1000);
    $merge([$problem, {"<PART>": $said}])
)""",
        plain=_PLAIN,
        part=part,
    )


SUBJECT = fill(
    r"""(
    <PLAIN>
    $what := $problem.tracking != "" ? "File copy not tracked: "
        : $summary.status = "FAILED" ? "File copy failed: " : "File copy partly failed: ";
    $plain($what & $job.sourceKey, 99)
)""",
    plain=_PLAIN,
)

# Control characters, and characters that reverse, join or hide text: a key must not forge a line of a message.
_UNPRINTABLE = r"/[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/"


def message(table_name: str) -> str:
    """The text of the notification."""
    return fill(
        r"""(
    $shown := $replace($job.sourceKey, <UNPRINTABLE>, "?");
    $total := $summary.totalBuckets > 0 ? $summary.totalBuckets : $count($job.destinationBuckets);
    $failed := [$filter($results, function($result) { $not($result.success) })];
    $listed := [$filter($failed, function($result, $index) { $index < <MAX_NOTIFIED_FAILURES> })];
    $key := $replace($string({"fileKey": {"S": $job.sourceKey}, "sourceBucket": {"S": $job.sourceBucket}}),
        "'", "'\\''");
    ($problem.tracking != "" ? "🚨 The tracking record could not be written\n"
        : $summary.status = "FAILED" ? "🚨 File copy failed\n" : "⚠️ File copy partly failed\n")
    & "\n📄 File: " & $shown
    & "\n🪣 Source bucket: " & $job.sourceBucket
    & "\n🎯 Destinations: " & $string($total)
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
        ? "aws dynamodb get-item --table-name <TABLE_NAME> --key '" & $key & "'"
        : "in <TABLE_NAME>; the key has characters that are not shown here, and is whole in the execution's input")
    & "\n"
)""",
        max_notified_failures=MAX_NOTIFIED_FAILURES,
        unprintable=_UNPRINTABLE,
        table_name=table_name,
    )


FAILURE_CAUSE = r"""(
    $problem.tracking != ""
        ? $string($summary.successfulCopies) & " of " & $string($count($job.destinationBuckets))
            & " copies were made, but the tracking record could not be written: " & $problem.tracking
        : $problem.source != "" ? "The source could not be read: " & $problem.source
        : $string($summary.failedCopies) & " of " & $string($summary.totalBuckets) & " copies failed: "
            & $substring($join($summary.failedBuckets, ", "), 0, 1000)
)"""

UNNOTIFIED_CAUSE = fill(
    '<FAILURE_CAUSE> & ". Notification failed: " & $problem.notification',
    failure_cause=FAILURE_CAUSE,
)

FAILURE_ERROR = (
    '$problem.tracking != "" ? "TrackingFailed" : $problem.source != "" ? "SourceUnreadable" : "CopiesFailed"'
)
