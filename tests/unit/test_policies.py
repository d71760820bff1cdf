"""components/policies.py: each policy, statement by statement."""

from __future__ import annotations

from typing import Any

import pytest

from components import policies

from .mocks import ACCOUNT, arn

SOURCE = "arn:aws:s3:::global-builds"
DESTINATIONS = ["arn:aws:s3:::region-a-builds", "arn:aws:s3:::region-b-builds"]
TABLE = arn("dynamodb", "table/FileCopyTracking")
TOPIC = arn("sns", "file-copy-failures")
MACHINE = arn("states", "stateMachine:file-copy-workflow")
QUEUE = arn("sqs", "file-copy-uploads")
LOG_GROUP = arn("logs", "log-group:/aws/lambda/regional-sync")

READ = ["s3:GetObject", "s3:GetObjectVersion"]


def granted(statements: list[policies.Statement]) -> list[tuple[list[str], list[str]]]:
    """Actions and resources of statements that allow, and that have no members beyond that."""
    for statement in statements:
        assert statement.keys() == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
    return [(statement["Action"], statement["Resource"]) for statement in statements]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (
            policies.copy_workflow(SOURCE, DESTINATIONS, TABLE, TOPIC)["Statement"],
            [
                (READ, [f"{SOURCE}/*"]),
                (["s3:ListBucket"], [SOURCE]),
                (["s3:GetObjectTagging", "s3:GetObjectVersionTagging"], [f"{SOURCE}/*"]),
                (["s3:PutObject", "s3:PutObjectTagging"], [f"{bucket}/*" for bucket in DESTINATIONS]),
                (["dynamodb:GetItem", "dynamodb:UpdateItem"], [TABLE]),
                (["sns:Publish"], [TOPIC]),
            ],
        ),
        (policies.start_workflow(MACHINE), [(["states:StartExecution"], [MACHINE])]),
        (policies.store_builds(SOURCE), [(["s3:PutObject", "s3:AbortMultipartUpload"], [f"{SOURCE}/*"])]),
        (
            policies.verify_arrivals(SOURCE, DESTINATIONS, TABLE, TOPIC),
            [
                (READ, [f"{bucket}/*" for bucket in (SOURCE, *DESTINATIONS)]),
                (["s3:ListBucket"], [SOURCE, *DESTINATIONS]),
                (["dynamodb:GetItem", "dynamodb:UpdateItem"], [TABLE]),
                (["sns:Publish"], [TOPIC]),
            ],
        ),
        (
            policies.close_records(TABLE, TOPIC, MACHINE),
            [
                (["states:DescribeExecution"], [f"{arn('states', 'execution:file-copy-workflow')}:*"]),
                (["dynamodb:UpdateItem"], [TABLE]),
                (["sns:Publish"], [TOPIC]),
            ],
        ),
        (
            [policies.write_logs(LOG_GROUP)],
            [(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{LOG_GROUP}:*"])],
        ),
        (
            [policies.consume_queue(QUEUE)],
            [(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], [QUEUE])],
        ),
    ],
    ids=[
        *["copy_workflow", "start_workflow", "store_builds", "verify_arrivals", "close_records"],
        *["write_logs", "consume_queue"],
    ],
)
def test_a_principal_may_do_what_it_does_and_nothing_else(
    statements: list[policies.Statement], expected: list[tuple[list[str], list[str]]]
) -> None:
    """Each principal's grants are exactly these: a missing one fails at run time, one too many is never noticed."""
    assert granted(statements) == expected


@pytest.mark.parametrize("service", ["states.amazonaws.com", "lambda.amazonaws.com"])
def test_a_role_is_assumed_by_its_service_alone(service: str) -> None:
    """Nobody but the service takes on a role."""
    assert policies.trust(service) == {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}],
    }


def test_a_queue_takes_events_of_its_buckets_in_its_account_only() -> None:
    """A bucket of another account, made under a deleted bucket's name, cannot feed the queue."""
    [statement] = policies.queue_accepts_bucket_events(QUEUE, DESTINATIONS)["Statement"]
    expected: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": QUEUE,
        "Condition": {
            "ArnEquals": {"aws:SourceArn": DESTINATIONS},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        },
    }
    assert statement == expected


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_arns_stay_in_their_partition(partition: str) -> None:
    """A stack in China or GovCloud names buckets there, where an arn:aws: resource matches nothing."""
    like = f"arn:{partition}:s3:::global-builds"
    assert policies.partition_of(like) == partition
    assert policies.bucket_arn("theirs", like=like) == f"arn:{partition}:s3:::theirs"


def test_queue_takes_what_one_rule_sends() -> None:
    """Any rule of anybody's could otherwise report executions that never were."""
    rule = arn("events", "rule/file-copy-endings")
    [statement] = policies.queue_accepts_rule_events(QUEUE, rule)["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": rule}}
    assert statement["Resource"] == QUEUE


def test_rule_hears_of_every_end_but_success_and_of_no_other_machine() -> None:
    """An ending that no rule hears of is one that ends in silence."""
    pattern = policies.unsuccessful_executions(MACHINE)
    assert pattern["detail"] == {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [MACHINE]}
    assert pattern["source"] == ["aws.states"]
