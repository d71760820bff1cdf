"""A file that is uploaded arrives everywhere, and its record says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
    "k" * 1024,
]


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_any_key_arrives_exactly(system: System, key: str) -> None:
    """A key is the same in every destination and in the record, or files would get lost under other names."""
    body = f"content of {key}".encode()
    record = system.upload(key, body)
    assert record["status"] == "COMPLETED"
    for bucket in system.destinations:
        assert system.get(bucket, key) == body
        assert record["arrivals"][bucket]["verified"] is True


def test_record_of_a_completed_copy(system: System) -> None:
    """The record holds what the user's guide promises, as native types, or operators could not read it."""
    record = system.upload("record.zip", b"12345")
    [execution] = system.executions_of("record.zip")
    assert record["executionId"] == execution
    assert record["sourceBucket"] == system.source
    assert record["startTime"] < record["completedAt"]
    assert record["destinationBuckets"] == system.destinations
    assert (record["totalBuckets"], record["successfulCopies"], record["failedCopies"]) == (2, 2, 0)
    assert (record["successfulBuckets"], record["failedBuckets"]) == (system.destinations, [])
    assert [result["destinationBucket"] for result in record["copyResults"]] == system.destinations
    for result in record["copyResults"]:
        head = system.s3.head_object(Bucket=result["destinationBucket"], Key="record.zip")
        assert result["success"] is True
        assert result["etag"] == head["ETag"].strip('"')
        assert result["versionId"] == head["VersionId"]
        assert record["arrivals"][result["destinationBucket"]]["size"] == 5


def test_copy_is_of_the_version_that_was_uploaded(system: System) -> None:
    """An execution is told the version that its event named, so that a later upload cannot change what it copies."""
    system.put("version.zip", b"one")
    version = system.s3.head_object(Bucket=system.source, Key="version.zip")["VersionId"]
    assert system.finished_record("version.zip")["sourceVersionId"] == version
    [execution] = system.executions_of("version.zip")
    described = system.stepfunctions.describe_execution(executionArn=execution)
    assert json.loads(described["input"])["sourceVersionId"] == version


def test_every_upload_of_a_burst_is_copied(system: System) -> None:
    """More uploads at once than functions run at once lose nothing."""
    keys = [f"burst/{number}.zip" for number in range(60)]
    for key in keys:
        system.put(key, key.encode())
    for key in keys:
        assert system.finished_record(key)["status"] == "COMPLETED"
        assert [system.get(bucket, key) for bucket in system.destinations] == [key.encode()] * 2


def test_malformed_event_ends_in_the_dead_letter_queue_alone(breakable: System) -> None:
    """A message that is no S3 event goes back and in the end to the dead-letter queue; its neighbours are handled."""
    uploads = breakable.stack.outputs["upload_queue_url"]
    dead_letters = breakable.stack.outputs["dead_letter_queue_urls"]["uploads"]
    # A message that fails comes back after a second, so that its five receives take no minutes.
    breakable.sqs.set_queue_attributes(QueueUrl=uploads, Attributes={"VisibilityTimeout": "1"})
    breakable.sqs.send_message_batch(
        QueueUrl=uploads,
        Entries=[
            {"Id": "bad", "MessageBody": json.dumps({"Records": [{"eventSource": "aws:s3"}]})},
            {"Id": "test", "MessageBody": json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})},
        ],
    )
    breakable.put("neighbour.zip")
    assert breakable.finished_record("neighbour.zip")["status"] == "COMPLETED"

    def dead() -> list[dict[str, Any]] | None:
        received = breakable.sqs.receive_message(QueueUrl=dead_letters, MaxNumberOfMessages=10).get("Messages")
        return received or None

    assert [json.loads(message["Body"]) for message in breakable.wait_for("the dead letter", dead)] == [
        {"Records": [{"eventSource": "aws:s3"}]}
    ]

    def is_empty() -> bool | None:
        attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = breakable.sqs.get_queue_attributes(QueueUrl=uploads, AttributeNames=attributes)["Attributes"]
        return True if {counts[name] for name in attributes} == {"0"} else None

    breakable.wait_for("the queue to be empty", is_empty)


def test_file_from_elsewhere_in_a_destination_is_left_alone(system: System) -> None:
    """A file that somebody else puts into a destination has no record, and gets none."""
    system.s3.put_object(Bucket=system.destinations[0], Key="elsewhere.zip", Body=b"not ours")
    system.upload("after-elsewhere.zip")
    assert system.record("elsewhere.zip") is None
    assert system.executions_of("elsewhere.zip") == []
