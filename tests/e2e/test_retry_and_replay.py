"""Failed copies tried again, and dead letters put back, as an operator does it."""

from __future__ import annotations

from typing import Any

from .system import System, filecopy


def add_bucket(system: System, name: str) -> None:
    system.s3.create_bucket(Bucket=name)


def fail(system: System, key: str, *missing: str) -> dict[str, Any]:
    """The record of a file that could be copied to the first destination but not to those that are missing."""
    system.upload(key, key.encode())
    system.run(system.job(key, system.destinations[0], *missing))
    record = system.record(key)
    assert record is not None
    assert record["failedBuckets"] == [*missing]
    return record


def test_failed_copies_alone_are_retried_and_merged(system: System) -> None:
    """A retry copies to the destinations that failed and to no other, and the record's counts are those of both."""
    before = fail(system, "retried.zip", "late-one", "late-two")
    add_bucket(system, "late-one")
    told = filecopy("retry", "retried.zip", "--port", str(system.stack.port))
    assert told.returncode == 1
    assert "retried.zip: PARTIAL_FAILURE, 2 of 3 copied." in told.stdout
    assert "Still failed: late-two." in told.stderr
    record = system.record("retried.zip")
    assert record is not None
    assert system.attempts(record["executionId"], "copyObject") == 2
    assert (record["totalBuckets"], record["successfulCopies"], record["failedCopies"]) == (3, 2, 1)
    assert record["successfulBuckets"] == [system.destinations[0], "late-one"]
    assert record["failedBuckets"] == ["late-two"]
    by_bucket = {result["destinationBucket"]: result for result in record["copyResults"]}
    assert by_bucket[system.destinations[0]] == before["copyResults"][0]
    assert (by_bucket["late-one"]["success"], by_bucket["late-two"]["success"]) == (True, False)
    assert sorted(record["destinationBuckets"]) == sorted(before["destinationBuckets"])

    add_bucket(system, "late-two")
    told = filecopy("retry", "retried.zip", "--port", str(system.stack.port))
    assert (told.returncode, "COMPLETED, 3 of 3 copied" in told.stdout) == (0, True), told.stderr
    assert system.get("late-two", "retried.zip") == b"retried.zip"
    told = filecopy("retry", "retried.zip", "--port", str(system.stack.port))
    assert told.stdout == "No copy of retried.zip has failed.\n"


def test_retry_through_the_api(system: System) -> None:
    """The API takes a retry as the command line makes it."""
    fail(system, "by-api-again.zip", "late-three")
    add_bucket(system, "late-three")
    status, answer = system.post("/step-function", {**system.job("by-api-again.zip", "late-three"), "retry": True})
    assert status == 202
    assert system.finish(answer["executionArn"])["status"] == "SUCCEEDED"
    record = system.record("by-api-again.zip")
    assert record is not None
    assert (record["status"], record["totalBuckets"], record["failedCopies"]) == ("COMPLETED", 2, 0)


def test_retry_of_an_unknown_file_is_told(system: System) -> None:
    """A key that was never copied is named, not retried."""
    told = filecopy("retry", "never.zip", "--port", str(system.stack.port))
    assert told.returncode == 1
    assert "There is no record of 'never.zip'" in told.stderr


def test_dead_letter_is_put_back_and_handled(breakable: System) -> None:
    """An upload whose event could not be handled is copied once the reason is gone and its message is put back."""
    uploads, dead_letters = (
        breakable.stack.outputs["upload_queue_url"],
        breakable.stack.outputs["dead_letter_queue_urls"],
    )
    breakable.sqs.set_queue_attributes(QueueUrl=uploads, Attributes={"VisibilityTimeout": "1"})
    # The function cannot find its state machine, as in a stack that was only half changed.
    configuration = breakable.lambda_.get_function_configuration(FunctionName="replication-worker")["Environment"]
    broken = {**configuration["Variables"], "STATE_MACHINE_ARN": breakable.state_machine + "-gone"}
    breakable.lambda_.update_function_configuration(
        FunctionName="replication-worker", Environment={"Variables": broken}
    )
    breakable.put("letter.zip")

    def count() -> int | None:
        attributes = breakable.sqs.get_queue_attributes(
            QueueUrl=dead_letters["uploads"], AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"]) or None

    assert breakable.wait_for("the dead letter", count) == 1
    assert breakable.record("letter.zip") is None
    breakable.lambda_.update_function_configuration(
        FunctionName="replication-worker", Environment={"Variables": configuration["Variables"]}
    )
    told = filecopy("replay", "uploads", "--port", str(breakable.stack.port))
    assert (told.returncode, told.stdout) == (0, "1 message put back into uploads.\n"), told.stderr
    assert breakable.finished_record("letter.zip")["status"] == "COMPLETED"
    assert count() is None
    unknown = filecopy("replay", "letters", "--port", str(breakable.stack.port))
    assert (unknown.returncode, "The queues are uploads, arrivals, endings" in unknown.stderr) == (1, True)
