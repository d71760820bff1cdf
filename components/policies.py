"""IAM policies, as pure functions from ARNs to dicts. Each grants what one principal uses, and says why where
that is not plain. No Pulumi here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Statement = dict[str, Any]
Policy = dict[str, Any]


def policy(*statements: Statement) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: Sequence[str], resources: Sequence[str], **members: Any) -> Statement:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources), **members}


def account_of(arn: str) -> str:
    """The account in an ARN that has one, such as a queue's or a table's."""
    return arn.split(":")[4]


def partition_of(arn: str) -> str:
    """``aws``, ``aws-cn`` or ``aws-us-gov``."""
    return arn.split(":")[1]


def bucket_arn(name: str, like: str) -> str:
    """The ARN of the bucket ``name``, in the partition of the bucket ARN ``like``."""
    return f"arn:{partition_of(like)}:s3:::{name}"


def trust(service: str) -> Policy:
    """Who may assume a role: one AWS service."""
    return policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}})


def queue_accepts_bucket_events(queue_arn: str, bucket_arns: Sequence[str]) -> Policy:
    """Lets S3 send the events of these buckets, and no others, to the queue.

    A bucket ARN names no account, so ``aws:SourceAccount`` is asked for as well: a bucket that is deleted
    and then made again by somebody else has the same ARN.
    """
    return policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {
                "ArnEquals": {"aws:SourceArn": list(bucket_arns)},
                "StringEquals": {"aws:SourceAccount": account_of(queue_arn)},
            },
        }
    )


def queue_accepts_rule_events(queue_arn: str, rule_arn: str) -> Policy:
    """Lets one EventBridge rule send to the queue."""
    return policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
        }
    )


def unsuccessful_executions(state_machine_arn: str) -> dict[str, Any]:
    """The EventBridge pattern of a state machine's executions that end in any way but well."""
    return {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [state_machine_arn]},
    }


def write_logs(log_group_arn: str) -> Statement:
    """No ``logs:CreateLogGroup``: the program makes the group, with a retention."""
    return allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{log_group_arn}:*"])


def consume_queue(queue_arn: str) -> Statement:
    """What Lambda asks of a role that reads from a queue."""
    return allow(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], [queue_arn])


def read_objects(source_bucket_arn: str) -> Statement:
    return allow(["s3:GetObject", "s3:GetObjectVersion"], [f"{source_bucket_arn}/*"])


def tell_missing_from_forbidden(*bucket_arns: str) -> Statement:
    """Without ``s3:ListBucket``, S3 answers 403 for a key that is not there, as if it were forbidden."""
    return allow(["s3:ListBucket"], bucket_arns)


def copy_workflow(
    source_bucket_arn: str, destination_bucket_arns: Sequence[str], table_arn: str, topic_arn: str
) -> Policy:
    """The state machine: reads the source bucket, writes the destinations, keeps the record, tells of failures."""
    return policy(
        read_objects(source_bucket_arn),
        tell_missing_from_forbidden(source_bucket_arn),
        # CopyObject copies tags too, and is refused as a whole where it may not.
        allow(["s3:GetObjectTagging", "s3:GetObjectVersionTagging"], [f"{source_bucket_arn}/*"]),
        allow(["s3:PutObject", "s3:PutObjectTagging"], [f"{arn}/*" for arn in destination_bucket_arns]),
        allow(["dynamodb:GetItem", "dynamodb:UpdateItem"], [table_arn]),
        allow(["sns:Publish"], [topic_arn]),
    )


def start_workflow(state_machine_arn: str) -> list[Statement]:
    """replication-worker and step-function-invoker."""
    return [allow(["states:StartExecution"], [state_machine_arn])]


def store_builds(source_bucket_arn: str) -> list[Statement]:
    """build-worker: a multipart upload that fails is aborted, so that no parts are left to pay for."""
    return [allow(["s3:PutObject", "s3:AbortMultipartUpload"], [f"{source_bucket_arn}/*"])]


def close_records(table_arn: str, topic_arn: str, state_machine_arn: str) -> list[Statement]:
    """execution-watcher: asks for an input that was too long for its event, closes the record, tells a person."""
    executions = state_machine_arn.replace(":stateMachine:", ":execution:")
    return [
        allow(["states:DescribeExecution"], [f"{executions}:*"]),
        allow(["dynamodb:UpdateItem"], [table_arn]),
        allow(["sns:Publish"], [topic_arn]),
    ]


def verify_arrivals(
    source_bucket_arn: str, destination_bucket_arns: Sequence[str], table_arn: str, topic_arn: str
) -> list[Statement]:
    """regional-sync: looks at both objects (HeadObject asks for s3:GetObject), writes what it found."""
    buckets = [source_bucket_arn, *destination_bucket_arns]
    return [
        allow(["s3:GetObject", "s3:GetObjectVersion"], [f"{arn}/*" for arn in buckets]),
        tell_missing_from_forbidden(*buckets),
        allow(["dynamodb:GetItem", "dynamodb:UpdateItem"], [table_arn]),
        allow(["sns:Publish"], [topic_arn]),
    ]
