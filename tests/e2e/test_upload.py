"""A file that is uploaded arrives everywhere, and its record says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers import replication_worker, s3_events
from tests.handlers.conftest import s3_event, s3_record

from .system import System

KEYS = [
    "plain.zip",
    "with a space.zip",
    "plus+plus.zip",
    "100%.zip",
    "percent%2Fencoded%20already.zip",
    "folder/and/sub folder/file.zip",
    "quote'single.zip",
    'quote"double.zip',
    "ümläut-é-ñ.zip",
    "日本語/ファイル.zip",
    "emoji-🚀.zip",
    "query?a=b&c=d#e.zip",
    "semi;colon,comma:colon=equals@at$dollar!bang*star(paren)~tilde.zip",
    "[brackets]{braces}<angles>|pipe^caret`tick.zip",
    "back\\slash.zip",
    "trailing space ",
    "what?versionId=none.zip",
    "k" * 900,
    "k" * 1024,
]


@pytest.mark.parametrize(
    "system",
    [pytest.param(False, id="open"), pytest.param(True, id="enforced", marks=pytest.mark.slow)],
    indirect=True,
)
def test_any_key_arrives_exactly(system: System) -> None:
    """A key is the same in every destination and in the record, or files would get lost under other names."""
    bodies = {system.key(key)[:1024]: f"content of {key}".encode() for key in KEYS}
    for key, body in bodies.items():
        system.put(key, body)
    for key, body in bodies.items():
        record = system.finished_record(key)
        assert record["status"] == "COMPLETED", key
        for bucket in system.destinations:
            assert system.get(bucket, key) == body
            assert record["arrivals"][bucket]["verified"] is True, key


def test_record_of_a_completed_copy(system: System) -> None:
    """The record holds what the user's guide promises, as native types, or operators could not read it."""
    key = system.key("record.zip")
    record = system.upload(key, b"12345")
    [execution] = system.executions_of(key)
    assert record["executionId"] == execution
    assert record["sourceBucket"] == system.source
    assert record["startTime"] < record["completedAt"]
    assert record["destinationBuckets"] == system.destinations
    assert (record["totalBuckets"], record["successfulCopies"], record["failedCopies"]) == (2, 2, 0)
    assert (record["successfulBuckets"], record["failedBuckets"]) == (system.destinations, [])
    assert [result["destinationBucket"] for result in record["copyResults"]] == system.destinations
    for result in record["copyResults"]:
        head = system.s3.head_object(Bucket=result["destinationBucket"], Key=key)
        assert result["success"] is True
        assert result["etag"] == head["ETag"].strip('"')
        assert result["versionId"] == head["VersionId"]
        assert record["arrivals"][result["destinationBucket"]]["size"] == 5


def test_copy_is_of_the_version_that_was_uploaded(system: System) -> None:
    """An execution is told the version that its event named, so that a later upload cannot change what it copies."""
    key = system.key("version.zip")
    system.put(key, b"one")
    version = system.s3.head_object(Bucket=system.source, Key=key)["VersionId"]
    assert system.finished_record(key)["sourceVersionId"] == version
    [execution] = system.executions_of(key)
    described = system.stepfunctions.describe_execution(executionArn=execution)
    assert json.loads(described["input"])["sourceVersionId"] == version


@pytest.mark.slow
def test_every_upload_of_a_burst_is_copied(system: System) -> None:
    """More uploads at once than functions run at once lose nothing."""
    keys = [system.key(f"burst/{number}.zip") for number in range(system.engine.burst)]
    for key in keys:
        system.put(key, key.encode())
    for key in keys:
        assert system.finished_record(key)["status"] == "COMPLETED"
        assert [system.get(bucket, key) for bucket in system.destinations] == [key.encode()] * 2


def test_event_that_comes_twice_starts_one_execution(system: System) -> None:
    """S3 and SQS deliver at least once: a second execution for one event would pay for every copy again."""
    key = system.key("twice.zip")
    record = system.upload(key, b"twice")
    # Another event than S3's own, by its sequencer, and sent in two messages.
    event = s3_event(
        s3_record(
            key,
            bucket=system.source,
            eTag=record["sourceETag"],
            versionId=record["sourceVersionId"],
            sequencer="00FFFFFFFFFFFFFFFF",
        )
    )
    system.sqs.send_message_batch(
        QueueUrl=system.uploads, Entries=[{"Id": number, "MessageBody": event} for number in ("first", "second")]
    )
    [upload] = s3_events.parse(event)
    name = replication_worker.execution_name(upload)
    twice = system.state_machine.replace(":stateMachine:", ":execution:") + f":{name}"
    own = record["executionId"]
    system.wait_for("the event's execution", lambda: twice in system.executions_of(key) or None)
    system.wait_for_no_messages(system.uploads)
    assert {*system.executions_of(key)} == {own, twice}
    assert len(system.executions_of(key)) == 2
    assert system.finish(twice)["status"] == "SUCCEEDED"
    after = system.finished_record(key)
    assert (after["executionId"], after["status"], after["sourceVersionId"]) == (
        twice,
        "COMPLETED",
        record["sourceVersionId"],
    )


@pytest.mark.slow
def test_malformed_event_ends_in_the_dead_letter_queue_alone(breakable: System) -> None:
    """A message that is no S3 event goes back and in the end to the dead-letter queue; its neighbours are handled."""
    dead_letters, key = breakable.dead_letters["uploads"], breakable.key("neighbour.zip")
    malformed = {"Records": [{"eventSource": "aws:s3"}], "sentBeside": key}
    with breakable.returning_uploads_at_once():
        breakable.sqs.send_message_batch(
            QueueUrl=breakable.uploads,
            Entries=[
                {"Id": "bad", "MessageBody": json.dumps(malformed)},
                {"Id": "test", "MessageBody": json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})},
            ],
        )
        breakable.put(key)
        assert breakable.finished_record(key)["status"] == "COMPLETED"
        found: list[dict[str, Any]] = []

        def dead() -> list[dict[str, Any]] | None:
            """The new dead letters. Others, of somebody else, are left where they are."""
            received = breakable.sqs.receive_message(QueueUrl=dead_letters, MaxNumberOfMessages=10, VisibilityTimeout=5)
            for message in received.get("Messages", []):
                if key in message["Body"]:
                    found.append(json.loads(message["Body"]))
                    breakable.sqs.delete_message(QueueUrl=dead_letters, ReceiptHandle=message["ReceiptHandle"])
            return found or None

        assert breakable.wait_for("the dead letter", dead) == [malformed]
        breakable.wait_for_no_messages(breakable.uploads)


def test_file_from_elsewhere_in_a_destination_is_left_alone(system: System) -> None:
    """A file that somebody else puts into a destination has no record, and gets none."""
    key = system.key("elsewhere.zip")
    system.s3.put_object(Bucket=system.destinations[0], Key=key, Body=b"not ours")
    system.upload(system.key("after-elsewhere.zip"))
    assert system.record(key) is None
    assert system.executions_of(key) == []
