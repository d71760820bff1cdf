"""Limits, timeouts, retries and lease durations of the workflow. All times are in seconds."""

from __future__ import annotations

from typing import Any

# One execution's variables, payloads and Task arguments are 256 KiB at most (Step Functions developer guide,
# "Quotas"). A result is at most 250 bytes when its cause is cut to 60 characters, so 1,000 of them fit.
MAX_DESTINATIONS = 1_000
# Up to this many destinations, the record holds the result of every copy. Above it, only the failed ones, up to this
# many.
MAX_COPY_RESULTS = 400
# The number of failed buckets that a notification lists: 500 lines of 260 bytes stay below SNS's 256 KiB.
MAX_NOTIFIED_FAILURES = 500

# S3 user guide, "Naming Amazon S3 objects": at most 1,024 bytes in UTF-8.
MAX_KEY_BYTES = 1024
# Above this size, copy-worker copies a file in parts, by default. CopyObject takes up to 5 GiB, but it answers only at
# the end, and how long Step Functions' client waits for an answer is not documented. Parts are also faster.
MULTIPART_THRESHOLD_MIB = 512

# --- Timeouts ---------------------------------------------------------------------------------------------------

# CopyObject answers when the copy is complete, and 5 GiB, its maximum, take minutes. The other calls answer at once.
COPY_TIMEOUT = 600
# The longest run of a Lambda function. The function ends by itself, so the Task waits a little longer than that.
COPY_WORKER_TIMEOUT = 900
COPY_WORKER_TASK_TIMEOUT = COPY_WORKER_TIMEOUT + 60
HEAD_TIMEOUT = 30
DYNAMODB_TIMEOUT = 30
SNS_TIMEOUT = 30
# 50 TB, S3's largest object, take more than a day. A thousand copies of some minutes, ten at a time, take some hours.
DAY = 24 * 3600
EXECUTION_TIMEOUT = 7 * DAY
# A record that expires is kept longer than any execution runs, so it cannot expire while it is in progress.
MIN_RECORD_RETENTION_DAYS = 8

# --- Retries ----------------------------------------------------------------------------------------------------


def _retrier(*, interval: int, attempts: int, rate: float) -> dict[str, Any]:
    """A retrier for any error: the first wait is ``interval`` seconds, each further one ``rate`` times as long."""
    return {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": interval,
        "MaxAttempts": attempts,
        "BackoffRate": rate,
        "JitterStrategy": "FULL",
    }


# A condition that fails means that the record belongs to another execution. A retry would fail in the same way.
DYNAMODB_RETRY = [
    {
        "ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"],
        "MaxAttempts": 0,
    },
    # DynamoDB throttled the write: it was not made, and the call ended at once. A burst is over within minutes.
    {
        **_retrier(interval=1, attempts=8, rate=2.0),
        "ErrorEquals": [
            "DynamoDB.ProvisionedThroughputExceededException",
            "DynamoDB.ThrottlingException",
            "DynamoDB.RequestLimitExceeded",
            "DynamoDB.RequestLimitExceededException",
        ],
    },
    _retrier(interval=1, attempts=3, rate=1.0),
]
# Errors that do not go away within seconds. AWS has a name of its own only for the first three.
NO_RETRY_OF_PERMANENT = {
    "ErrorEquals": [
        "S3.NoSuchBucketException",
        "S3.NoSuchKeyException",
        "S3.InvalidObjectStateException",
        "S3.ObjectNotInActiveTierErrorException",
        "S3.AccessDeniedException",
        "S3.MethodNotAllowedException",
        "S3.InvalidRequestException",
    ],
    "MaxAttempts": 0,
}
# AWS's name for any other error of S3, permanent or not. Step Functions cannot tell them apart; copy-worker can, and it
# has retries of its own.
UNKNOWN_S3_ERROR = "S3.S3Exception"
# HeadObject's answer has no body, so a missing key, a forbidden one and a busy S3 look alike: two short retries.
HEAD_RETRY = [
    NO_RETRY_OF_PERMANENT,
    _retrier(interval=1, attempts=2, rate=2.0),
]
COPY_RETRY = [
    NO_RETRY_OF_PERMANENT,
    {"ErrorEquals": [UNKNOWN_S3_ERROR], "MaxAttempts": 0},
    # S3 may still work on a copy that timed out. There is no retry: the timeout then shows in the results, and the
    # lease is kept for as long as that copy may take.
    {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 0},
    _retrier(interval=2, attempts=3, rate=2.0),
]
COPY_WORKER_RETRY = [
    # Lambda throttled the call or failed itself. The function did not run. A burst of files waits until Lambda has
    # capacity: for an hour on average, because of the jitter. A new account runs ten functions at once.
    {
        "ErrorEquals": [
            "Lambda.TooManyRequestsException",
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
        ],
        "IntervalSeconds": 2,
        "MaxAttempts": 30,
        "BackoffRate": 2.0,
        "MaxDelaySeconds": 300,
        "JitterStrategy": "FULL",
    },
    {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 0},
    # The function died. It retries what S3 refuses itself (_WAITS in handlers/copy_worker.py).
    _retrier(interval=2, attempts=3, rate=2.0),
]
SNS_RETRY = [
    _retrier(interval=1, attempts=2, rate=1.0),
]

# --- Lease ------------------------------------------------------------------------------------------------------
# A lease outlives everything that its holder may still do. So the copy of a dead holder never lands after a copy of
# the execution that took over the expired lease.

# Lambda's thirty retries of COPY_WORKER_RETRY: 2, 4, … 256 s, then 300 s each.
LAMBDA_WAIT = 2 + 4 + 8 + 16 + 32 + 64 + 128 + 256 + 22 * 300
# A round of copies: four attempts, and the waits of 2, 4 and 8 s between them.
LEASE_PER_ROUND = 4 * COPY_TIMEOUT + 14
# A round of copy-worker: four attempts, the waits for Lambda's capacity, and the call that aborts the copy.
LEASE_PER_WORKER_ROUND = 4 * COPY_WORKER_TASK_TIMEOUT + 14 + LAMBDA_WAIT + COPY_WORKER_TASK_TIMEOUT
# The time that a copy may need to land after its timeout: S3 or copy-worker may still work on it.
LEASE_GRACE = max(COPY_TIMEOUT, COPY_WORKER_TIMEOUT)
# The eight retries of a throttled write: 1, 2, … 128 s.
THROTTLED_WAIT = 2**8 - 1
# ReadSource, LogWorkflowStart and UpdateDynamoDBFinal with their retries, and a copy that still lands.
LEASE_BASE = 4 * (4 * DYNAMODB_TIMEOUT + 3 + THROTTLED_WAIT) + LEASE_GRACE
