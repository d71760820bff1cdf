"""Files that are copied in parts: a threshold of 5 MiB stands for 512 MiB."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest

from filecopy.executions.find import read_history
from filecopy.executions.follow import Follower, follow
from filecopy.executions.model import Outcome
from filecopy.polling import Poller
from filecopy.stack.records import Part
from handlers.s3_protocol import header_text, headers_as_they_are

from .conftest import NO_WAITS, Given
from .system import STATES_OF_A_SUCCESS, System, stack_up

pytestmark = pytest.mark.slow

LIMIT = 5 * 1024**2
LARGE = random.Random(1).randbytes(3 * LIMIT + 7)  # noqa: S311 - the same at each run
PARTS = 4


@pytest.fixture(scope="module")
def stacks(request: pytest.FixtureRequest, given: Given | None) -> Iterator[Callable[[bool], System]]:
    """Stacks where files above 5 MiB are copied in parts, with IAM enforced or not; or the one that is given."""
    if given:
        shared: Callable[[bool], System] = request.getfixturevalue("systems")
        if shared(False).variables_of("copy-worker")["MULTIPART_THRESHOLD"] != str(LIMIT):
            pytest.skip("the stack's setting multipartThresholdMiB is not 5: no test is to copy 5 GiB")
        yield shared
        return
    with ExitStack() as opened:

        @cache
        def get(enforced: bool) -> System:
            limit = ("-c", f"multipartThresholdMiB={LIMIT // 1024**2}")
            return opened.enter_context(stack_up(*NO_WAITS, *limit, enforced=enforced))

        yield get


@pytest.fixture(params=[False, True], ids=["open", "enforced"])
def parts(request: pytest.FixtureRequest, stacks: Callable[[bool], System]) -> System:
    return stacks(request.param)


@pytest.fixture
def open_parts(stacks: Callable[[bool], System]) -> System:
    """Where copies go to buckets that are no destinations of the stack, too."""
    return stacks(False)


@pytest.fixture
def slow(parts: System) -> Iterator[System]:
    """Each run of copy-worker copies one part and ends."""
    with parts.function_told("copy-worker", PARTS_AT_ONCE="1", RUN_SECONDS="0"):
        yield parts


def unfinished(system: System, key: str) -> list[dict[str, Any]]:
    return [
        upload
        for bucket in system.destinations
        for upload in system.s3.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", [])
    ]


def with_upload(record: dict[str, Any] | None) -> dict[str, Any] | None:
    return record if record and record.get("uploads") else None


def test_a_large_file_arrives_everywhere(parts: System) -> None:
    """A file that one CopyObject would not take arrives whole, and its record is like any other's."""
    key = parts.key("in-parts/large.zip")
    parts.user("s3").put_object(
        Bucket=parts.source, Key=key, Body=LARGE, ContentType="application/zip", Metadata={"commit": "abc123"}
    )
    record = parts.finished_record(key)
    assert (record["status"], record["successfulCopies"], record["failedCopies"]) == ("COMPLETED", 2, 0)
    for result in record["copyResults"]:
        bucket = result["destinationBucket"]
        assert parts.get(bucket, key) == LARGE
        head = parts.s3.head_object(Bucket=bucket, Key=key)
        assert (head["ContentType"], head["Metadata"]) == ("application/zip", {"commit": "abc123"})
        assert (result["etag"], result["versionId"]) == (head["ETag"].strip('"'), head["VersionId"])
        assert head["ETag"].endswith(f'-{PARTS}"')
    assert record["arrivals"].keys() == set(parts.destinations)
    assert parts.states(record["executionId"]).count("CopyThroughWorker") == 1
    assert (record["uploads"], unfinished(parts, key)) == ({}, [])


def test_a_small_file_passes_no_function(parts: System) -> None:
    """What S3 copies when it is asked to is not paid for twice: nine states, and a copy for each destination."""
    record = parts.upload(parts.key("in-parts/small.zip"), b"x" * LIMIT)
    assert parts.states(record["executionId"]) == STATES_OF_A_SUCCESS
    assert parts.attempts(record["executionId"], "copyObject") == len(parts.destinations)
    assert parts.attempts(record["executionId"], "invoke") == 0
    # By a checksum where S3 makes one of every upload.
    assert all(result["check"] != "none" for result in record["copyResults"])


def test_what_a_key_that_needs_encoding_costs(parts: System) -> None:
    """It goes through copy-worker, for one round: four transitions more, one run for each destination, no CopyObject
    of Step Functions' own. docs/performance.md has the price."""
    record = parts.upload(parts.key("a b.zip"), b"x")
    *common, last = STATES_OF_A_SUCCESS
    round_ = ["CopyThroughWorker", "ProcessResults", "UpdateDynamoDBFinal", "CheckIfAllSuccessful"]
    assert parts.states(record["executionId"]) == [*common, *round_, last]
    assert parts.attempts(record["executionId"], "copyObject") == 0
    assert parts.attempts(record["executionId"], "invoke") == len(parts.destinations)


def test_a_copy_goes_on_from_run_to_run(slow: System) -> None:
    """A copy that takes longer than a function may run is made in several runs, and the record says how far it is."""
    key = slow.key("in-parts/slow.zip")
    slow.put(key, LARGE)
    seen: list[dict[str, int]] = []

    def finished() -> dict[str, Any] | None:
        record = slow.record(key) or {}
        copied = {bucket: int(noted["copiedBytes"]) for bucket, noted in record.get("uploads", {}).items()}
        if copied and copied not in seen:
            assert (record["status"], "completedAt" in record) == ("IN_PROGRESS", False)
            seen.append(copied)
        return record if "completedAt" in record else None

    record = slow.wait_for("the copy's end", finished)
    assert record["status"] == "COMPLETED"
    for bucket in slow.destinations:
        assert slow.get(bucket, key) == LARGE
        way = [copied[bucket] for copied in seen if bucket in copied]
        assert way == sorted(way)
        assert set(way) & {LIMIT, 2 * LIMIT, 3 * LIMIT}
    # Each part of each copy took one run and no other.
    assert slow.states(record["executionId"]).count("CopyThroughWorker") == PARTS
    assert slow.attempts(record["executionId"], "invoke") == PARTS * len(slow.destinations)
    assert (record["uploads"], unfinished(slow, key)) == ({}, [])


def test_runs_are_told_and_are_no_retries(slow: System) -> None:
    """What watch and history tell of copies that took several runs, of which none failed."""
    key = slow.key("in-parts/told.zip")
    slow.put(key, LARGE)
    record = slow.wait_for("the first part", lambda: with_upload(slow.record(key)))
    follower = Follower(slow.target)
    parts: list[Part] = []
    for progress in follow(follower, record["executionId"], Poller(slow.engine.interval)):
        parts += progress.uploads.values()
    assert (progress.status, progress.copy_calls.copied, progress.retries) == ("SUCCEEDED", 2, 0)
    # The looks may all fall between two rounds; what is made of a record under way, tests/unit/test_watching.py shows.
    assert {part.total for part in parts} <= {len(LARGE)}
    record = slow.finished_record(key)
    copies = read_history(slow.target, record["executionId"]).copies
    assert len(copies) == len(slow.destinations)
    checks = {result["destinationBucket"]: result["check"] for result in record["copyResults"]}
    assert [(copy.outcome, copy.runs, copy.check) for copy in copies] == [
        (Outcome.COPIED, PARTS, checks[copy.bucket]) for copy in copies
    ]


def test_a_copy_that_is_given_up_leaves_no_parts(slow: System) -> None:
    """When a copy has failed for good, what was copied of it is thrown away, and a person is told."""
    inbox, key = slow.inbox(), slow.key("in-parts/given-up.zip")
    slow.put(key, LARGE)
    # Both: a run that is ended between its beginning an upload and its note of it leaves an upload, if one of no parts.
    slow.wait_for("both uploads", lambda: len((slow.record(key) or {}).get("uploads", {})) == 2 or None)
    with slow.function_told("copy-worker", PARTS_AT_ONCE="0"):
        record = slow.wait_for(
            "the end", lambda: record if "completedAt" in (record := slow.record(key) or {}) else None
        )
        assert inbox(record["executionId"])["Subject"] == f"File copy failed: {key}"
    assert (record["status"], record["failedCopies"]) == ("FAILED", 2)
    assert [result["success"] for result in record["copyResults"]] == [False, False]
    assert (record["uploads"], unfinished(slow, key)) == ({}, [])


def test_a_missing_bucket_fails_alone(open_parts: System) -> None:
    """A destination that is not there costs the others nothing, and is tried once."""
    key, missing = open_parts.key("in-parts/partly.zip"), open_parts.bucket("not-there")
    open_parts.put(key, LARGE)
    open_parts.finished_record(key)
    ended = open_parts.run(open_parts.job(key, open_parts.destinations[0], missing))
    assert (ended["status"], ended["error"]) == ("FAILED", "CopiesFailed")
    record = open_parts.record(key)
    assert record is not None
    by_bucket = {result["destinationBucket"]: result for result in record["copyResults"]}
    assert by_bucket[open_parts.destinations[0]]["success"]
    assert by_bucket[missing]["error"] == "S3.NoSuchBucketException"
    assert open_parts.attempts(ended["executionArn"], "invoke") == 2


def test_a_retry_of_a_large_copy_keeps_the_others(open_parts: System) -> None:
    """What has been copied is in the record once, and what is tried again joins it."""
    key, late = open_parts.key("in-parts/again.zip"), open_parts.bucket("late-large")
    open_parts.put(key, LARGE)
    open_parts.finished_record(key)
    open_parts.run(open_parts.job(key, open_parts.destinations[0], late))
    before = open_parts.record(key)
    assert before is not None
    open_parts.make_bucket(late)
    ended = open_parts.run({**open_parts.job(key, late), "retry": True})
    assert ended["status"] == "SUCCEEDED"
    record = open_parts.record(key)
    assert record is not None
    assert (record["status"], record["totalBuckets"], record["failedBuckets"]) == ("COMPLETED", 2, [])
    assert record["copyResults"][0] == before["copyResults"][0]
    assert open_parts.get(late, key) == LARGE


# --- What every way of copying keeps ------------------------------------------------------------------------------

KEPT: dict[str, Any] = {
    "ContentType": "text/x-odd",
    "CacheControl": "no-store",
    "ContentDisposition": "attachment",
    "ContentEncoding": "identity",
    "ContentLanguage": "en",
    "WebsiteRedirectLocation": "/elsewhere",
}
# S3 stores these as they are; botocore takes neither by itself.
RAW = {"Expires": "5d", "x-amz-meta-name": "résumé", "x-amz-meta-commit": "abc123"}


@pytest.mark.parametrize(
    ("name", "content"),
    [("kept.bin", b"small"), ("kept (by copy-worker).bin", b"small"), ("kept-in-parts.bin", LARGE)],
    ids=["by Step Functions", "by copy-worker", "in parts"],
)
def test_a_copy_keeps_the_same_in_every_way_of_copying(open_parts: System, name: str, content: bytes) -> None:
    """What a copy keeps does not depend on its size or its key. Storage class and tags are in tests/handlers, because
    MiniStack does not keep them in every copy."""
    key = open_parts.key(name)
    source = {"Bucket": open_parts.source, "Key": key}
    with headers_as_they_are(open_parts.s3, "PutObject", RAW):
        open_parts.s3.put_object(**source, Body=content, **KEPT)
    record = open_parts.finished_record(key)
    assert record["status"] == "COMPLETED"

    def kept(bucket: str) -> dict[str, Any]:
        head: dict[str, Any] = {**open_parts.s3.head_object(Bucket=bucket, Key=key)}
        return {member: head.get(member) for member in (*KEPT, "ExpiresString", "Metadata")}

    there = kept(open_parts.source)
    assert there["ExpiresString"] == "5d"
    assert header_text(there["Metadata"]["name"]) == "résumé"
    for bucket in open_parts.destinations:
        assert open_parts.get(bucket, key) == content
        assert kept(bucket) == there


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "in parts"])
def test_a_key_with_control_characters_is_copied(open_parts: System, content: bytes) -> None:
    """S3 names the key in the answers about an upload, in XML that has no place for these characters."""
    name = open_parts.key(f"bell-{len(content)}")
    key = f"{name}\x08\x1f.bin"
    record = open_parts.upload(key, content)
    assert record["status"] == "COMPLETED"
    assert [open_parts.get(bucket, key) for bucket in open_parts.destinations] == [content] * 2
    # An upload that is left would be listed by its key, which botocore does not read.
    assert unfinished(open_parts, name) == []


def test_a_key_of_white_space_is_copied(open_parts: System) -> None:
    """A key is any UTF-8 of 1 to 1,024 bytes."""
    key = open_parts.key("\u00a0 ")
    record = open_parts.upload(key, b"x")
    assert record["status"] == "COMPLETED"


# --- Copies of copies ---------------------------------------------------------------------------------------------


def versions(system: System, bucket: str, key: str) -> list[str]:
    found = system.s3.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", [])
    return [version["VersionId"] for version in found if version["Key"] == key]


def test_what_the_destinations_have_already_is_not_copied_again(parts: System) -> None:
    """A file that another stack has copied into the source bucket goes on to each destination, and ends there where the
    destination has it: two stacks that copy to each other stop after one round."""
    key, made_from = parts.key("round/file.zip"), parts.key("round/from.zip")
    parts.upload(made_from, b"round")
    seen: list[str] = []

    def arrive() -> dict[str, Any]:
        """The file as another stack copies it into the source bucket."""
        copied = parts.s3.copy_object(
            Bucket=parts.source, Key=key, CopySource={"Bucket": parts.source, "Key": made_from}
        )["VersionId"]

        def ended() -> dict[str, Any] | None:
            record = parts.record(key)
            is_of_it = record is not None and record.get("sourceVersionId") == copied
            return record if is_of_it and record is not None and "completedAt" in record else None

        record = parts.wait_for("the end of the copy", ended)
        assert (record["status"], record["executionId"] in seen) == ("COMPLETED", False)
        seen.append(record["executionId"])
        return record

    first = arrive()
    there = {bucket: versions(parts, bucket, key) for bucket in parts.destinations}
    assert [len(found) for found in there.values()] == [1, 1]
    again = arrive()
    assert {bucket: versions(parts, bucket, key) for bucket in parts.destinations} == there
    for record in (first, again):
        assert [[result["versionId"]] for result in record["copyResults"]] == list(there.values())
    assert parts.attempts(again["executionId"], "copyObject") == 0
    # What has changed goes on.
    parts.upload(made_from, b"changed")
    arrive()
    assert [parts.get(bucket, key) for bucket in parts.destinations] == [b"changed"] * 2
