"""Failed copies tried again, and dead letters put back, as an operator does it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.workflow.definition import copy_workflow_definition

from .system import System


def fail(system: System, key: str, *missing: str) -> dict[str, Any]:
    """The record of a file that could be copied to the first destination but not to those that are missing."""
    system.upload(key, key.encode())
    system.run(system.job(key, system.destinations[0], *missing))
    record = system.record(key)
    assert record is not None
    assert record["failedBuckets"] == [*missing]
    return record


def test_failed_copies_alone_are_retried_and_merged(system: System) -> None:
    """A retry copies to the destinations that failed and to no other, and the record's counts are those of both. A
    bucket that does not exist and is not a destination of the stack is left out, and dropped from the record."""
    key, one, two = system.key("retried.zip"), system.bucket("late-one"), system.bucket("late-two")
    before = fail(system, key, one, two)
    system.make_bucket(one)
    told = system.filecopy("retry", key)
    assert told.returncode == 0
    assert f"{key}: COMPLETED, 2 of 2 copied." in told.stdout
    assert f"{two} is not a destination of the stack, so its copy is not retried." in told.stderr
    record = system.record(key)
    assert record is not None
    assert system.attempts(record["executionId"], "copyObject") == 1
    assert (record["totalBuckets"], record["successfulCopies"], record["failedCopies"]) == (2, 2, 0)
    assert record["successfulBuckets"] == [system.destinations[0], one]
    by_bucket = {result["destinationBucket"]: result for result in record["copyResults"]}
    assert by_bucket[system.destinations[0]] == before["copyResults"][0]
    assert by_bucket[one]["success"] is True
    assert system.get(one, key) == key.encode()
    told = system.filecopy("retry", key)
    assert told.stdout == f"No copy of {key} has failed.\n"


def test_retry_through_the_api(system: System) -> None:
    """The API takes a retry as the command line makes it."""
    key, late = system.key("by-api-again.zip"), system.bucket("late-three")
    fail(system, key, late)
    system.make_bucket(late)
    status, answer = system.post("/step-function", {**system.job(key, late), "retry": True})
    assert status == 202
    assert system.finish(answer["executionArn"])["status"] == "SUCCEEDED"
    record = system.record(key)
    assert record is not None
    assert (record["status"], record["totalBuckets"], record["failedCopies"]) == ("COMPLETED", 2, 0)


def test_the_record_does_not_forget_what_failed_elsewhere(system: System) -> None:
    """A start by hand for one destination keeps the failed copy of another in the record. The execution that made the
    one copy that it was started for succeeds, and its output is about that copy."""
    key, here, late = system.key("by-hand.zip"), system.destinations[0], system.bucket("late-four")
    machine = system.make_state_machine(
        "with-late-destination",
        copy_workflow_definition(
            partition="aws",
            table_name=system.table,
            topic_arn=system.topic,
            copy_worker_arn=system.functions["copy-worker"],
            max_concurrency=10,
            destinations=[here, late],
        ),
    )
    system.upload(key, key.encode())
    assert system.run(system.job(key, here, late), machine)["error"] == "CopiesFailed"
    ended = system.run(system.job(key, here), machine)
    output = json.loads(ended["output"])
    assert (ended["status"], output["status"], output["successfulBuckets"]) == ("SUCCEEDED", "COMPLETED", [here])
    record = system.finished_record(key)
    assert (record["status"], record["executionId"]) == ("PARTIAL_FAILURE", ended["executionArn"])
    assert (record["successfulBuckets"], record["failedBuckets"], record["totalBuckets"]) == ([here], [late], 2)
    assert {one["destinationBucket"]: one["success"] for one in record["copyResults"]} == {here: True, late: False}
    system.make_bucket(late)
    assert system.run({**system.job(key, late), "retry": True}, machine)["status"] == "SUCCEEDED"
    record = system.record(key) or {}
    assert (record["status"], record["failedBuckets"], record["totalBuckets"]) == ("COMPLETED", [], 2)
    # The arrival of the copy that stayed is still the record's.
    assert record["arrivals"][here]["verified"] is True


@pytest.mark.slow
def test_retry_of_an_unknown_file_is_told(system: System) -> None:
    """A key that was never copied is named, not retried."""
    key = system.key("never.zip")
    told = system.filecopy("retry", key)
    assert told.returncode == 1
    assert f"There is no record of {key} in" in told.stderr


@pytest.mark.slow
def test_dead_letter_is_put_back_and_handled(breakable: System) -> None:
    """An upload whose event could not be handled is copied once the reason is gone and its message is put back."""
    if breakable.letters_in("uploads"):
        pytest.skip("there are dead letters of somebody else, which a replay would put back, too")
    key = breakable.key("letter.zip")
    # The function cannot find its state machine, as in a stack that was only half changed.
    gone = {"STATE_MACHINE_ARN": f"{breakable.state_machine}-gone"}
    with breakable.returning_uploads_at_once(), breakable.function_told("replication-worker", **gone):
        breakable.put(key)
        assert breakable.wait_for("the dead letter", lambda: breakable.letters_in("uploads") or None) == 1
        assert breakable.record(key) is None
    told = breakable.filecopy("replay", "uploads")
    assert (told.returncode, told.stdout) == (0, "Moved 1 message back into uploads.\n"), told.stderr
    assert breakable.finished_record(key)["status"] == "COMPLETED"
    assert breakable.letters_in("uploads") == 0
    unknown = breakable.filecopy("replay", "letters")
    assert unknown.returncode == 1
    assert f"The queues are {', '.join(breakable.dead_letters)}." in unknown.stderr
