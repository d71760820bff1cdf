"""filecopy/retry.py: which copies a retry makes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components import outputs
from filecopy.retry import retry
from filecopy.stack.stack import Stack

from .mocks import arn
from .scripted_aws import ScriptedClients

EXECUTION = arn("states", "execution:machine:retry")


class OnAws(ScriptedClients):
    is_emulator = False


def retried(clients: type[ScriptedClients], head_bucket: dict[str, Any], *failed: str) -> tuple[list[Any], list[str]]:
    """The jobs that a retry starts, and the buckets that it leaves out."""
    record = {
        "fileKey": {"S": "k"},
        "sourceBucket": {"S": "source"},
        "executionId": {"S": "earlier"},
        "status": {"S": "PARTIAL_FAILURE"},
        "destinationBuckets": {"L": [{"S": bucket} for bucket in ("a", *failed)]},
        "successfulBuckets": {"L": [{"S": "a"}]},
    }
    aws = clients(
        GetItem={"Item": record},
        HeadBucket=head_bucket,
        StartExecution={"executionArn": EXECUTION},
        DescribeExecution={"status": "SUCCEEDED"},
    )
    told = {
        outputs.SOURCE_BUCKET: "source",
        outputs.DYNAMODB_TABLE_NAME: "table",
        outputs.DESTINATION_BUCKETS: ["a", "b", "c"],
        outputs.STEP_FUNCTION_ARN: arn("states", "stateMachine:machine"),
    }
    left_out: list[str] = []
    result = retry(Stack(told, aws), "k", left_out.extend)
    jobs = [json.loads(call["input"])["destinationBuckets"] for call in aws.of("StartExecution")]
    assert (result is None) == (jobs == [])
    return jobs, left_out


def error(status: int) -> dict[str, Any]:
    return {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}


@pytest.mark.parametrize(
    ("clients", "head_bucket", "failed", "jobs", "left_out"),
    [
        # The workflow may copy to the destinations of the stack and to no other bucket.
        (OnAws, {}, ["b", "no"], [["b"]], ["no"]),
        (OnAws, {}, ["no"], [], ["no"]),
        # On an emulator it may copy to any bucket that exists.
        (ScriptedClients, {}, ["b", "no"], [["b", "no"]], []),
        (ScriptedClients, error(403), ["b", "no"], [["b", "no"]], []),
        (ScriptedClients, error(404), ["b", "no"], [["b"]], ["no"]),
        (ScriptedClients, error(404), ["no"], [], ["no"]),
    ],
)
def test_buckets_that_are_not_destinations_are_left_out(
    clients: type[ScriptedClients],
    head_bucket: dict[str, Any],
    failed: list[str],
    jobs: list[list[str]],
    left_out: list[str],
) -> None:
    """Anyone may start an execution with any bucket. Its copy would fail at each retry."""
    assert retried(clients, head_bucket, *failed) == (jobs, left_out)
