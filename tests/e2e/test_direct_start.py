"""The workflow started by hand: success, partial failure, total failure, bad input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers import copy_job
from tests.keys import NOT_KEYS

from .system import STATES_OF_A_SUCCESS, System

GOOD: dict[str, Any] = {
    "sourceBucket": "global-builds",
    "sourceKey": "k.zip",
    "destinationBuckets": ["region-a-builds"],
}

# What is wrong, and the member that both the function and the state machine must name.
BAD_JOBS: list[tuple[object, str]] = [
    ({}, "sourceBucket"),
    ({}, "sourceKey"),
    ({}, "destinationBuckets"),
    ({**GOOD, "sourceBucket": 5}, "sourceBucket"),
    ({**GOOD, "sourceBucket": "No_Bucket"}, "sourceBucket"),
    ({**GOOD, "sourceBucket": " "}, "sourceBucket"),
    ({**GOOD, "sourceBucket": None}, "sourceBucket"),
    ({**GOOD, "sourceKey": ["k"]}, "sourceKey"),
    *[({**GOOD, "sourceKey": key}, "sourceKey") for key in NOT_KEYS.values() if key.isprintable()],
    ({**GOOD, "destinationBuckets": []}, "destinationBuckets"),
    ({**GOOD, "destinationBuckets": "region-a-builds"}, "destinationBuckets"),
    ({**GOOD, "destinationBuckets": ["region-a-builds", ""]}, "destinationBuckets"),
    ({**GOOD, "destinationBuckets": ["region-a-builds", 7]}, "destinationBuckets"),
    ({**GOOD, "destinationBuckets": ["region-a-builds", "a/../b"]}, "destinationBuckets"),
    ({**GOOD, "destinationBuckets": ["global-builds"]}, "destinationBuckets"),
    ({**GOOD, "destinationBuckets": [[]]}, "destinationBuckets"),
    ({**GOOD, "destinationBuckets": [None]}, "destinationBuckets"),
    ({**GOOD, "destinationBuckets": [f"bucket-{number}" for number in range(1001)]}, "1000"),
    ({**GOOD, "sourceVersionId": 3}, "sourceVersionId"),
    ({**GOOD, "sourceVersionId": ""}, "sourceVersionId"),
]


def of_the_stack(system: System, value: Any, key: str) -> Any:
    """The value with the stack's buckets and this key in place of those of GOOD."""
    if isinstance(value, dict):
        return {name: of_the_stack(system, member, key) for name, member in value.items()}
    if isinstance(value, list):
        return [of_the_stack(system, member, key) for member in value]
    names = {"global-builds": system.source, "region-a-builds": system.destinations[0], "k.zip": key}
    return names.get(value, value) if isinstance(value, str) else value


@pytest.mark.parametrize(("job", "named"), BAD_JOBS, ids=lambda value: json.dumps(value)[:60])
def test_bad_input_fails_in_validate_input(system: System, job: object, named: str) -> None:
    """A wrong input fails in ValidateInput, names the member, and leaves no record and no lease, which the file's next
    upload would wait for; the function says the same."""
    key = system.key("k.zip")
    ended = system.run(of_the_stack(system, job, key))
    assert ended["status"] == "FAILED"
    assert "Invalid input" in ended["cause"]
    assert named in ended["cause"]
    assert system.states(ended["executionArn"]) == ["ValidateInput"]
    assert system.record(key) is None
    assert any(named in problem for problem in copy_job.problems(job))


def test_several_problems_are_all_named(system: System) -> None:
    """One look at a failed execution shows everything that has to be mended."""
    cause = system.run({"sourceBucket": 1, "sourceKey": 2, "destinationBuckets": 3})["cause"]
    assert all(
        named in cause for named in ("sourceBucket", "sourceKey", "destinationBuckets", "not 1", "not 2", "not 3")
    )


def test_success(system: System) -> None:
    """A start by hand, as the user's guide prints it, copies and succeeds, state by state."""
    key = system.key("direct.zip")
    system.upload(key, b"direct")
    ended = system.run(system.job(key))
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"]) == {
        "status": "COMPLETED",
        "totalBuckets": 2,
        "successfulCopies": 2,
        "failedCopies": 0,
        "successfulBuckets": system.destinations,
        "failedBuckets": [],
    }
    assert system.states(ended["executionArn"]) == STATES_OF_A_SUCCESS


def test_one_destination_given_twice_is_copied_to_once(system: System) -> None:
    """A repeated name costs no second copy, and a single destination is still a list."""
    key, bucket = system.key("once.zip"), system.destinations[0]
    system.upload(key)
    ended = system.run(system.job(key, bucket, bucket))
    assert json.loads(ended["output"])["successfulBuckets"] == [bucket]
    record = system.finished_record(key)
    assert record["destinationBuckets"] == [bucket]
    assert len(record["copyResults"]) == 1


def test_partial_failure(system: System) -> None:
    """One destination that does not exist costs the others nothing, fails the execution and tells a person."""
    notification, key, missing = system.inbox(), system.key("partial.zip"), system.bucket("invalid-bucket")
    system.upload(key)
    ended = system.run(system.job(key, system.destinations[0], missing))
    assert (ended["status"], ended["error"]) == ("FAILED", "CopiesFailed")
    assert f"1 of 2 copies failed: {missing}" in ended["cause"]
    assert system.states(ended["executionArn"])[-3:] == [
        "CheckIfAllSuccessful",
        "SendFailureNotification",
        "SomeCopiesFailed",
    ]

    record = system.finished_record(key)
    assert record["status"] == "PARTIAL_FAILURE"
    assert (record["successfulCopies"], record["failedCopies"]) == (1, 1)
    assert (record["successfulBuckets"], record["failedBuckets"]) == ([system.destinations[0]], [missing])
    assert record["copyResults"][1]["error"] == "S3.NoSuchBucketException"
    # AWS and LocalStack add the service, the status and the request's id.
    assert record["copyResults"][1]["cause"].startswith("The specified bucket does not exist")

    told = notification(ended["executionArn"])
    assert told["Subject"] == f"File copy partly failed: {key}"
    for line in (
        "⚠️ File copy partly failed",
        f"📄 File: {key}",
        f"🪣 Source bucket: {system.source}",
        "🎯 Destinations: 2",
        "✅ Copied: 1",
        "❌ Failed: 1",
        f"🔎 Execution: {ended['executionArn']}",
    ):
        assert line in told["Message"].splitlines()
    assert f"\n  ❌ {missing}: S3.NoSuchBucketException: The specified bucket does not exist" in told["Message"]


def test_a_key_that_deceives_is_shown_harmless(open_system: System) -> None:
    """What turns text around is no part of what a person reads, and no command with it is offered."""
    notification, key = open_system.inbox(), open_system.key("deceiving é\u202e.zip")
    open_system.upload(key)
    ended = open_system.run(open_system.job(key, open_system.bucket("invalid-bucket")))
    told = notification(ended["executionArn"])
    assert told["Subject"] == f"File copy failed: {open_system.key('deceiving ??.zip')}"
    assert f"📄 File: {open_system.key('deceiving é?.zip')}" in told["Message"].splitlines()
    assert "--table-name" not in told["Message"]


def test_total_failure(system: System) -> None:
    """When no destination takes the file, the record and the notification say that nothing was copied."""
    notification, key = system.inbox(), system.key("nowhere.zip")
    system.upload(key)
    ended = system.run(system.job(key, system.bucket("invalid-bucket"), system.bucket("another-invalid-bucket")))
    assert (ended["status"], ended["error"]) == ("FAILED", "CopiesFailed")
    record = system.finished_record(key)
    assert (record["status"], record["failedCopies"]) == ("FAILED", 2)
    assert {result["error"] for result in record["copyResults"]} == {"S3.NoSuchBucketException"}
    told = notification(ended["executionArn"])
    assert told["Subject"] == f"File copy failed: {key}"
    assert f"📋 Record: aws dynamodb get-item --table-name {system.table} --key '{{" in told["Message"]


def test_missing_source_is_told_once_and_no_copy_is_tried(system: System) -> None:
    """A source that does not exist fails fast with one notification, not with as many as there are destinations."""
    notification, key = system.inbox(), system.key("missing.zip")
    ended = system.run(system.job(key))
    assert (ended["status"], ended["error"]) == ("FAILED", "SourceUnreadable")
    assert "The source could not be read" in ended["cause"]
    assert system.attempts(ended["executionArn"], "copyObject") == 0
    assert system.attempts(ended["executionArn"], "publish") == 1
    record = system.finished_record(key)
    assert (record["status"], record["failedBuckets"]) == ("FAILED", system.destinations)
    assert record["problem"] == f"{key} is not in {system.source}"
    told = notification(ended["executionArn"])
    assert told["Subject"] == f"File copy failed: {key}"
    assert f"📭 The source could not be read: {key} is not in {system.source}\n" in told["Message"]


def test_a_failed_copy_to_what_is_no_destination_does_not_stay(open_system: System) -> None:
    """A start by hand to a wrong bucket must not make every later retry of the file fail: they leave it out."""
    key, wrong = open_system.key("way-out.zip"), open_system.bucket("wrong-bucket")
    open_system.upload(key)
    assert open_system.run(open_system.job(key, open_system.destinations[0], wrong))["status"] == "FAILED"
    ended = open_system.run({**open_system.job(key, open_system.destinations[1]), "retry": True})
    assert ended["status"] == "SUCCEEDED"
    record = open_system.record(key)
    assert record is not None
    assert (record["status"], record["failedBuckets"]) == ("COMPLETED", [])
    assert sorted(record["successfulBuckets"]) == sorted(open_system.destinations)
    assert wrong not in {result["destinationBucket"] for result in record["copyResults"]}


def test_errors_that_no_retry_can_mend_fail_at_once(system: System) -> None:
    """A bucket that does not exist is tried once: seconds of retries would only delay the notification."""
    key = system.key("at-once.zip")
    system.upload(key)
    ended = system.run(system.job(key, system.bucket("invalid-bucket")))
    assert system.attempts(ended["executionArn"], "copyObject") == 1


@pytest.mark.slow
def test_subject_and_message_stay_inside_the_limits_of_sns(system: System) -> None:
    """500 failed destinations and the longest key still give one notification that SNS takes."""
    notification, key = system.inbox(), system.key("k" * 1000)
    system.upload(key)
    ended = system.run(system.job(key, *(f"missing-{number:03}-{'x' * 50}" for number in range(600))))
    assert ended["error"] == "CopiesFailed"
    told = notification(ended["executionArn"])
    assert len(told["Subject"]) < 100
    assert told["Subject"].isascii()
    assert len(told["Message"].encode()) < 256 * 1024
    assert told["Message"].count("NoSuchBucketException") == 500
    assert "and 100 more" in told["Message"]
    record = system.record(key)
    assert record is not None
    assert (len(record["failedBuckets"]), len(record["copyResults"])) == (600, 400)
