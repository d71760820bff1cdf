"""What a backfill takes for missing, stale or up to date, and that it holds no more of long listings than of short."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from components import outputs
from filecopy.backfill import backfill
from filecopy.backfill.backfill import Backfill, Difference, Listed, Outcome, Pace, Result, Row
from filecopy.errors import StackError
from filecopy.stack.stack import Target

from .mocks import REGION, arn
from .scripted_aws import ScriptedClients

EARLIER, LATER = datetime(2026, 1, 31, 8, tzinfo=UTC), datetime(2026, 1, 31, 9, tzinfo=UTC)
KEYS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), unique=True)


def listed(key: str = "k", size: int = 1, etag: str = "e", modified: datetime = EARLIER) -> Listed:
    return Listed(key, size, etag, modified)


@given(source=KEYS, one=KEYS, two=KEYS)
def test_rows_are_what_looking_each_key_up_would_give(source: list[str], one: list[str], two: list[str]) -> None:
    """Of listings in S3's order, that of UTF-8, each key of the source is found once, with the copies it has."""
    source, one, two = (sorted(keys, key=str.encode) for keys in (source, one, two))
    copies = {
        name: backfill.in_order(name, [listed(key) for key in keys]) for name, keys in (("one", one), ("two", two))
    }
    rows = list(backfill.merge(backfill.in_order("source", [listed(key) for key in source]), copies))
    assert [row.key for row in rows] == source
    for row in rows:
        assert row.copies == {
            name: listed(row.key) if row.key in keys else None for name, keys in (("one", one), ("two", two))
        }


def test_a_destination_is_not_read_beyond_what_the_source_has() -> None:
    """A destination with more than the source, such as one that is shared, is not listed to its end."""

    def endless() -> Iterator[Listed]:
        for number in range(1000):
            assert number < 4, "read on for nothing"
            yield listed(f"{number}")

    assert [row.copies["d"] is not None for row in backfill.merge([listed("0"), listed("2")], {"d": endless()})] == [
        True,
        True,
    ]


def test_a_listing_in_another_order_is_refused() -> None:
    """Of a bucket that lists in another order, copies that are there would be taken for missing."""
    with pytest.raises(StackError, match="odd lists 'a' after 'b', so it cannot be compared"):
        list(backfill.in_order("odd", [listed("b"), listed("a")]))


@pytest.mark.parametrize(
    ("copy", "found"),
    [
        (None, Difference.MISSING),
        (listed(size=2), Difference.SIZE),
        (listed(modified=LATER), None),
        (listed(etag="other"), Difference.UNDECIDED),
    ],
)
def test_size_and_etag_settle_most(copy: Listed | None, found: Difference | None) -> None:
    """Equal ETags are equal bytes, whenever they came; different ones say nothing yet."""
    assert backfill.difference(listed(), copy) is found


def record(source: str = "e", made: str | None = None, arrived: str | None = None, **more: Any) -> dict[str, Any]:
    results = [{"destinationBucket": "other", "etag": "copy"}, {"destinationBucket": "d", "success": False}]
    if made:
        results[1] = {"destinationBucket": "d", "success": True, "etag": made}
    arrivals = {"d": {"verified": True, "etag": arrived}} if arrived else {}
    return {"sourceETag": source, "sourceSize": Decimal(1), "copyResults": results, "arrivals": arrivals, **more}


@pytest.mark.parametrize(
    ("known", "copy", "found"),
    [
        # Younger than the source and as large, or older.
        (None, listed(etag="copy", modified=LATER), None),
        (None, listed(etag="copy"), None),
        (None, listed(etag="copy", modified=datetime(2026, 1, 31, 7, tzinfo=UTC)), Difference.AGE),
        # The workflow's own copy of this very source, by whichever of the two told of it, or what took its place.
        (record(made="copy"), listed(etag="copy"), None),
        (record(arrived="copy"), listed(etag="copy"), None),
        (record(made="copy"), listed(etag="somebody's", modified=LATER), Difference.RECORD),
        # Of another source, or nothing said of this destination, or from before there was an ETag in it: the times.
        (record(source="older", made="copy"), listed(etag="copy", modified=datetime(2026, 1, 1, tzinfo=UTC)), "age"),
        (record(source="older", made="copy"), listed(etag="somebody's", modified=LATER), None),
        (record(), listed(etag="copy", modified=LATER), None),
        ({"leaseOwner": "execution"}, listed(etag="copy", modified=LATER), None),
    ],
)
def test_record_and_then_the_times_settle_the_rest(
    known: dict[str, Any] | None, copy: Listed, found: Difference | None
) -> None:
    """Nothing is copied again that the workflow is known to have copied, and what is older than the source is."""
    assert backfill.by_record_or_age(known, listed(), "d", copy) == found


def test_prefixes_that_exclude_each_other_are_told() -> None:
    """The narrower of the two is listed; where no key can have both, that is said instead of 'nothing to do'."""
    assert backfill.narrowed("", "") == ""
    assert backfill.narrowed("releases/1", "releases/") == "releases/1"
    assert backfill.narrowed("rel", "releases/") == "releases/"
    with pytest.raises(StackError, match="No key that begins with 'logs/' is distributed: the stack's keyPrefix is"):
        backfill.narrowed("logs/", "releases/")


def test_filter_is_that_of_uploads() -> None:
    """The notification to the queue of uploads has the filter; where there is none, that is said."""
    ours = {
        "QueueArn": arn("sqs", "uploads"),
        "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "a/"}, {"Name": "Suffix", "Value": ".zip"}]}},
    }
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/uploads"
    found = backfill.filter_of_uploads({"QueueConfigurations": [{"QueueArn": arn("sqs", "no")}, ours]}, "source", url)
    assert found == ("a/", ".zip")
    assert backfill.filter_of_uploads({"QueueConfigurations": [{"QueueArn": ours["QueueArn"]}]}, "s", url) == ("", "")
    with pytest.raises(StackError, match="source tells the queue uploads of no upload"):
        backfill.filter_of_uploads({}, "source", url)


@pytest.mark.parametrize(
    ("found", "busy"),
    [
        (None, False),
        ({"status": "COMPLETED"}, False),
        ({"status": "COMPLETED", "leaseExpiresAt": Decimal(0)}, False),
        ({"leaseExpiresAt": Decimal(1001)}, True),
        ({"status": "IN_PROGRESS", "leaseExpiresAt": Decimal(1001)}, True),
        # Of an execution that nobody heard of again.
        ({"status": "IN_PROGRESS", "leaseExpiresAt": Decimal(999)}, False),
    ],
)
def test_an_execution_is_at_work_as_long_as_it_holds_the_lease(found: dict[str, Any] | None, busy: bool) -> None:
    """What is being copied is left alone, and what a dead execution left in progress is not, for ever."""
    assert backfill.is_busy(found, 1000.0) is busy


def test_name_is_the_same_for_the_same_work_only() -> None:
    """Two runs give one execution for the same copies; after a change of source or copy, or a failure, another."""
    row = Row(listed("ä/b c.zip"), {"a": None, "b": listed(etag="old"), "c": listed()})
    name = backfill.execution_name("source", row, ["a", "b"], 1)
    assert name == backfill.execution_name("source", row, ["b", "a"], 1)
    assert name.startswith("b-c-zip-backfill-")
    others = [
        backfill.execution_name("source", Row(listed("ä/b c.zip", modified=LATER), row.copies), ["a", "b"], 1),
        backfill.execution_name("source", Row(row.source, {**row.copies, "b": listed(etag="new")}), ["a", "b"], 1),
        backfill.execution_name("source", row, ["a"], 1),
        backfill.execution_name("source", row, ["a", "b"], 2),
    ]
    assert len({name, *others}) == 5
    assert len(backfill.execution_name("source", Row(listed("k" * 1000), {}), [], 1)) == 80


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"successfulBuckets": ["a", "b"], "failedBuckets": ["c"]}, None),
        (
            {
                "successfulBuckets": ["a"],
                "copyResults": [{"destinationBucket": "b", "success": False, "error": "S3.X", "cause": "No."}],
            },
            "b: S3.X: No.",
        ),
        ({"successfulBuckets": ["a"]}, "b"),
        # Stopped: what was copied is what an earlier execution copied.
        ({"successfulBuckets": ["a", "b"], "problem": "ABORTED"}, "ABORTED"),
    ],
)
def test_failure_is_of_what_was_needed(found: dict[str, Any], why: str | None) -> None:
    """A destination that failed before and is not this run's does not make it fail, nor is an old success taken for
    this one."""
    assert backfill.failure(found, ["a", "b"]) == why


def test_pace_is_kept_and_ends_when_it_is_over() -> None:
    """Turns come evenly, however many wait, and whoever waits when it is over is let go at once."""
    over = threading.Event()
    pace = Pace(50)
    started = time.monotonic()
    assert all(pace.wait(over) for _ in range(6))
    assert time.monotonic() - started >= 5 / 50
    slow = Pace(0.001)
    assert slow.wait(over)
    over.set()
    assert not slow.wait(over)


class _Listings:
    """S3 with ``count`` objects in each bucket, of which the copies are up to date; made as they are asked for."""

    def __init__(self, count: int) -> None:
        self._count = count

    def get_bucket_notification_configuration(self, **_: Any) -> dict[str, Any]:
        date = {"HTTPHeaders": {"date": "Sat, 31 Jan 2026 08:00:00 GMT"}}
        return {"QueueConfigurations": [{"QueueArn": arn("sqs", "uploads")}], "ResponseMetadata": date}

    def get_paginator(self, _name: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        for start in range(0, self._count, 1000):
            numbers = range(start, min(start + 1000, self._count))
            yield {
                "Contents": [
                    {"Key": f"{number:09}", "Size": 1, "ETag": f'"{number}"', "LastModified": EARLIER}
                    for number in numbers
                ]
            }


def target(s3: Any, workflow: Any = None) -> Target:
    told = {
        outputs.SOURCE_BUCKET: "source",
        outputs.UPLOAD_QUEUE_URL: "https://example.com/uploads",
        outputs.STEP_FUNCTION_ARN: arn("states", "stateMachine:machine"),
    }

    class Clients:
        is_emulator = True

        def __call__(self, service: str) -> Any:
            return {"s3": s3, "stepfunctions": workflow}.get(service)

        def in_region(self, _region: str | None) -> Clients:
            return self

    return Target(told, Clients())  # type: ignore[arg-type]


def run(s3: Any) -> tuple[Backfill, list[Outcome]]:
    work = Backfill(target(s3), ["a", "b"], prefix="", rate=10, is_dry=False)
    told: list[Outcome] = []
    work.run(told.append)
    return work, told


def test_each_bucket_is_asked_in_its_own_region() -> None:
    """S3 answers for a bucket of another region with a redirect, at every page."""
    told = {
        outputs.SOURCE_BUCKET: "source",
        outputs.DESTINATION_REGIONS: {"near": REGION, "far": "eu-west-1"},
    }
    found = Backfill(Target(told, ScriptedClients()), ["near", "far"], prefix="", rate=10, is_dry=False)
    assert {bucket: client.meta.region_name for bucket, client in found._s3.items()} == {
        "source": REGION, "near": REGION, "far": "eu-west-1",
    }  # fmt: skip


@pytest.mark.slow
def test_memory_does_not_grow_with_the_objects() -> None:
    """Twenty times the objects take no more memory: a page of each bucket is all that is held."""
    peaks = []
    for count in (2_000, 40_000):
        tracemalloc.start()
        work, told = run(_Listings(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (work.results, told) == ({Result.UP_TO_DATE: count}, [])
    assert peaks[1] < peaks[0] * 1.2


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (
            403,
            "AccessDenied",
            "a does not let you look into it: that takes s3:ListBucket on arn:aws:s3:::a; where it is",
        ),
        (404, "NoSuchBucket", "There is no bucket a. Make it, or leave it out: --to"),
    ],
)
def test_a_bucket_that_cannot_be_listed_is_told(status: int, code: str, said: str) -> None:
    """The permission that is missing is named, or the bucket that is, and what to do about it."""

    class Refusing(_Listings):
        def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
            if arguments["Bucket"] == "a":
                answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
                raise ClientError(answer, "ListObjectsV2")
            return super().paginate(**arguments)

    with pytest.raises(StackError) as raised:
        run(Refusing(10))
    assert str(raised.value).startswith(said)


class _OneObject(_Listings):
    """An object in each bucket, of one size, with ETags that do not tell, and a checksum each where it has one."""

    def __init__(self, **checksums: str) -> None:
        super().__init__(1)
        self._checksums = checksums
        self.heads: list[str] = []

    def get_paginator(self, _name: str) -> Any:
        def paginate(Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803 - as boto3 has it
            item = {"Key": f"{Prefix}k", "Size": 1, "ETag": f'"{Bucket}-2"', "LastModified": EARLIER}
            return [{"Contents": [item]}]

        pages = SimpleNamespace()
        pages.paginate = paginate
        return pages

    def head_object(self, **asked: str) -> dict[str, Any]:
        bucket = asked["Bucket"]
        self.heads.append(bucket)
        if self._checksums.get(bucket) == "refused":
            answer: Any = {"Error": {"Code": "400"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(answer, "HeadObject")
        checksum = {"ChecksumCRC64NVME": self._checksums[bucket]} if bucket in self._checksums else {}
        return {"ContentLength": 1, "ETag": f'"{bucket}-2"', "LastModified": EARLIER, **checksum}


class _Workflow:
    """Step Functions, where executions of these names are there already, with a status each."""

    class exceptions:  # noqa: N801 - as boto3 has it
        class ExecutionAlreadyExists(Exception):  # noqa: N818
            pass

    def __init__(self, **existing: str) -> None:
        self.existing = existing
        self.jobs: dict[str, dict[str, Any]] = {}

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, str]:  # noqa: A002, N803
        if name in self.existing:
            raise self.exceptions.ExecutionAlreadyExists
        self.jobs[name] = json.loads(input)
        return {"executionArn": f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"}

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:  # noqa: N803
        return {"status": self.existing[executionArn.split(":")[-1]]}


def settle(s3: _OneObject, records: list[dict[str, Any] | None], workflow: Any, monkeypatch: Any) -> Outcome:
    """What becomes of the object, where the record is so at each look; the last for ever. With no execution that runs,
    it is that of the one that was started."""

    def read(*_: Any) -> dict[str, Any] | None:
        if len(records) > 1:
            return records.pop(0)
        started = [*workflow.jobs, *workflow.existing] if workflow else []
        told = f"{arn('states', 'execution:machine')}:{started[0]}" if started else None
        return records[0] and {**records[0], "executionId": told}

    monkeypatch.setattr(backfill, "read_record", read)
    work = Backfill(target(s3, workflow), ["a", "b"], prefix="", rate=10, is_dry=workflow is None)
    told: list[Outcome] = []
    work.run(told.append)
    assert work.results == {told[0].result: 1}
    return told[0]


@pytest.mark.parametrize(
    ("checksums", "result", "differences"),
    [
        ({"source": "x", "a": "x", "b": "x"}, Result.UP_TO_DATE, {}),
        ({"source": "x", "a": "x", "b": "y"}, Result.TO_BE_COPIED, {"b": Difference.CHECKSUM}),
        # Without checksums and a record, the times.
        ({}, Result.UP_TO_DATE, {}),
        # S3 does not say, which is one object's matter.
        ({"a": "refused"}, Result.FAILED, {"a": Difference.UNDECIDED, "b": Difference.UNDECIDED}),
    ],
)
def test_checksums_tell_where_etags_do_not(
    checksums: dict[str, str], result: Result, differences: dict[str, Difference], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal bytes are not copied again because their ETags differ, and different ones of one size are."""
    outcome = settle(_OneObject(**checksums), [None], None, monkeypatch)
    assert (outcome.result, outcome.differences) == (result, differences)


DONE = {"status": "COMPLETED", "successfulBuckets": ["a", "b"], "completedAt": "2026-01-31T07:00:00.000Z"}
DIFFERENT = {"source": "x", "a": "x", "b": "y"}


def test_what_the_record_has_as_failed_is_copied_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old failure that is mended since would make the execution fail, and tell people of it once more. Buckets that
    are no destinations stay out of it."""
    workflow = _Workflow()
    outcome = settle(_OneObject(**DIFFERENT), [{**DONE, "failedBuckets": ["a", "no"]}, DONE], workflow, monkeypatch)
    assert (outcome.result, outcome.differences) == (Result.COPIED, {"b": Difference.CHECKSUM})
    [job] = workflow.jobs.values()
    assert job == {"sourceBucket": "source", "sourceKey": "k", "destinationBuckets": ["a", "b"], "retry": True}


def test_what_was_copied_since_the_listing_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that came through while the buckets were listed is not copied a second time."""
    s3 = _OneObject(**DIFFERENT)
    workflow = _Workflow()

    def head_object(**asked: str) -> dict[str, Any]:
        # The copy is there by the second look.
        if asked["Bucket"] == "b" and "b" in s3.heads:
            s3._checksums["b"] = "x"
        return _OneObject.head_object(s3, **asked)

    monkeypatch.setattr(s3, "head_object", head_object, raising=False)
    outcome = settle(s3, [{**DONE, "completedAt": "2026-01-31T08:00:01.000Z"}], workflow, monkeypatch)
    assert (outcome.result, workflow.jobs) == (Result.UP_TO_DATE, {})


@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_another_run_of_the_same_is_followed_and_not_repeated(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The execution that a run before this one started, and that has not begun yet, is waited for; after one that has
    ended in vain there is another."""
    row = Row(Listed("k", 1, "source-2", EARLIER), {"b": Listed("k", 1, "b-2", EARLIER)})
    first, second = (backfill.execution_name("source", row, ["b"], attempt) for attempt in (1, 2))
    workflow = _Workflow(**{first: status})
    outcome = settle(_OneObject(**DIFFERENT), [None, DONE], workflow, monkeypatch)
    assert outcome.result is Result.COPIED
    assert list(workflow.jobs) == ([] if status == "RUNNING" else [second])
    assert str(outcome.execution_arn).endswith(first if status == "RUNNING" else second)
