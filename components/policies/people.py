"""Policies for people and pipelines: the stack does not attach them. No Pulumi here."""

from __future__ import annotations

from collections.abc import Sequence

from components.names import DEAD_LETTERS_SUFFIX, STATUS_INDEX

from .statements import (
    READ_COPIES,
    WRITE_OBJECTS,
    WRITE_PARTS,
    Policy,
    Statement,
    account_of,
    allow,
    executions_of,
    in_account_of,
    partition_of,
    policy,
    region_of,
    use_key,
)


def use_workflow(
    source_bucket_arn: str,
    state_machine_arn: str,
    table_arn: str,
    api_execution_arn: str,
    keys: str,
    kms_key_arn: str | None,
) -> Policy:
    """The people and pipelines that use the stack: they upload, start the workflow, and follow the results.

    That is ``filecopy send``, ``watch``, ``status``, ``list``, ``executions``, ``history``, ``report``, and the same
    calls by hand.
    """
    return policy(
        allow(
            ["s3:PutObject", "s3:AbortMultipartUpload"],
            [f"{source_bucket_arn}/{keys}"],
            **in_account_of(table_arn),
        ),
        allow(["execute-api:Invoke"], [f"{api_execution_arn}/*/POST/*"]),
        *_start_and_follow(state_machine_arn, table_arn),
        *use_key(kms_key_arn, "kms:Decrypt", "kms:GenerateDataKey"),
    )


def operate_workflow(
    state_machine_arn: str,
    table_arn: str,
    queue_arns: Sequence[str],
    function_arns: Sequence[str],
    topic_arns: Sequence[str],
    log_group_arns: Sequence[str],
    alarm_names: str,
    dashboard_name: str,
) -> Policy:
    """The operators on call: all commands in docs/operations.md. Operators cannot read a file's content. They cannot
    change a resource, except to switch alarm actions and event source mappings off and on.

    That is ``filecopy watch``, ``status``, ``list``, ``executions``, ``history``, ``report``, ``retry``, ``replay``,
    and the ``aws`` commands of that page.

    Args:
        queue_arns: the queues whose dead letters are replayed, in every region that has one. A dead-letter queue has
            its queue's name and a suffix.
        function_arns: the functions that have an event source mapping.
        topic_arns: the topics that notify of failures.
        log_group_arns: without ``:*`` at the end.
        alarm_names: a pattern, with ``*``.
    """
    executions = executions_of(state_machine_arn)
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
        allow(["sns:ListSubscriptionsByTopic"], topic_arns),
        # CloudWatch Logs user guide, "Overview of managing access permissions": the first form is for a call that names
        # the group, the second for a call that has its ARN.
        allow(
            ["logs:FilterLogEvents", "logs:StartQuery"],
            [form for arn in log_group_arns for form in (f"{arn}:*", arn)],
        ),
        # A call that asks for alarms by a prefix of their names is checked against all alarms.
        allow(["cloudwatch:DescribeAlarms"], [f"{alarm}:*" for alarm in alarms]),
        allow(
            ["cloudwatch:DisableAlarmActions", "cloudwatch:EnableAlarmActions", "cloudwatch:SetAlarmState"],
            [f"{alarm}:{alarm_names}" for alarm in alarms],
        ),
        allow(["cloudwatch:GetDashboard"], [f"arn:{partition}:cloudwatch::{account}:dashboard/{dashboard_name}"]),
        # Service authorization reference: the only resource of these is "*". They are read-only.
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


def existing_destination(bucket_arn: str, role_arns: Sequence[str]) -> Policy:
    """The statement that the owner of an external bucket adds to its policy, so that the workflow may copy into it.

    The roles, those of the state machine and of copy-worker, are in a condition, so that the policy still holds when a
    role is created again.
    """
    return policy(
        {
            "Sid": "FileCopyWorkflow",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition_of(role_arns[0])}:iam::{account_of(role_arns[0])}:root"},
            "Action": [*WRITE_OBJECTS, *WRITE_PARTS, READ_COPIES],
            "Resource": f"{bucket_arn}/*",
            "Condition": {"ArnEquals": {"aws:PrincipalArn": list(role_arns)}},
        }
    )


def _start_and_follow(state_machine_arn: str, table_arn: str) -> list[Statement]:
    executions = executions_of(state_machine_arn)
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
        allow(["dynamodb:GetItem", "dynamodb:BatchGetItem"], [table_arn]),
        allow(["dynamodb:Query"], [table_arn, f"{table_arn}/index/{STATUS_INDEX}"]),
    ]
