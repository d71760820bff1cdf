"""No work is done twice, and no old version wins, in whatever order and however often events come."""

from __future__ import annotations

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.system import System

from .events import deliver, event_of, put_version, silence_uploads


def all_ended(system: System, key: str, count: int) -> list[dict[str, Any]]:
    """The ends of all executions for ``key``, once there are ``count`` of them."""
    found = system.wait_for(
        f"{count} executions of {key}",
        lambda: executions if len(executions := system.executions_of(key)) >= count else None,
    )
    return [system.finish(execution) for execution in found]


def assert_is_everywhere(system: System, key: str, body: bytes, version: str) -> None:
    for bucket in system.destinations:
        assert system.get(bucket, key) == body
    record = system.record(key)
    assert record is not None
    assert (record["status"], record["sourceVersionId"]) == ("COMPLETED", version)


def test_event_delivered_five_times_gives_one_execution(system: System) -> None:
    """S3 and SQS deliver at least once; a second execution would cost its copies again."""
    silence_uploads(system)
    body = event_of(system, "five.zip", put_version(system, "five.zip", b"five"))
    with ThreadPoolExecutor(5) as pool:
        for _ in pool.map(lambda _: deliver(system, body), range(5)):
            pass
    system.finished_record("five.zip")
    deliver(system, body)
    # A later upload that has been through the same queue shows that the repeated event has been, too.
    deliver(system, event_of(system, "after.zip", put_version(system, "after.zip", b"after")))
    system.finished_record("after.zip")
    assert len(system.executions_of("five.zip")) == 1


def test_same_bytes_uploaded_again_are_an_upload_of_their_own(system: System) -> None:
    """A person who uploads a file again means it, even if nothing in it has changed."""
    system.upload("again.zip", b"same")
    system.put("again.zip", b"same")
    assert {ended["status"] for ended in all_ended(system, "again.zip", 2)} == {"SUCCEEDED"}


def test_event_of_an_older_version_after_the_newest_copies_nothing(system: System) -> None:
    """A late event does not bring an old version back, and its execution says that it was superseded."""
    silence_uploads(system)
    old = put_version(system, "late.zip", b"old")
    new = put_version(system, "late.zip", b"new")
    deliver(system, event_of(system, "late.zip", new))
    first = system.finished_record("late.zip")
    deliver(system, event_of(system, "late.zip", old))
    ended = [end for end in all_ended(system, "late.zip", 2) if end["executionArn"] != first["executionId"]]
    assert json.loads(ended[0]["output"]) == {
        "status": "SUPERSEDED",
        "sourceVersionId": old,
        "newestVersionId": new,
    }
    assert system.attempts(ended[0]["executionArn"], "copyObject") == 0
    assert_is_everywhere(system, "late.zip", b"new", new)
    record = system.record("late.zip")
    assert record is not None
    assert record["executionId"] == first["executionId"]


@pytest.mark.parametrize("seed", range(3))
def test_any_interleaving_ends_with_the_newest(system: System, seed: int) -> None:
    """Five versions of ten keys, their events in any order, some repeated, their executions at the same time."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    silence_uploads(system)
    newest: dict[str, tuple[str, bytes]] = {}
    bodies = []
    for number in range(10):
        key = f"interleaved-{number}.zip"
        for version in range(5):
            content = f"{key} {version}".encode()
            identifier = put_version(system, key, content)
            newest[key] = (identifier, content)
            bodies += [event_of(system, key, identifier)] * chance.choice([1, 1, 2])
    chance.shuffle(bodies)
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda body: deliver(system, body), bodies):
            pass
    for key, (identifier, content) in newest.items():
        ends = [json.loads(end["output"])["status"] for end in all_ended(system, key, 5)]
        assert sorted(ends) == ["COMPLETED", *["SUPERSEDED"] * 4]
        assert_is_everywhere(system, key, content, identifier)


def hold(system: System, after: str, seconds: int) -> None:
    """Makes executions of the stack's state machine wait after the state ``after``."""
    described = system.stepfunctions.describe_state_machine(stateMachineArn=system.state_machine)
    definition = json.loads(described["definition"])
    definition["States"]["Hold"] = {
        "Type": "Wait",
        "Seconds": seconds,
        "Next": definition["States"][after]["Next"],
    }
    definition["States"][after]["Next"] = "Hold"
    system.stepfunctions.update_state_machine(stateMachineArn=system.state_machine, definition=json.dumps(definition))


def wait_for_state(system: System, key: str, state: str) -> str:
    def entered() -> str | None:
        for execution in system.executions_of(key):
            if state in system.states(execution):
                return execution
        return None

    return system.wait_for(f"{key} to be in {state}", entered)


def test_source_that_changes_while_it_is_copied(system: System) -> None:
    """All copies of an execution are of the version it began with; the next version waits for them, and follows."""
    hold(system, "LogWorkflowStart", 200)  # two seconds
    system.put("changes.zip", b"first")
    execution = wait_for_state(system, "changes.zip", "Hold")
    system.put("changes.zip", b"second")
    first = system.finish(execution)
    assert json.loads(first["output"])["successfulCopies"] == 2
    history = system.stepfunctions.get_execution_history(executionArn=execution, maxResults=1000)["events"]
    copied = [
        event for event in history if "copyObject" in event.get("taskSucceededEventDetails", {}).get("resource", "")
    ]
    first_etag = "8b04d5e3775d298e78455efc5ca404d5"  # MD5 of b"first"
    assert [first_etag in event["taskSucceededEventDetails"]["output"] for event in copied] == [True, True]
    all_ended(system, "changes.zip", 2)
    version = system.s3.head_object(Bucket=system.source, Key="changes.zip")["VersionId"]
    assert_is_everywhere(system, "changes.zip", b"second", version)


def set_grace(system: System, seconds: int) -> None:
    """Makes execution-watcher leave a dead execution's copies this long to land."""
    configuration = system.lambda_.get_function_configuration(FunctionName="execution-watcher")["Environment"]
    variables = {**configuration["Variables"], "LEASE_GRACE_SECONDS": str(seconds)}
    system.lambda_.update_function_configuration(FunctionName="execution-watcher", Environment={"Variables": variables})


def test_execution_stopped_while_it_holds_the_lease(system: System) -> None:
    """Stopped by hand half-way: the record does not stay in progress, a person hears of it, and the next upload is
    copied once the dead execution's lease has been shortened."""
    notification = system.inbox()
    set_grace(system, 1)
    hold(system, "LogWorkflowStart", 100_000)
    system.put("stopped.zip", b"first")
    execution = wait_for_state(system, "stopped.zip", "Hold")
    system.stepfunctions.stop_execution(executionArn=execution, error="Maintenance", cause="stopped by hand")
    told = notification(execution)
    assert told["Subject"] == "File copy aborted: stopped.zip"

    def closed() -> dict[str, Any] | None:
        record = system.record("stopped.zip")
        return record if record and record["status"] == "FAILED" else None

    record = system.wait_for("the record to be closed", closed)
    assert record["problem"].startswith("ABORTED")
    assert record["leaseOwner"] == f"{execution}#ended"
    assert record["leaseExpiresAt"] <= time.time() + 2
    hold_no_more(system)
    system.put("stopped.zip", b"second")
    assert {ended["status"] for ended in all_ended(system, "stopped.zip", 2)} == {"ABORTED", "SUCCEEDED"}
    version = system.s3.head_object(Bucket=system.source, Key="stopped.zip")["VersionId"]
    assert_is_everywhere(system, "stopped.zip", b"second", version)


def hold_no_more(system: System) -> None:
    described = system.stepfunctions.describe_state_machine(stateMachineArn=system.state_machine)
    definition = json.loads(described["definition"])
    definition["States"]["Hold"]["Seconds"] = 0
    system.stepfunctions.update_state_machine(stateMachineArn=system.state_machine, definition=json.dumps(definition))


def test_lease_of_a_holder_that_nobody_heard_of_again_expires(system: System) -> None:
    """Even if the event of its end were lost, a dead execution's lease ends by itself, and not before."""
    system.upload("expires.zip")
    expires = int(time.time()) + 3
    system.dynamodb.update_item(
        TableName=system.table,
        Key={"fileKey": {"S": "expires.zip"}, "sourceBucket": {"S": system.source}},
        UpdateExpression="SET leaseOwner = :owner, leaseExpiresAt = :expires",
        ExpressionAttributeValues={":owner": {"S": "a dead execution"}, ":expires": {"N": str(expires)}},
    )
    ended = system.run(system.job("expires.zip"))
    assert ended["status"] == "SUCCEEDED"
    assert "WaitForTurn" in system.states(ended["executionArn"])
    assert time.time() > expires
