"""The state machine's definition, as a document: what it says is checked here, what it does in tests/e2e."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from statelint.linter import Linter

from components.definition import COPY_TIMEOUT, copy_workflow_definition
from components.settings import MAX_CONCURRENCY_BOUND
from handlers import copy_job

TOPIC = "arn:aws:sns:eu-west-1:123456789012:file-copy-failures"
DEFINITION = copy_workflow_definition(
    partition="aws", table_name="FileCopyTracking", topic_arn=TOPIC, max_concurrency=10
)
STATES: dict[str, Any] = DEFINITION["States"]
COPY_STATES: dict[str, Any] = STATES["CopyToMultipleBuckets"]["ItemProcessor"]["States"]
TASKS = {name: state for name, state in {**STATES, **COPY_STATES}.items() if state["Type"] == "Task"}


def expressions(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)
    elif isinstance(node, str) and "{%" in node:
        yield node


def targets(state: dict[str, Any]) -> set[str]:
    """Where a state may go next."""
    steps = [state, *state.get("Choices", []), *state.get("Catch", []), {"Next": state.get("Default")}]
    return {step["Next"] for step in steps if step.get("Next")}


def test_linter_finds_nothing() -> None:
    """A misspelt field passes every engine when the machine is created, and fails when it runs."""
    found = Linter.validate(json.loads(json.dumps(DEFINITION)))
    # It does not know that Seconds may be an expression.
    assert [problem.split(" is ")[0] for problem in found] == ["State Machine.States.WaitForTurn.Seconds"]


def test_states_are_the_users_in_their_order() -> None:
    """The user's states have their names and their order; what takes turns stands between the first two of them."""
    assert [*STATES] == [
        "ValidateInput",
        *["AcquireLease", "WaitForTurn", "ReadSource", "CheckIfNewest"],
        *["ReleaseLease", "Superseded", "ReadPreviousResults"],
        "LogWorkflowStart",
        "CopyToMultipleBuckets",
        "ProcessResults",
        "UpdateDynamoDBFinal",
        "CheckIfAllSuccessful",
        "AllCopiesSuccessful",
        "SendFailureNotification",
        "SomeCopiesFailed",
        "NotificationFailed",
    ]


@pytest.mark.parametrize("machine", [DEFINITION, STATES["CopyToMultipleBuckets"]["ItemProcessor"]])
def test_every_target_exists_and_every_state_is_reached(machine: dict[str, Any]) -> None:
    """No engine refuses an unknown Next when the machine is created."""
    states = machine["States"]
    reached = {machine["StartAt"]}.union(*(targets(state) for state in states.values()))
    assert reached == set(states)


def test_every_state_goes_on_or_ends() -> None:
    """A state with neither a target nor an end stops nothing until an execution gets there."""
    for name, state in {**STATES, **COPY_STATES}.items():
        assert targets(state) or state.get("End") or state["Type"] == "Fail", name


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_timeout_retries_and_a_catch(name: str) -> None:
    """A Task without a time-out can hang for a year, and one without a Catch fails in silence."""
    task = TASKS[name]
    assert 0 < task["TimeoutSeconds"] < DEFINITION["TimeoutSeconds"]
    assert task["Retry"]
    assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


@pytest.mark.parametrize(
    ("name", "attempts", "interval", "rate"),
    [
        ("CopyToBucket", 3, 2, 2.0),
        ("AcquireLease", 3, 1, 1.0),
        ("ReadSource", 2, 1, 2.0),
        ("LogWorkflowStart", 3, 1, 1.0),
        ("UpdateDynamoDBFinal", 3, 1, 1.0),
        ("SendFailureNotification", 2, 1, 1.0),
    ],
)
def test_retries_are_the_users(name: str, attempts: int, interval: int, rate: float) -> None:
    """The user's guide promises these retries, with jitter so that a thousand executions do not return as one."""
    assert TASKS[name]["Retry"][-1] == {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": interval,
        "MaxAttempts": attempts,
        "BackoffRate": rate,
        "JitterStrategy": "FULL",
    }


def test_missing_bucket_and_key_are_not_retried() -> None:
    """Neither comes back within seconds, and the person who can mend it should hear at once."""
    assert COPY_STATES["CopyToBucket"]["Retry"][0] == {
        "ErrorEquals": ["S3.NoSuchBucketException", "S3.NoSuchKeyException"],
        "MaxAttempts": 0,
    }


def test_copy_that_timed_out_is_not_retried_and_keeps_the_lease() -> None:
    """S3 may still be at work on it: a second attempt would hide that, and a free lease would let it win."""
    assert {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 0} in COPY_STATES["CopyToBucket"]["Retry"]
    assert '"States.Timeout" in $states.input.error' in STATES["ProcessResults"]["Assign"]["releasedAt"]
    assert str(COPY_TIMEOUT) in STATES["ProcessResults"]["Assign"]["releasedAt"]
    release = STATES["UpdateDynamoDBFinal"]["Arguments"]
    assert release["ExpressionAttributeValues"][":releasedAt"] == {"N": "{% $releasedAt %}"}


@pytest.mark.parametrize("concurrency", [1, 10, 40])
def test_lease_outlives_everything_that_its_holder_may_do(concurrency: int) -> None:
    """A lease that ended before its holder's last copy would let an older version land on a newer one."""
    definition = copy_workflow_definition(partition="aws", table_name="T", topic_arn=TOPIC, max_concurrency=concurrency)
    states = definition["States"]
    lease = states["AcquireLease"]["Arguments"]["ExpressionAttributeValues"][":expiresAt"]["N"]
    found = re.search(r"\+ (\d+) \+ (\d+) \* \$ceil\(\$count\(\$job\.destinationBuckets\) / (\d+)\)", lease)
    assert found
    base, per_round, at_once = map(int, found.groups())

    def longest(state: dict[str, Any]) -> float:
        """Every attempt until its time-out, with the whole of every wait between them."""
        retrier = state["Retry"][-1]
        waits = [retrier["IntervalSeconds"] * retrier["BackoffRate"] ** n for n in range(retrier["MaxAttempts"])]
        return float((1 + len(waits)) * state["TimeoutSeconds"] + sum(waits))

    copy = states["CopyToMultipleBuckets"]["ItemProcessor"]["States"]["CopyToBucket"]
    others = ["ReadSource", "ReadPreviousResults", "LogWorkflowStart", "UpdateDynamoDBFinal"]
    assert at_once == concurrency == states["CopyToMultipleBuckets"]["MaxConcurrency"]
    assert per_round >= longest(copy)
    assert base >= sum(longest(states[name]) for name in others) + copy["TimeoutSeconds"]


def test_arguments_come_from_the_stack() -> None:
    """Table, topic, partition and concurrency are those of the stack, not of the example."""
    definition = copy_workflow_definition(
        partition="aws-cn", table_name="Other", topic_arn=TOPIC + "2", max_concurrency=MAX_CONCURRENCY_BOUND
    )
    text = json.dumps(definition)
    assert definition["States"]["CopyToMultipleBuckets"]["MaxConcurrency"] == MAX_CONCURRENCY_BOUND
    assert text.count('"TableName": "Other"') == 5
    assert "--table-name Other" in text
    assert definition["States"]["SendFailureNotification"]["Arguments"]["TopicArn"] == TOPIC + "2"
    assert "arn:aws:states" not in text
    assert "FileCopyTracking" not in text


def test_expressions_are_whole_and_on_one_line() -> None:
    """A field is an expression as a whole or not at all, and some validators read one line only."""
    found = [*expressions(DEFINITION)]
    assert len(found) > 30
    for expression in found:
        assert re.fullmatch(r"\{% [^\n]+ %\}", expression)


def test_no_function_that_an_engine_lacks() -> None:
    """AWS refuses $eval; others give a text for a value of these."""
    for expression in expressions(DEFINITION):
        assert not re.search(r"\$(eval|hash|uuid|random|range)\b", expression)


def test_limits_are_those_of_the_function() -> None:
    """What the API takes, the state machine takes: one bound, in both."""
    assert f"of 1 to {copy_job.MAX_DESTINATIONS} bucket names" in STATES["ValidateInput"]["Assign"]["job"]
    assert f"$length($input.sourceKey) <= {copy_job.MAX_KEY_LENGTH}" in STATES["ValidateInput"]["Assign"]["job"]
