"""Resource policies: access to buckets, queues and topics, and the trust policies of roles. No Pulumi here."""

from __future__ import annotations

from collections.abc import Sequence

from .statements import Policy, Statement, account_of, partition_of, policy, region_of

# --- Roles ------------------------------------------------------------------------------------------------------


def trust(service: str) -> Policy:
    """Lets one AWS service assume the role. Lambda and API Gateway do so only for principals that may pass the role."""
    return policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}})


def trust_state_machines(table_arn: str) -> Policy:
    """Lets Step Functions assume the role for a state machine of the account and region of ``table_arn``.

    The state machine has no ARN yet, because it needs the role first.
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


# --- Buckets, queues, topics ------------------------------------------------------------------------------------


def bucket_refuses_plain_http(bucket_arn: str) -> Policy:
    return policy(_refuse_plain_http("s3:*", bucket_arn, f"{bucket_arn}/*"))


def queue_refuses_plain_http(queue_arn: str) -> Policy:
    """The policy of a dead-letter queue into which only SQS itself moves messages."""
    return policy(_refuse_plain_http("sqs:*", queue_arn))


def queue_accepts_bucket_events(queue_arn: str, bucket_arns: Sequence[str], requires_tls: bool) -> Policy:
    """Lets S3 send the events of these buckets, and no others, to the queue.

    A bucket ARN names no account, so the policy also requires ``aws:SourceAccount``: if a bucket is deleted, another
    account can create one with the same ARN.
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
    return policy(*([accept] if bucket_arns else []), *_only_tls(requires_tls, "sqs:*", queue_arn))


def queue_accepts(queue_arn: str, service: str, source_arn: str, requires_tls: bool) -> Policy:
    """Lets one rule of EventBridge, or one topic, whose ARN names its account, send to the queue."""
    return policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": source_arn}},
        },
        *_only_tls(requires_tls, "sqs:*", queue_arn),
    )


def topic_accepts_only(topic_arn: str, role_arns: Sequence[str], requires_tls: bool) -> Policy:
    """Refuses all notifications except those of the roles, even if another policy of the account allows them.

    The roles' own policies allow them to publish. The roles are in a condition, not in a Principal: a Principal is
    bound to a role's internal ID and breaks when the role is created again.
    """
    return policy(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": list(role_arns)}},
        },
        _refuse_plain_http_subscribers(topic_arn),
        *_only_tls(requires_tls, "sns:Publish", topic_arn),
    )


def topic_accepts_alarms(topic_arn: str, alarm_names: str, requires_tls: bool) -> Policy:
    """Lets CloudWatch publish for this account's alarms with these names, and refuses all other notifications.

    A notification from another principal does not have an alarm as its source. It is refused, even if another policy of
    the account allows it.

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
        _refuse_plain_http_subscribers(topic_arn),
        *_only_tls(requires_tls, "sns:Publish", topic_arn),
    )


def _refuse_plain_http_subscribers(topic_arn: str) -> Statement:
    """Notifications name files and errors, and alarms name resources: nobody may receive them over plain HTTP."""
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Subscribe",
        "Resource": topic_arn,
        "Condition": {"StringEquals": {"sns:Protocol": "http"}},
    }


def _only_tls(requires_tls: bool, action: str, resource: str) -> list[Statement]:
    return [_refuse_plain_http(action, resource)] if requires_tls else []


def _refuse_plain_http(action: str, *resources: str) -> Statement:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
