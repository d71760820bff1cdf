"""IAM policies, as pure functions from ARNs to dicts. Each grants what one principal uses, and says why where
that is not plain. No Pulumi here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.names import DEAD_LETTERS_SUFFIX, STATUS_INDEX

Statement = dict[str, Any]
Policy = dict[str, Any]


def policy(*statements: Statement) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: Sequence[str], resources: Sequence[str], **members: Any) -> Statement:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources), **members}


# --- ARNs and patterns ------------------------------------------------------------------------------------------


def partition_of(arn: str) -> str:
    """``aws``, ``aws-cn`` or ``aws-us-gov``."""
    return arn.split(":")[1]


def region_of(arn: str) -> str:
    """The region in an ARN that has one, such as a queue's or a table's."""
    return arn.split(":")[3]


def account_of(arn: str) -> str:
    """The account in an ARN that has one."""
    return arn.split(":")[4]


def bucket_arn(name: str, like: str) -> str:
    """The ARN of the bucket ``name``, in the partition of the bucket ARN ``like``."""
    return f"arn:{partition_of(like)}:s3:::{name}"


def keys_like(prefix: str, suffix: str) -> str:
    """The keys that begin and end so, as an object's ARN has them in a policy. Settings let in no character that would
    mean something there.
    """
    return f"{prefix}*{suffix}"


# --- Who may take on a role -------------------------------------------------------------------------------------


def trust(service: str) -> Policy:
    """One AWS service may assume the role. Lambda and API Gateway do so only for whoever may pass them the role."""
    return policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}})


def trust_state_machines(table_arn: str) -> Policy:
    """Step Functions may assume the role for a state machine of the account and region of ``table_arn``.

    The machine itself has no ARN yet: it needs the role first.
    """
    account = account_of(table_arn)
    machines = f"arn:{partition_of(table_arn)}:states:{region_of(table_arn)}:{account}:stateMachine:*"
    return policy(
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "states.amazonaws.com"},
            "Condition": {"ArnLike": {"aws:SourceArn": machines}, "StringEquals": {"aws:SourceAccount": account}},
        }
    )


# --- Who may reach a bucket, a queue, the topic -----------------------------------------------------------------


def bucket_refuses_plain_http(bucket_arn: str) -> Policy:
    return policy(_refuse_plain_http("s3:*", bucket_arn, f"{bucket_arn}/*"))


def queue_refuses_plain_http(queue_arn: str) -> Policy:
    """All that a dead-letter queue needs: SQS itself moves messages into it."""
    return policy(_refuse_plain_http("sqs:*", queue_arn))


def queue_accepts_bucket_events(queue_arn: str, bucket_arns: Sequence[str], requires_tls: bool) -> Policy:
    """Lets S3 send the events of these buckets, and no others, to the queue.

    A bucket ARN names no account, so ``aws:SourceAccount`` is asked for as well: a bucket that is deleted
    and then made again by somebody else has the same ARN.
    """
    accept: Statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {
            "ArnEquals": {"aws:SourceArn": list(bucket_arns)},
            "StringEquals": {"aws:SourceAccount": account_of(queue_arn)},
        },
    }
    return policy(*([accept] if bucket_arns else []), *_tls_alone(requires_tls, "sqs:*", queue_arn))


def queue_accepts_rule_events(queue_arn: str, rule_arn: str, requires_tls: bool) -> Policy:
    """Lets one EventBridge rule, whose ARN names its account, send to the queue."""
    return policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
        },
        *_tls_alone(requires_tls, "sqs:*", queue_arn),
    )


def topic_accepts_only(topic_arn: str, role_arns: Sequence[str], requires_tls: bool) -> Policy:
    """Refuses every notification but those of the roles, whatever else a policy of the account allows.

    What the roles may do is in their own policies. They are in a condition, not in a Principal, which would be bound
    to a role's inner id and break when a role is made again.
    """
    return policy(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": list(role_arns)}},
        },
        # Notifications name files and errors: nobody has them sent over plain HTTP.
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sns:Subscribe",
            "Resource": topic_arn,
            "Condition": {"StringEquals": {"sns:Protocol": "http"}},
        },
        *_tls_alone(requires_tls, "sns:Publish", topic_arn),
    )


def topic_accepts_alarms(topic_arn: str, alarm_names: str, requires_tls: bool) -> Policy:
    """Lets CloudWatch tell of this account's alarms that are called so, and refuses every other notification.

    What anybody else sends has no alarm as its source, and is refused, whatever else a policy of the account allows.

    Args:
        alarm_names: a pattern, with ``*``.
    """
    place = f"arn:{partition_of(topic_arn)}:cloudwatch:{region_of(topic_arn)}:{account_of(topic_arn)}"
    alarms = f"{place}:alarm:{alarm_names}"
    return policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {
                "ArnLike": {"aws:SourceArn": alarms},
                "StringEquals": {"aws:SourceAccount": account_of(topic_arn)},
            },
        },
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"ArnNotLike": {"aws:SourceArn": alarms}},
        },
        *_tls_alone(requires_tls, "sns:Publish", topic_arn),
    )


def existing_destination(bucket_arn: str, role_arns: Sequence[str]) -> Policy:
    """What the owner of a bucket adds to its policy, so that the workflow may copy into it.

    The roles, which are those of the state machine and of copy-worker, are in a condition, so that the policy still
    holds when one is made again.
    """
    return policy(
        {
            "Sid": "FileCopyWorkflow",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition_of(role_arns[0])}:iam::{account_of(role_arns[0])}:root"},
            "Action": [*_WRITE_OBJECTS, *_WRITE_PARTS, _GIVE_TO_OWNER],
            "Resource": f"{bucket_arn}/*",
            "Condition": {"ArnEquals": {"aws:PrincipalArn": list(role_arns)}},
        }
    )


def _tls_alone(requires_tls: bool, action: str, resource: str) -> list[Statement]:
    return [_refuse_plain_http(action, resource)] if requires_tls else []


def _refuse_plain_http(action: str, *resources: str) -> Statement:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


# --- What each principal may do ---------------------------------------------------------------------------------

# CopyObject copies tags too, and is refused as a whole where it may not.
_READ_OBJECTS = ("s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionTagging")
_WRITE_OBJECTS = ("s3:PutObject", "s3:PutObjectTagging")
# The checksums of an object's parts.
_READ_PARTS = ("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes")
# To go on with a copy in parts where the last run stopped, and to throw away what nobody goes on with.
_WRITE_PARTS = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
# In a bucket of another account that still has ACLs.
_GIVE_TO_OWNER = "s3:PutObjectAcl"

# Step Functions developer guide, "Logging using CloudWatch Logs": Step Functions has the log delivered with these, and
# they take no resource but "*". The delivery itself writes with a policy of the log group's, which is put there so.
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
# Service authorization reference, "Actions, resources, and condition keys for AWS X-Ray": a trace is no resource, so
# these take "*" alone. Step Functions asks how many traces are wanted; Lambda decides that by itself.
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
    """The state machine: reads the source bucket, writes the destinations, has copy-worker write the others, keeps the
    record, tells of failures, and leaves a log and traces.

    Args:
        owned_bucket_arns: the destinations that the stack makes, in its own account and region.
        existing_bucket_arns: those that are somebody else's, in the stack's region.
        keys: the pattern of the keys that it may copy, from :func:`keys_like`.
    """
    ours = _in_the_account_of(table_arn)
    return policy(
        # HeadObject asks for the newest version, whichever it is; CopyObject for that one, with its tags. Without the
        # version where there is none: S3 may take minutes until a new bucket keeps versions.
        allow(_READ_OBJECTS, [f"{source_bucket_arn}/{keys}"], **ours),
        _tell_missing_from_forbidden([source_bucket_arn], ours),
        *([allow(_WRITE_OBJECTS, [f"{arn}/{keys}" for arn in owned_bucket_arns], **ours)] if owned_bucket_arns else []),
        *(
            [allow([*_WRITE_OBJECTS, _GIVE_TO_OWNER], [f"{arn}/{keys}" for arn in existing_bucket_arns])]
            if existing_bucket_arns
            else []
        ),
        allow(["lambda:InvokeFunction"], [copy_worker_arn]),
        allow(["dynamodb:UpdateItem"], [table_arn]),
        allow(["sns:Publish"], [topic_arn]),
        allow(DELIVER_LOGS, ["*"]),
        allow([*WRITE_TRACES, *SAMPLE_TRACES], ["*"]),
        *_use_keys(kms_key_arns, "kms:Decrypt", "kms:GenerateDataKey"),
    )


def copy_through_worker(
    source_bucket_arn: str,
    owned_bucket_arns: Sequence[str],
    existing_bucket_arns: Sequence[str],
    table_arn: str,
    keys: str,
    kms_key_arns: Sequence[str],
) -> list[Statement]:
    """copy-worker: reads the source bucket, writes the destinations, in parts too, and notes in the record how far it
    is.

    Args:
        owned_bucket_arns: the destinations that the stack makes, in its own account.
        existing_bucket_arns: those that are somebody else's.
    """
    ours = _in_the_account_of(table_arn)
    owned, existing = ([f"{arn}/{keys}" for arn in arns] for arns in (owned_bucket_arns, existing_bucket_arns))
    return [
        allow([*_READ_OBJECTS, *_READ_PARTS], [f"{source_bucket_arn}/{keys}"], **ours),
        _tell_missing_from_forbidden([source_bucket_arn], ours),
        # To see whether a copy that nobody could tell of any more is there.
        *([allow([*_WRITE_OBJECTS, *_WRITE_PARTS, "s3:GetObject"], owned, **ours)] if owned else []),
        *([allow([*_WRITE_OBJECTS, *_WRITE_PARTS, _GIVE_TO_OWNER], existing)] if existing else []),
        allow(["dynamodb:GetItem", "dynamodb:UpdateItem"], [table_arn]),
        *_use_keys(kms_key_arns, "kms:Decrypt", "kms:GenerateDataKey"),
    ]


def handler_function(statements: Sequence[Statement], log_group_arn: str, queue_arn: str | None) -> Policy:
    """A function: writes its own log group and traces, reads its queue if it has one, and what ``statements`` say."""
    return policy(
        # No logs:CreateLogGroup: the program makes the group, with a retention.
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
    """build-worker: a multipart upload that fails is aborted, so that no parts are left to pay for."""
    return [
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], [f"{source_bucket_arn}/{keys}"], **_in_the_account(account)),
        # The parts of a multipart upload are decrypted when they are put together.
        *_use_key(kms_key_arn, "kms:Decrypt", "kms:GenerateDataKey"),
    ]


def close_records(table_arn: str, topic_arn: str, state_machine_arn: str) -> list[Statement]:
    """execution-watcher: asks how an execution ended, closes its record, tells a person."""
    executions = state_machine_arn.replace(":stateMachine:", ":execution:")
    return [
        allow(["states:DescribeExecution"], [f"{executions}:*"]),
        allow(["dynamodb:UpdateItem"], [table_arn]),
        allow(["sns:Publish"], [topic_arn]),
    ]


def verify_arrivals(
    source_bucket_arn: str,
    destination_bucket_arns: Sequence[str],
    table_arn: str,
    topic_arn: str,
    keys: str,
    kms_key_arns: Sequence[str],
) -> list[Statement]:
    """regional-sync of one region: looks at both objects' versions, writes what it found.

    Args:
        destination_bucket_arns: those whose events it gets, which are the stack's own.
        kms_key_arns: the keys of all these buckets, the source bucket's included, each once.
    """
    buckets, ours = [source_bucket_arn, *destination_bucket_arns], _in_the_account_of(table_arn)
    return [
        # HeadObject asks for the permission to get the object, or the version where the event names one.
        allow(["s3:GetObject", "s3:GetObjectVersion"], [f"{arn}/{keys}" for arn in buckets], **ours),
        _tell_missing_from_forbidden(buckets, ours),
        allow(["dynamodb:GetItem", "dynamodb:UpdateItem"], [table_arn]),
        allow(["sns:Publish"], [topic_arn]),
        # HeadObject gives the checksum of an encrypted object only to those who may decrypt it.
        *_use_keys(kms_key_arns, "kms:Decrypt"),
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


def use_workflow(
    source_bucket_arn: str,
    state_machine_arn: str,
    table_arn: str,
    api_execution_arn: str,
    keys: str,
    kms_key_arn: str | None,
) -> Policy:
    """The people and pipelines that use the stack: they upload, start the workflow, and see what became of it.

    That is ``filecopy send``, ``watch``, ``status``, ``list``, ``history``, ``report``, and their like by hand.
    """
    return policy(
        allow(
            ["s3:PutObject", "s3:AbortMultipartUpload"],
            [f"{source_bucket_arn}/{keys}"],
            **_in_the_account_of(table_arn),
        ),
        allow(["execute-api:Invoke"], [f"{api_execution_arn}/*/POST/*"]),
        *_start_and_follow(state_machine_arn, table_arn),
        *_use_key(kms_key_arn, "kms:Decrypt", "kms:GenerateDataKey"),
    )


def operate_workflow(
    state_machine_arn: str,
    table_arn: str,
    queue_arns: Sequence[str],
    function_arns: Sequence[str],
    log_group_arns: Sequence[str],
    alarm_names: str,
    dashboard_name: str,
) -> Policy:
    """The people on call: what docs/operations.md tells them to type. They see no file's content, and change no
    resource but by switching alarms' actions and the functions' reading of queues off and on.

    That is ``filecopy watch``, ``status``, ``list``, ``history``, ``report``, ``retry``, ``replay``, and the ``aws``
    commands of that page.

    Args:
        queue_arns: the queues whose dead letters are put back, in every region that has one. A dead-letter queue's name
            is its queue's, with an end.
        function_arns: the functions that read these queues.
        log_group_arns: without ``:*`` at the end.
        alarm_names: a pattern, with ``*``.
    """
    executions = state_machine_arn.replace(":stateMachine:", ":execution:")
    partition, account = partition_of(table_arn), account_of(table_arn)
    regions = sorted({region_of(arn) for arn in (table_arn, *queue_arns)})
    alarms = [f"arn:{partition}:cloudwatch:{region}:{account}:alarm" for region in regions]
    return policy(
        *_start_and_follow(state_machine_arn, table_arn),
        allow(["states:StopExecution"], [f"{executions}:*"]),
        allow(["dynamodb:Scan"], [table_arn]),
        allow(["sqs:GetQueueAttributes", "sqs:SendMessage"], queue_arns),
        allow(
            ["sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:DeleteMessage"],
            [f"{arn}{DEAD_LETTERS_SUFFIX}" for arn in queue_arns],
        ),
        allow(
            ["lambda:UpdateEventSourceMapping"],
            [f"arn:{partition}:lambda:{region}:{account}:event-source-mapping:*" for region in regions],
            Condition={"ArnEquals": {"lambda:FunctionArn": list(function_arns)}},
        ),
        # CloudWatch Logs user guide, "Overview of managing access permissions": the first form for a group's name, the
        # second where it is given by its ARN.
        allow(
            ["logs:FilterLogEvents", "logs:StartQuery"],
            [form for arn in log_group_arns for form in (f"{arn}:*", arn)],
        ),
        # Who asks for alarms by the beginning of their names asks for all of them.
        allow(["cloudwatch:DescribeAlarms"], [f"{alarm}:*" for alarm in alarms]),
        allow(
            ["cloudwatch:DisableAlarmActions", "cloudwatch:EnableAlarmActions", "cloudwatch:SetAlarmState"],
            [f"{alarm}:{alarm_names}" for alarm in alarms],
        ),
        allow(["cloudwatch:GetDashboard"], [f"arn:{partition}:cloudwatch::{account}:dashboard/{dashboard_name}"]),
        # Service authorization reference: these take no resource but "*". They look, and change nothing.
        allow(
            [
                "cloudtrail:LookupEvents",
                "cloudwatch:GetMetricData",
                "lambda:GetAccountSettings",
                "lambda:ListEventSourceMappings",
                "logs:GetQueryResults",
            ],
            ["*"],
        ),
    )


def _start_and_follow(state_machine_arn: str, table_arn: str) -> list[Statement]:
    executions = state_machine_arn.replace(":stateMachine:", ":execution:")
    return [
        allow(["states:StartExecution", "states:ListExecutions"], [state_machine_arn]),
        allow(
            [
                "states:DescribeExecution",
                "states:DescribeStateMachineForExecution",
                "states:GetExecutionHistory",
            ],
            [f"{executions}:*"],
        ),
        allow(["dynamodb:GetItem"], [table_arn]),
        allow(["dynamodb:Query"], [f"{table_arn}/index/{STATUS_INDEX}"]),
    ]


def ended_executions(state_machine_arn: str) -> dict[str, Any]:
    """The EventBridge pattern of a state machine's executions that end, in whatever way."""
    return {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "status": ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"],
            "stateMachineArn": [state_machine_arn],
        },
    }


def _tell_missing_from_forbidden(bucket_arns: Sequence[str], condition: dict[str, Any]) -> Statement:
    """Without ``s3:ListBucket``, S3 answers 403 for a key that is not there, as if it were forbidden."""
    return allow(["s3:ListBucket"], bucket_arns, **condition)


def _in_the_account_of(arn: str) -> dict[str, Any]:
    return _in_the_account(account_of(arn))


def _in_the_account(account: str) -> dict[str, Any]:
    """A bucket that is deleted and then made again by somebody else has the same ARN, but is in another account."""
    return {"Condition": {"StringEquals": {"aws:ResourceAccount": account}}}


def _use_key(kms_key_arn: str | None, *actions: str) -> list[Statement]:
    """The stack's KMS key, if it has one, and for S3's sake only."""
    return _use_keys([kms_key_arn] if kms_key_arn else [], *actions)


def _use_keys(kms_key_arns: Sequence[str], *actions: str) -> list[Statement]:
    """The KMS keys of the stack's buckets, for S3's sake only: a statement for each region."""
    statements = []
    for region in dict.fromkeys(map(region_of, kms_key_arns)):
        keys = [arn for arn in kms_key_arns if region_of(arn) == region]
        domain = "amazonaws.com.cn" if partition_of(keys[0]) == "aws-cn" else "amazonaws.com"
        through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{region}.{domain}"}}
        statements.append(allow(actions, keys, Condition=through_s3))
    return statements
