"""The state machine's definition, as a document: what it says is checked here, what it does in tests/e2e."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from statelint.linter import Linter

from components.aws_rules import MAX_CONCURRENCY_BOUND
from components.workflow.definition import copy_workflow_definition
from components.workflow.limits import COPY_TIMEOUT, COPY_WORKER_TIMEOUT, LEASE_GRACE, MIN_RECORD_RETENTION_DAYS
from handlers import copy_job
from handlers.keys import MAX_KEY_BYTES

TOPIC = "arn:aws:sns:eu-west-1:123456789012:file-copy-failures"
WORKER = "arn:aws:lambda:eu-west-1:123456789012:function:copy-worker"


def definition(**arguments: Any) -> dict[str, Any]:
    stack = {"partition": "aws", "table_name": "FileCopyTracking", "topic_arn": TOPIC, "copy_worker_arn": WORKER}
    return copy_workflow_definition(**{**stack, "max_concurrency": 10, **arguments})


DEFINITION = definition()
STATES: dict[str, Any] = DEFINITION["States"]
COPY_STATES: dict[str, Any] = STATES["CopyToMultipleBuckets"]["ItemProcessor"]["States"]
WORKER_STATES: dict[str, Any] = STATES["CopyThroughWorker"]["ItemProcessor"]["States"]
ALL_STATES = {**STATES, **COPY_STATES, **WORKER_STATES}
TASKS = {name: state for name, state in ALL_STATES.items() if state["Type"] == "Task"}


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
    """The user's states have their names and their order; what takes turns stands around the second of them, and what
    goes through copy-worker behind the Choice that finds that copies remain."""
    assert [*STATES] == [
        "ValidateInput",
        *["AcquireLease", "WaitForTurn", "ReadSource"],
        "LogWorkflowStart",
        *["ReleaseLease", "CheckIfSuperseded", "Superseded"],
        "CopyToMultipleBuckets",
        "ProcessResults",
        "UpdateDynamoDBFinal",
        "CheckIfAllSuccessful",
        "CopyThroughWorker",
        "AllCopiesSuccessful",
        "SendFailureNotification",
        "SomeCopiesFailed",
        "NotificationFailed",
    ]


@pytest.mark.parametrize(
    "machine",
    [DEFINITION, *(STATES[name]["ItemProcessor"] for name in ("CopyToMultipleBuckets", "CopyThroughWorker"))],
)
def test_every_target_exists_and_every_state_is_reached(machine: dict[str, Any]) -> None:
    """No engine refuses an unknown Next when the machine is created."""
    states = machine["States"]
    reached = {machine["StartAt"]}.union(*(targets(state) for state in states.values()))
    assert reached == set(states)


def test_every_state_goes_on_or_ends() -> None:
    """A state with neither a target nor an end stops nothing until an execution gets there."""
    assert len(ALL_STATES) == len(STATES) + len(COPY_STATES) + len(WORKER_STATES)
    for name, state in ALL_STATES.items():
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
        ("RunCopyWorker", 3, 2, 2.0),
        ("AbortCopy", 3, 2, 2.0),
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


@pytest.mark.parametrize("name", ["ReadSource", "CopyToBucket"])
def test_permanent_errors_are_not_retried(name: str) -> None:
    """None of them goes away within seconds, and the person who can fix it is notified at once."""
    assert TASKS[name]["Retry"][0] == {
        "ErrorEquals": [
            f"S3.{error}"
            for error in (
                *("NoSuchBucketException", "NoSuchKeyException", "InvalidObjectStateException"),
                *("ObjectNotInActiveTierErrorException", "AccessDeniedException", "MethodNotAllowedException"),
                "InvalidRequestException",
            )
        ],
        "MaxAttempts": 0,
    }


def test_an_error_that_has_no_name_of_its_own_is_left_to_copy_worker() -> None:
    """AWS calls a forbidden copy and a busy S3 alike. copy-worker sees S3's code, and retries only what may succeed."""
    copy = COPY_STATES["CopyToBucket"]
    assert {"ErrorEquals": ["S3.S3Exception"], "MaxAttempts": 0} in copy["Retry"][:-1]
    assert 'Error = "S3.S3Exception" ? {"destinationBucket": $states.input}' in copy["Catch"][0]["Output"]


def test_copy_that_timed_out_is_not_retried_and_keeps_the_lease() -> None:
    """S3 may still be at work on it: a second attempt would hide that, and a free lease would let it win."""
    assert {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 0} in COPY_STATES["CopyToBucket"]["Retry"]
    assert {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 0} in WORKER_STATES["RunCopyWorker"]["Retry"]
    assert '"States.Timeout" in $states.input.error' in STATES["ProcessResults"]["Assign"]["leaseUntil"]
    assert f" + {LEASE_GRACE} : $leaseUntil" in STATES["ProcessResults"]["Assign"]["leaseUntil"]
    assert max(COPY_TIMEOUT, COPY_WORKER_TIMEOUT) <= LEASE_GRACE
    release = STATES["UpdateDynamoDBFinal"]["Arguments"]["ExpressionAttributeValues"][":leaseUntil"]["N"]
    assert "$count($remaining) = 0 ? ($leaseUntil > $time ? $leaseUntil : $time)" in release


def test_what_ends_before_a_copy_began_lets_go_of_the_lease() -> None:
    """Nothing can land any more, so the file's next execution need not wait for a quarter of an hour. What an
    AcquireLease that fails has taken all the same is execution-watcher's to release."""
    ends = {"Superseded", "SendFailureNotification"}
    before_a_copy = ["WaitForTurn", "ReadSource", "LogWorkflowStart"]
    assert not ends & {target for name in before_a_copy for target in targets(STATES[name])}
    assert targets(STATES["ReleaseLease"]) == {"CheckIfSuperseded", "SendFailureNotification"}
    assert targets(STATES["CheckIfSuperseded"]) == ends
    release = STATES["ReleaseLease"]["Arguments"]
    assert "SET leaseOwner = :ended, leaseExpiresAt = :released, " in release["UpdateExpression"]
    assert release["ConditionExpression"] == "leaseOwner = :executionId"
    assert '":released": {"N": $string($floor($millis() / 1000) + 0)}' in release["ExpressionAttributeValues"]


def test_whoever_has_lost_the_lease_writes_nothing() -> None:
    """Its write would replace the results of the execution that has the lease now."""
    updates = {name: state["Arguments"] for name, state in TASKS.items() if state["Resource"].endswith(":updateItem")}
    assert {
        name: arguments["ConditionExpression"] for name, arguments in updates.items() if name != "AcquireLease"
    } == {
        "LogWorkflowStart": "leaseOwner = :starter",
        "ReleaseLease": "leaseOwner = :executionId",
        "UpdateDynamoDBFinal": "leaseOwner = :executionId",
    }


def test_a_new_record_is_its_executions_own_at_once() -> None:
    """No reader meets a record without a status, and execution-watcher closes one whose execution died at once. A
    record that exists keeps all that: the execution may have to leave it alone."""
    acquire = STATES["AcquireLease"]["Arguments"]
    for name, value in {"executionId": ":executionId", "#status": ":inProgress", "startTime": ":startTime"}.items():
        assert f"{name} = if_not_exists({name}, {value})" in acquire["UpdateExpression"]
    assert acquire["ExpressionAttributeValues"][":inProgress"] == {"S": "IN_PROGRESS"}


def test_a_record_expires_after_the_last_execution_or_never() -> None:
    """While it is in progress, no record expires: an execution ends before that. Without the setting, a record that an
    earlier setting let expire is kept."""

    def acquire(days: int) -> dict[str, Any]:
        made: dict[str, Any] = definition(record_retention_days=days)["States"]["AcquireLease"]["Arguments"]
        return made

    kept, expiring = acquire(0), acquire(MIN_RECORD_RETENTION_DAYS)
    assert kept["UpdateExpression"].endswith(" REMOVE expiresAt")
    assert ":recordUntil" not in kept["ExpressionAttributeValues"]
    assert expiring["UpdateExpression"].endswith(", expiresAt = :recordUntil")
    expiry = expiring["ExpressionAttributeValues"][":recordUntil"]["N"]
    assert int(expiry.partition(" + ")[2].rstrip(") %}")) == MIN_RECORD_RETENTION_DAYS * 86_400
    assert DEFINITION["TimeoutSeconds"] < MIN_RECORD_RETENTION_DAYS * 86_400


@pytest.mark.parametrize("name", ["AcquireLease", "LogWorkflowStart", "UpdateDynamoDBFinal", "ReleaseLease"])
def test_a_throttled_write_has_patience_of_its_own(name: str) -> None:
    """A burst is over within minutes, and a copy that was made must not end as a tracking failure because of it."""
    [throttled] = [
        one for one in TASKS[name]["Retry"] if "DynamoDB.ProvisionedThroughputExceededException" in one["ErrorEquals"]
    ]
    assert (throttled["MaxAttempts"], throttled["IntervalSeconds"], throttled["BackoffRate"]) == (8, 1, 2.0)
    assert TASKS[name]["Retry"].index(throttled) < len(TASKS[name]["Retry"]) - 1


def test_no_text_of_somebody_else_is_a_variable_by_itself() -> None:
    """An engine that puts a text variable between quotes as it is fails at a quote or a backslash in it; in an object
    both are escaped. A variable that is a text holds a name of AWS's, or a time."""
    assigned: dict[str, Any] = {}
    for state in ALL_STATES.values():
        for step in (state, *state.get("Catch", [])):
            assigned |= step.get("Assign", {})
    own = {"executionId", "startTime"}
    lists_and_numbers = {"turn", "leaseUntil", "results", "remaining", "destinations"}
    objects = {"job", "regions", "owners", "source", "previous", "summary", "problem"}
    assert assigned.keys() == own | lists_and_numbers | objects
    first = STATES["ValidateInput"]["Assign"]
    assert all(isinstance(first[name], dict) for name in objects - {"job"})
    assert all(not isinstance(first[name], str) for name in lists_and_numbers)


@pytest.mark.parametrize("concurrency", [1, 10, 40])
def test_lease_outlives_everything_that_its_holder_may_do(concurrency: int) -> None:
    """A lease that ended before its holder's last copy would let an older version land on a newer one."""
    states = definition(max_concurrency=concurrency)["States"]
    lease = states["AcquireLease"]["Arguments"]["ExpressionAttributeValues"][":leaseUntil"]["N"]
    renewed = states["UpdateDynamoDBFinal"]["Arguments"]["ExpressionAttributeValues"][":leaseUntil"]["N"]

    def written(expression: str, destinations: str) -> list[int]:
        """The lease's base, what it has for each round of copies, and how many copies are a round."""
        found = re.search(rf" \+ (\d+) \+ (\d+) \* \$ceil\(\$count\(\${destinations}\) / (\d+)\)", expression)
        assert found, expression
        return [int(number) for number in found.groups()]

    def longest(state: dict[str, Any]) -> float:
        """Every attempt until its time-out, with the whole of every wait between them. An attempt that Lambda does not
        take up ends at once, and so does a throttled write."""
        waits = [
            min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** n, retrier.get("MaxDelaySeconds", math.inf))
            for retrier in state["Retry"]
            for n in range(retrier["MaxAttempts"])
        ]
        return float((1 + state["Retry"][-1]["MaxAttempts"]) * state["TimeoutSeconds"] + sum(waits))

    copy = states["CopyToMultipleBuckets"]["ItemProcessor"]["States"]["CopyToBucket"]
    worker = states["CopyThroughWorker"]["ItemProcessor"]["States"]["RunCopyWorker"]
    others = sum(longest(states[name]) for name in ("ReadSource", "LogWorkflowStart", "UpdateDynamoDBFinal"))
    base, per_round, at_once = written(lease, "job.destinationBuckets")
    assert at_once == concurrency == states["CopyToMultipleBuckets"]["MaxConcurrency"]
    assert per_round >= longest(copy)
    assert base >= others + LEASE_GRACE
    base, per_round, at_once = written(renewed, "remaining")
    assert at_once == concurrency == states["CopyThroughWorker"]["MaxConcurrency"]
    assert per_round >= longest(worker) + worker["TimeoutSeconds"]
    assert base >= others + LEASE_GRACE


def test_arguments_come_from_the_stack() -> None:
    """Table, topic, partition and concurrency are those of the stack, not of the example."""
    made = definition(
        partition="aws-cn",
        table_name="Other",
        topic_arn=TOPIC + "2",
        copy_worker_arn=WORKER + "2",
        max_concurrency=MAX_CONCURRENCY_BOUND,
        multipart_threshold=12345,
        destinations=["near", "far"],
        regions={"far": "eu-west-1"},
        owners={"theirs": "210987654321"},
    )
    text = json.dumps(made)
    for name in ("CopyToMultipleBuckets", "CopyThroughWorker"):
        assert made["States"][name]["MaxConcurrency"] == MAX_CONCURRENCY_BOUND
    assert text.count(f'"FunctionName": "{WORKER}2"') == 2
    assert text.count("$source.size > 12345") == 2
    assert made["States"]["ValidateInput"]["Assign"]["destinations"] == ["near", "far"]
    assert made["States"]["ValidateInput"]["Assign"]["regions"] == {"far": "eu-west-1"}
    assert made["States"]["ValidateInput"]["Assign"]["owners"] == {"theirs": "210987654321"}
    assert text.count('"TableName": "Other"') == 4
    assert "--table-name Other" in text
    assert made["States"]["SendFailureNotification"]["Arguments"]["TopicArn"] == TOPIC + "2"
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


def test_only_plain_text_is_counted_from_the_end() -> None:
    """LocalStack fails at ``$substring(text, -100)`` if the text has an emoji, so no such key would ever be copied."""
    for expression in expressions(DEFINITION):
        assert not re.search(r"\$substring\((?!\$plain\()[^;]*?, *-\d", expression)


def test_limits_are_those_of_the_function() -> None:
    """What the API takes, the state machine takes: one bound, in both."""
    assert f"of 1 to {copy_job.MAX_DESTINATIONS} bucket names" in STATES["ValidateInput"]["Assign"]["job"]
    assert f"$keyBytes <= {MAX_KEY_BYTES} " in STATES["ValidateInput"]["Assign"]["job"]
