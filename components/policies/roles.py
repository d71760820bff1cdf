"""Policies of the roles that the stack creates: the state machine, each function, and API Gateway. No Pulumi here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .statements import (
    READ_COPIES,
    WRITE_OBJECTS,
    WRITE_PARTS,
    Policy,
    Statement,
    allow,
    executions_of,
    in_account,
    in_account_of,
    policy,
    use_key,
    use_keys,
)

# CopyObject also copies tags. If the role may not do that, the whole copy fails.
_READ_OBJECTS = ("s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionTagging")
# The checksums of an object's parts.
_READ_PARTS = ("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes")

# Step Functions developer guide, "Logging using CloudWatch Logs": Step Functions needs these to have its log delivered.
# Their only resource is "*". The delivery itself writes with a resource policy, which Step Functions puts.
DELIVER_LOGS = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
)
# Service authorization reference, "Actions, resources, and condition keys for AWS X-Ray": a trace is not a resource, so
# the only resource is "*". Step Functions asks for the sampling rules; Lambda does not.
WRITE_TRACES = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
SAMPLE_TRACES = ("xray:GetSamplingRules", "xray:GetSamplingTargets")


def copy_workflow(
    source_bucket_arn: str,
    owned_bucket_arns: Sequence[str],
    existing_bucket_arns: Sequence[str],
    table_arn: str,
    topic_arn: str,
    copy_worker_arn: str,
    keys: str,
    kms_key_arns: Sequence[str],
) -> Policy:
    """The state machine: reads the source bucket, writes the destinations, calls copy-worker for the others, keeps the
    record, reports failures, and writes a log and traces.

    Args:
        owned_bucket_arns: the destinations that the stack creates, in its own account and region.
        existing_bucket_arns: external buckets in the stack's region.
        keys: the pattern of the keys that it may copy, from :func:`keys_like`.
    """
    ours = in_account_of(table_arn)
    return policy(
        # HeadObject reads the newest version, and CopyObject reads that version, with its tags. The actions without
        # "Version" are for objects that have none: a new bucket may need minutes until it keeps versions.
        allow(_READ_OBJECTS, [f"{source_bucket_arn}/{keys}"], **ours),
        _list_bucket([source_bucket_arn], ours),
        *([allow(WRITE_OBJECTS, [f"{arn}/{keys}" for arn in owned_bucket_arns], **ours)] if owned_bucket_arns else []),
        *([allow(WRITE_OBJECTS, [f"{arn}/{keys}" for arn in existing_bucket_arns])] if existing_bucket_arns else []),
        allow(["lambda:InvokeFunction"], [copy_worker_arn]),
        allow(["dynamodb:UpdateItem"], [table_arn]),
        allow(["sns:Publish"], [topic_arn]),
        allow(DELIVER_LOGS, ["*"]),
        allow([*WRITE_TRACES, *SAMPLE_TRACES], ["*"]),
        *use_keys(kms_key_arns, "kms:Decrypt", "kms:GenerateDataKey"),
    )


def copy_through_worker(
    source_bucket_arn: str,
    owned_bucket_arns: Sequence[str],
    existing_bucket_arns: Sequence[str],
    table_arn: str,
    keys: str,
    kms_key_arns: Sequence[str],
) -> list[Statement]:
    """copy-worker: reads the source bucket, writes the destinations, also in parts, and records its progress.

    Args:
        owned_bucket_arns: the destinations that the stack creates, in its own account.
        existing_bucket_arns: external buckets.
    """
    ours = in_account_of(table_arn)
    owned, existing = ([f"{arn}/{keys}" for arn in arns] for arns in (owned_bucket_arns, existing_bucket_arns))
    return [
        allow([*_READ_OBJECTS, *_READ_PARTS], [f"{source_bucket_arn}/{keys}"], **ours),
        _list_bucket([source_bucket_arn], ours),
        # It reads a destination to find a copy that exists already, so that it is not made again.
        *([allow([*WRITE_OBJECTS, *WRITE_PARTS, READ_COPIES], owned, **ours)] if owned else []),
        *([allow([*WRITE_OBJECTS, *WRITE_PARTS, READ_COPIES], existing)] if existing else []),
        allow(["dynamodb:GetItem", "dynamodb:UpdateItem"], [table_arn]),
        *use_keys(kms_key_arns, "kms:Decrypt", "kms:GenerateDataKey"),
    ]


def handler_function(statements: Sequence[Statement], log_group_arn: str, queue_arn: str | None) -> Policy:
    """A function: writes its own log group and traces, reads its queue if it has one, and may do ``statements``."""
    return policy(
        # No logs:CreateLogGroup: the program creates the group, with a retention.
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{log_group_arn}:*"]),
        allow(WRITE_TRACES, ["*"]),
        *(
            [allow(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], [queue_arn])]
            if queue_arn
            else []
        ),
        *statements,
    )


def start_workflow(state_machine_arn: str) -> list[Statement]:
    """replication-worker and step-function-invoker."""
    return [allow(["states:StartExecution"], [state_machine_arn])]


def store_builds(source_bucket_arn: str, account: str, keys: str, kms_key_arn: str | None) -> list[Statement]:
    """build-worker: stores builds, and aborts a failed multipart upload, because S3 bills its parts until then."""
    return [
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], [f"{source_bucket_arn}/{keys}"], **in_account(account)),
        # S3 decrypts the parts of a multipart upload when the upload is completed.
        *use_key(kms_key_arn, "kms:Decrypt", "kms:GenerateDataKey"),
    ]


def close_records(table_arn: str, topic_arn: str, state_machine_arn: str) -> list[Statement]:
    """execution-watcher: reads how an execution ended, closes its record, notifies people."""
    executions = executions_of(state_machine_arn)
    return [
        allow(["states:DescribeExecution"], [f"{executions}:*"]),
        allow(["dynamodb:UpdateItem"], [table_arn]),
        allow(["sns:Publish"], [topic_arn]),
    ]


def send_digests(queue_arn: str, topic_arn: str) -> list[Statement]:
    """notification-digest: takes the notifications from their queue, and sends people one message of them."""
    return [
        allow(["sqs:ReceiveMessage", "sqs:DeleteMessage"], [queue_arn]),
        allow(["sns:Publish", "sns:GetTopicAttributes"], [topic_arn]),
    ]


def verify_arrivals(
    source_bucket_arn: str,
    destination_bucket_arns: Sequence[str],
    table_arn: str,
    topic_arn: str,
    keys: str,
    kms_key_arns: Sequence[str],
) -> list[Statement]:
    """regional-sync of one region: compares a copy with its source, and records the result.

    Args:
        destination_bucket_arns: the buckets whose events it gets. The stack creates them.
        kms_key_arns: the keys of all these buckets and of the source bucket, each once.
    """
    buckets, ours = [source_bucket_arn, *destination_bucket_arns], in_account_of(table_arn)
    return [
        # HeadObject needs the permission to get the object, or the version where the event names one.
        allow(["s3:GetObject", "s3:GetObjectVersion"], [f"{arn}/{keys}" for arn in buckets], **ours),
        _list_bucket(buckets, ours),
        allow(["dynamodb:GetItem", "dynamodb:PutItem"], [table_arn]),
        allow(["sns:Publish"], [topic_arn]),
        # HeadObject gives the checksum of an encrypted object only to those who may decrypt it.
        *use_keys(kms_key_arns, "kms:Decrypt"),
    ]


def write_api_logs() -> Policy:
    """API Gateway's own role, one for all APIs of an account and region.

    The policy is AWS's own for it, AmazonAPIGatewayPushToCloudWatchLogs, resource included: API Gateway refuses a role
    without "required permissions" (developer guide, "Set up CloudWatch logging for REST APIs"), and names no others.
    """
    return policy(
        allow(
            [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogGroups",
                "logs:DescribeLogStreams",
                "logs:FilterLogEvents",
                "logs:GetLogEvents",
                "logs:PutLogEvents",
            ],
            ["*"],
        )
    )


def _list_bucket(bucket_arns: Sequence[str], condition: dict[str, Any]) -> Statement:
    """The permission to list: without it, S3 answers 403 for a missing key, as it does for a forbidden one."""
    return allow(["s3:ListBucket"], bucket_arns, **condition)
