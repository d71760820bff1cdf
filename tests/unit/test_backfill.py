"""filecopy/backfill: the objects that are copied, those that are skipped, and when a run ends."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from components import outputs
from filecopy import polling
from filecopy.backfill import comparison, executions, listing
from filecopy.backfill import run as running
from filecopy.backfill.comparison import Difference
from filecopy.backfill.executions import MAX_FAILURES, MAX_FAILURES_IN_A_ROW, RateLimit
from filecopy.backfill.listing import Listed, Row
from filecopy.backfill.outcome import Outcome, Result, judge
from filecopy.backfill.run import AT_ONCE, Backfill
from filecopy.errors import StackError
from filecopy.stack.key_filter import KeyFilter
from filecopy.stack.records import TrackingRecord
from filecopy.stack.stack import Stack

from .executions import record_of
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
        name: listing.in_order(name, [listed(key) for key in keys]) for name, keys in (("one", one), ("two", two))
    }
    rows = list(listing.merge(listing.in_order("source", [listed(key) for key in source]), copies))
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

    assert [row.copies["d"] is not None for row in listing.merge([listed("0"), listed("2")], {"d": endless()})] == [
        True,
        True,
    ]


def test_a_listing_in_another_order_is_refused() -> None:
    """Of a bucket that lists in another order, copies that are there would be taken for missing."""
    with pytest.raises(StackError, match="odd lists a after b, so it cannot be compared"):
        list(listing.in_order("odd", [listed("b"), listed("a")]))


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
    assert comparison.difference(listed(), copy) is found


def record(source: str = "e", made: str | None = None, **more: Any) -> dict[str, Any]:
    results = [{"destinationBucket": "other", "etag": "copy"}, {"destinationBucket": "d", "success": False}]
    if made:
        results[1] = {"destinationBucket": "d", "success": True, "etag": made}
    return {"sourceETag": source, "sourceSize": Decimal(1), "copyResults": results, **more}


@pytest.mark.parametrize(
    ("known", "copy", "found"),
    [
        # Younger than the source and as large, or older.
        (None, listed(etag="copy", modified=LATER), None),
        (None, listed(etag="copy"), None),
        (None, listed(etag="copy", modified=datetime(2026, 1, 31, 7, tzinfo=UTC)), Difference.AGE),
        # The workflow's own copy of this very source, or what took its place.
        (record(made="copy"), listed(etag="copy"), None),
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
    assert comparison.by_record_or_age(record_of(known), listed(), "d", copy) == found


def test_prefixes_that_exclude_each_other_are_told() -> None:
    """The narrower of the two is listed; if no key can have both, that is said instead of 'nothing to do'."""
    assert KeyFilter().narrow("") == ""
    assert KeyFilter("releases/").narrow("releases/1") == "releases/1"
    assert KeyFilter("releases/").narrow("rel") == "releases/"
    with pytest.raises(StackError, match="The stack copies no key that begins with logs/: its keyPrefix is"):
        KeyFilter("releases/").narrow("logs/")


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
    assert executions.has_lease(record_of(found), 1000.0) is busy


def test_name_is_the_same_for_the_same_work_only() -> None:
    """Two runs give one execution for the same copies; after a change of source or copy, or a failure, another."""
    row = Row(listed("ä/b c.zip"), {"a": None, "b": listed(etag="old"), "c": listed()})
    name = executions.execution_name("source", row, ["a", "b"], 1)
    assert name == executions.execution_name("source", row, ["b", "a"], 1)
    assert name.startswith("b-c-zip-backfill-")
    others = [
        executions.execution_name("source", Row(listed("ä/b c.zip", modified=LATER), row.copies), ["a", "b"], 1),
        executions.execution_name("source", Row(row.source, {**row.copies, "b": listed(etag="new")}), ["a", "b"], 1),
        executions.execution_name("source", row, ["a"], 1),
        executions.execution_name("source", row, ["a", "b"], 2),
    ]
    assert len({name, *others}) == 5
    assert len(executions.execution_name("source", Row(listed("k" * 1000), {}), [], 1)) == 80


@pytest.mark.parametrize(
    ("found", "result", "why", "failed"),
    [
        ({"successfulBuckets": ["a", "b"]}, Result.COPIED, None, set()),
        (
            {
                "successfulBuckets": ["a"],
                "failedBuckets": ["b"],
                "copyResults": [{"destinationBucket": "b", "success": False, "error": "S3.X", "cause": "No."}],
            },
            Result.FAILED,
            "b: S3.X: No.",
            {"b"},
        ),
        ({"successfulBuckets": ["a"]}, Result.FAILED, "b", {"b"}),
        # Stopped: what was copied is what an earlier execution copied.
        ({"successfulBuckets": ["a", "b"], "problem": "ABORTED"}, Result.FAILED, "ABORTED", {"a", "b"}),
        # The record keeps the failed copies of others, which say nothing of this execution.
        ({"successfulBuckets": ["a", "b"], "failedBuckets": ["other"]}, Result.COPIED, None, set()),
    ],
)
def test_an_object_is_copied_if_its_execution_succeeded(
    found: dict[str, Any], result: Result, why: str | None, failed: set[str]
) -> None:
    """With copies in all destinations that needed one. An execution that failed is not a success, whoever made it
    fail, and an old success is not this one's."""
    needed = {"a": Difference.MISSING, "b": Difference.MISSING}
    outcome = judge("k", needed, TrackingRecord.of(found))
    assert (outcome.result, outcome.error, set(outcome.failed)) == (result, why, failed)


def test_a_rate_limit_is_kept_and_ends_when_it_is_over() -> None:
    """Turns come evenly, however many wait, and whoever waits when it is over is let go at once."""
    over = threading.Event()
    limit = RateLimit(50)
    started = time.monotonic()
    assert all(limit.wait(over) for _ in range(6))
    assert time.monotonic() - started >= 5 / 50
    slow = RateLimit(0.001)
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


def target(s3: Any, workflow: Any = None) -> Stack:
    told = {
        outputs.SOURCE_BUCKET: "source",
        outputs.DESTINATION_BUCKETS: ["a", "b"],
        outputs.UPLOAD_QUEUE_URL: "https://example.com/uploads",
        outputs.STEP_FUNCTION_ARN: arn("states", "stateMachine:machine"),
    }

    class Clients:
        is_emulator = True

        def __call__(self, service: str) -> Any:
            return {"s3": s3, "stepfunctions": workflow}.get(service)

        def in_region(self, _region: str | None) -> Clients:
            return self

    return Stack(told, Clients())  # type: ignore[arg-type]


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
    found = Backfill(Stack(told, ScriptedClients()), ["near", "far"], prefix="", rate=10, is_dry=False)
    assert {bucket: client.meta.region_name for bucket, client in found._objects.clients.items()} == {
        "source": REGION, "near": REGION, "far": "eu-west-1",
    }  # fmt: skip


@pytest.mark.slow
def test_memory_does_not_grow_with_the_objects() -> None:
    """Ten times the objects take no more memory: a page of each bucket is all that is held."""
    peaks = []
    for count in (2_000, 20_000):
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
            "Access to a denied: you need s3:ListBucket on arn:aws:s3:::a. If the bucket belongs to another account,",
        ),
        (404, "NoSuchBucket", "The bucket a does not exist. Create it. Or name the other destinations with --to."),
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


# --- Runs -------------------------------------------------------------------------------------------------------

DATE = "Sat, 31 Jan 2026 08:00:00 GMT"
BEGAN = "2026-01-31T08:00:00.000Z"
MACHINE = arn("states", "stateMachine:machine")


class World(ScriptedClients):
    """The buckets, the records and the executions of a stack. Each execution ends when it is looked at."""

    def __init__(self, *keys: str, destinations: tuple[str, ...] = ("a", "b")) -> None:
        super().__init__()
        self.destinations = destinations
        self.objects: dict[str, dict[str, dict[str, Any]]] = {bucket: {} for bucket in ("source", *destinations)}
        for key in keys:
            self.put("source", key)
        self.records: dict[str, dict[str, Any]] = {}
        self.customers: set[str] = set()
        """The keys that are encrypted with a customer's key."""
        self.denied: set[str] = set()
        """The keys that this user may not read."""
        self.error_of: Callable[[str, str], str | None] = lambda _key, _bucket: None
        """The error of a copy, by key and destination."""
        self.jobs: dict[str, dict[str, Any]] = {}
        """The executions that were started here, by name."""
        self.existing: dict[str, dict[str, Any]] = {}
        """Others, by name: what DescribeExecution answers."""
        self.writes_records = True
        self._current = threading.local()
        self._writing = threading.Lock()

    def put(self, bucket: str, key: str, etag: str = "e", **more: Any) -> None:
        self.objects[bucket][key] = {"ContentLength": 1, "ETag": f'"{etag}"', "LastModified": EARLIER, **more}

    @property
    def stack(self) -> Stack:
        told = {
            outputs.SOURCE_BUCKET: "source",
            outputs.DESTINATION_BUCKETS: list(self.destinations),
            outputs.UPLOAD_QUEUE_URL: "https://example.com/uploads",
            outputs.DYNAMODB_TABLE_NAME: "table",
            outputs.STEP_FUNCTION_ARN: MACHINE,
        }
        return Stack(told, self)

    def backfill(self, *to: str, **more: Any) -> tuple[Backfill, dict[str, Outcome]]:
        work = Backfill(self.stack, to or self.destinations, prefix="", **{"rate": 1000, "is_dry": False, **more})
        told: list[Outcome] = []
        work.run(told.append)
        assert len({outcome.key for outcome in told}) == len(told)
        return work, {outcome.key: outcome for outcome in told}

    def started(self) -> list[str]:
        return [job["sourceKey"] for job in self.jobs.values()]

    def _record(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        self._current.params = params
        super()._record(params, model, context)

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        with self._writing:
            answer = getattr(self, f"_{model.name}")(self._current.params)
        status = 200
        if "Error" in answer:
            status = answer.setdefault("ResponseMetadata", {}).setdefault("HTTPStatusCode", 400)
        return SimpleNamespace(status_code=status), answer

    # The names of the operations.
    # ruff: noqa: N802
    def _GetBucketNotificationConfiguration(self, _: Any) -> dict[str, Any]:
        date = {"HTTPHeaders": {"date": DATE}}
        return {"QueueConfigurations": [{"QueueArn": arn("sqs", "uploads")}], "ResponseMetadata": date}

    def _ListObjectsV2(self, given: dict[str, Any]) -> dict[str, Any]:
        found = self.objects[given["Bucket"]]
        return {
            "Contents": [
                {
                    "Key": key,
                    "Size": found[key]["ContentLength"],
                    "ETag": found[key]["ETag"],
                    "LastModified": found[key]["LastModified"],
                    "StorageClass": found[key].get("StorageClass", "STANDARD"),
                }
                for key in sorted(found)
            ]
        }

    def _HeadObject(self, given: dict[str, Any]) -> dict[str, Any]:
        key = given["Key"]
        if key not in self.objects[given["Bucket"]]:
            return {"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
        if key in self.customers:
            return {"Error": {"Code": "400"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        if key in self.denied:
            return {"Error": {"Code": "403"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        return dict(self.objects[given["Bucket"]][key])

    def _GetObject(self, given: dict[str, Any]) -> dict[str, Any]:
        code = "InvalidRequest" if given["Key"] in self.customers else "ExpiredToken"
        return {"Error": {"Code": code, "Message": code}}

    def _StartExecution(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given["name"]
        if name in self.existing or name in self.jobs:
            return {"Error": {"Code": "ExecutionAlreadyExists", "Message": "It is there."}}
        self.jobs[name] = job = json.loads(given["input"])
        execution = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"
        if self.writes_records:
            self.records[job["sourceKey"]] = self._record_after(job, execution)
        return {"executionArn": execution}

    def _record_after(self, job: dict[str, Any], execution: str) -> dict[str, Any]:
        """The record after an execution, which keeps the results of other destinations."""
        key, mine = job["sourceKey"], job["destinationBuckets"]
        errors = {bucket: self.error_of(key, bucket) for bucket in mine}
        before = self.records.get(key, {}) if job["retry"] else {}
        kept_failed = [bucket for bucket in before.get("failedBuckets", []) if bucket not in mine]
        kept_copied = [bucket for bucket in before.get("successfulBuckets", []) if bucket not in mine]
        failed = kept_failed + [bucket for bucket in mine if errors[bucket]]
        for bucket in mine:
            if not errors[bucket]:
                self.objects.get(bucket, {})[key] = dict(self.objects["source"][key])
        source = self.objects["source"][key]
        return {
            "executionId": execution,
            "status": "FAILED" if failed else "COMPLETED",
            "startTime": BEGAN,
            "completedAt": BEGAN,
            "sourceETag": source["ETag"].strip('"'),
            "sourceSize": source["ContentLength"],
            "failedBuckets": failed,
            "successfulBuckets": kept_copied + [bucket for bucket in mine if not errors[bucket]],
            "copyResults": [
                {"destinationBucket": bucket, "success": False, "error": error, "cause": "No."}
                for bucket, error in errors.items()
                if error
            ],
        }

    def _item(self, key: str) -> dict[str, Any]:
        found = self.records[key]
        return {name: TypeSerializer().serialize(value) for name, value in {"fileKey": key, **found}.items()}

    def _GetItem(self, given: dict[str, Any]) -> dict[str, Any]:
        key = given["Key"]["fileKey"]["S"]
        return {"Item": self._item(key)} if key in self.records else {}

    def _BatchGetItem(self, given: dict[str, Any]) -> dict[str, Any]:
        [(table, asked)] = given["RequestItems"].items()
        keys = [key["fileKey"]["S"] for key in asked["Keys"]]
        return {"Responses": {table: [self._item(key) for key in keys if key in self.records]}}

    def _DescribeExecution(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given["executionArn"].rpartition(":")[2]
        return self.existing.get(name, {"status": "FAILED" if self.writes_records else "RUNNING"})


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "INTERVAL_ON_EMULATOR", 0.001)


def names(count: int, prefix: str = "") -> list[str]:
    return [f"{prefix}{number:03}.zip" for number in range(count)]


ARCHIVED = [
    {"StorageClass": "GLACIER"},
    {"StorageClass": "DEEP_ARCHIVE"},
    {"StorageClass": "GLACIER", "Restore": 'ongoing-request="true"'},
    {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"},
]
READABLE = [
    {"StorageClass": "GLACIER_IR"},
    {"StorageClass": "GLACIER", "Restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"'},
    {"StorageClass": "INTELLIGENT_TIERING"},
]


@pytest.mark.parametrize("is_dry", [False, True])
def test_archived_objects_are_skipped_and_do_not_hide_the_others(is_dry: bool) -> None:
    """However many there are. Objects that were restored, or that S3 reads at once, are copied."""
    world = World(*names(120), "y.zip", "z.zip")
    for number, key in enumerate(names(120)):
        world.put("source", key, **ARCHIVED[number % len(ARCHIVED)])
    for number, more in enumerate(READABLE):
        world.put("source", f"x{number}.zip", **more)
    for bucket in world.destinations:
        # It was copied before it was archived.
        world.put(bucket, "000.zip", **ARCHIVED[0])
    work, told = world.backfill(is_dry=is_dry)
    done = Result.TO_BE_COPIED if is_dry else Result.COPIED
    assert work.results == {Result.ARCHIVED: 119, done: 5, Result.UP_TO_DATE: 1}
    assert told["001.zip"].error == "restore it first, it is in DEEP_ARCHIVE"
    assert told["002.zip"].error == "its restore from GLACIER has not finished"
    assert told["003.zip"].error == "restore it first, it is in ARCHIVE_ACCESS"
    assert sorted(world.started()) == ([] if is_dry else ["x0.zip", "x1.zip", "x2.zip", "y.zip", "z.zip"])


def test_objects_with_a_customers_key_are_skipped_and_do_not_hide_the_others() -> None:
    """Only GetObject says why HeadObject was a bad request. Another reason is not taken for a customer's key."""
    world = World(*names(120), "z.zip")
    world.customers = set(names(120))
    work, told = world.backfill()
    assert work.results == {Result.CUSTOMER_KEY: 120, Result.COPIED: 1}
    assert told["000.zip"].error == "S3 refuses to copy it without that key"
    assert world.started() == ["z.zip"]


def test_objects_that_cannot_be_compared_do_not_hide_the_others() -> None:
    """This user may not read them, which notifies nobody, so there is no limit."""
    world = World(*names(120), "z.zip")
    world.denied = set(names(120))
    work, told = world.backfill()
    assert work.results == {Result.NOT_COMPARED: 120, Result.COPIED: 1}
    assert str(told["000.zip"].error).startswith(
        "Access to source denied: you need s3:GetObject on arn:aws:s3:::source"
    )


def test_copies_that_always_fail_do_not_hide_the_others_in_this_run_or_the_next() -> None:
    """A destination that fails again and again gets no more copies, and the other destination gets all of them. The
    next run skips the copies that failed before, and so finds what is behind them."""
    world = World(*names(120), "z.zip")
    world.error_of = lambda key, bucket: "S3.AccessDenied" if bucket == "b" and key != "z.zip" else None
    work, told = world.backfill()
    assert work.failures.stopped == {"b"}
    assert not work.is_cut_short
    assert set(world.objects["a"]) == set(world.objects["source"])
    failed = {key for key, outcome in told.items() if outcome.result is Result.FAILED}
    assert MAX_FAILURES_IN_A_ROW <= len(failed) < MAX_FAILURES_IN_A_ROW + AT_ONCE
    assert told[min(failed)].error == "b: S3.AccessDenied: No."
    # Each run comes further.
    for _ in range(10):
        if "z.zip" in world.objects["b"]:
            break
        world.jobs.clear()
        before = {key for key, record in world.records.items() if "b" in record["failedBuckets"]}
        work, told = world.backfill()
        assert {key for key, one in told.items() if one.result is Result.FAILED_BEFORE} == before
        assert not before & set(world.started())
    assert "z.zip" in world.objects["b"]
    assert told[min(failed)].error == "b: S3.AccessDenied: No."


def test_objects_that_nobody_can_copy_do_not_stop_the_destinations() -> None:
    """An object that fails everywhere, such as one with a KMS key that the workflow may not use, says nothing about a
    destination. So what is behind such objects is copied in the same run."""
    world = World(*names(MAX_FAILURES - 1), "z.zip")
    world.error_of = lambda key, _bucket: "S3.AccessDenied" if key != "z.zip" else None
    work, _ = world.backfill()
    assert work.results == {Result.FAILED: MAX_FAILURES - 1, Result.COPIED: 1}
    assert work.failures.stopped == set()


def test_a_run_notifies_people_of_so_many_failures_and_no_more() -> None:
    """Failures here and there do not stop a destination, but each is a notification."""
    world = World(*names(400))
    world.error_of = lambda key, bucket: "S3.X" if int(key[:3]) % 2 and bucket == "b" else None
    work, _ = world.backfill()
    assert work.is_cut_short
    assert MAX_FAILURES <= work.results[Result.FAILED] < MAX_FAILURES + AT_ONCE
    assert work.failures.stopped == set()


def test_failed_copies_are_tried_again_when_that_is_asked_for() -> None:
    """And without asking when the object is another one, or when a destination was not tried."""
    world = World("k.zip")
    world.error_of = lambda _key, bucket: "S3.X" if bucket == "b" else None
    assert world.backfill()[0].results == {Result.FAILED: 1}
    assert world.backfill()[0].results == {Result.FAILED_BEFORE: 1}
    assert world.backfill(is_dry=True)[0].results == {Result.FAILED_BEFORE: 1}
    assert world.backfill(retries_failed=True)[0].results == {Result.FAILED: 1}
    world.error_of = lambda *_: None
    assert world.backfill(retries_failed=True)[0].results == {Result.COPIED: 1}
    world.error_of = lambda _key, bucket: "S3.X" if bucket == "b" else None
    world.put("source", "k.zip", etag="other")
    assert world.backfill()[0].results == {Result.FAILED: 1}
    world.objects["a"].clear()
    assert world.backfill()[0].results == {Result.FAILED: 1}


@pytest.mark.parametrize(
    ("record", "result"),
    [
        ({"problem": "It is gone.", "failedBuckets": ["a", "b"]}, Result.FAILED_BEFORE),
        # Before this version was there.
        ({"problem": "It is gone.", "failedBuckets": ["a", "b"], "startTime": "2026-01-31T07:00:00Z"}, Result.COPIED),
        # Stopped: nothing says that the copies fail.
        ({"problem": "ABORTED"}, Result.COPIED),
        ({"failedBuckets": ["a"], "sourceETag": "e", "sourceSize": 1}, Result.COPIED),
        ({"failedBuckets": ["a", "b"], "sourceETag": "older", "sourceSize": 1}, Result.COPIED),
        ({"failedBuckets": ["a", "b"], "sourceETag": "e", "sourceSize": 1}, Result.FAILED_BEFORE),
        ({"failedBuckets": ["a", "b"], "sourceETag": "e", "sourceSize": 1, "status": "IN_PROGRESS"}, Result.COPIED),
    ],
)
def test_copies_failed_before_if_the_record_says_so_of_this_version(record: dict[str, Any], result: Result) -> None:
    """Nothing is skipped that was not tried."""
    world = World("k.zip")
    world.records["k.zip"] = {"executionId": "earlier", "status": "FAILED", "startTime": BEGAN, **record}
    assert world.backfill()[0].results == {result: 1}


def test_failures_of_the_record_are_copied_again_too() -> None:
    """An old failure that is fixed by now would stay in the record. Buckets that are not destinations stay out."""
    world = World("k.zip")
    world.put("a", "k.zip")
    world.records["k.zip"] = {
        "status": "FAILED", "executionId": "earlier", "failedBuckets": ["a"], "startTime": BEGAN,
    }  # fmt: skip
    assert world.backfill()[1]["k.zip"].result is Result.COPIED
    [job] = world.jobs.values()
    assert job == {"sourceBucket": "source", "sourceKey": "k.zip", "destinationBuckets": ["a", "b"], "retry": True}
    world.records["k.zip"] |= {"failedBuckets": ["no-such"], "status": "FAILED"}
    world.objects["b"].clear()
    assert world.backfill()[1]["k.zip"].result is Result.COPIED
    assert list(world.jobs.values())[-1]["destinationBuckets"] == ["b"]


CHECKSUMS = {
    # Equal bytes are not copied again because their ETags differ, and different ones of one size are.
    "equal": ({"source": "x", "a": "x", "b": "x"}, Result.UP_TO_DATE, {}),
    "different": ({"source": "x", "a": "x", "b": "y"}, Result.TO_BE_COPIED, {"b": Difference.CHECKSUM}),
    # Without checksums and a record, the times.
    "unknown": ({}, Result.UP_TO_DATE, {}),
}


def with_checksums(checksums: dict[str, str]) -> World:
    world = World()
    for bucket in world.objects:
        more = {"ChecksumCRC64NVME": checksums[bucket]} if bucket in checksums else {}
        world.put(bucket, "k", f"{bucket}-2", **more)
    return world


@pytest.mark.parametrize(("checksums", "result", "differences"), CHECKSUMS.values(), ids=CHECKSUMS.keys())
def test_checksums_decide_where_etags_do_not(
    checksums: dict[str, str], result: Result, differences: dict[str, Difference]
) -> None:
    """ETags of equal bytes differ if one object was uploaded in parts."""
    outcome = with_checksums(checksums).backfill(is_dry=True)[1]["k"]
    assert (outcome.result, outcome.differences) == (result, differences)


DIFFERENT = {"source": "x", "a": "x", "b": "y"}
DONE = {"status": "COMPLETED", "successfulBuckets": ["a", "b"], "executionId": "earlier", "startTime": BEGAN}


def test_what_was_copied_since_the_listing_is_compared_again() -> None:
    """An upload that was copied while the buckets were listed is not copied a second time."""
    world = with_checksums(DIFFERENT)
    world.records["k"] = {**DONE, "completedAt": "2026-01-31T08:00:01.000Z"}
    get_item = world._GetItem

    def copied_meanwhile(given: dict[str, Any]) -> dict[str, Any]:
        world.put("b", "k", "b-2", ChecksumCRC64NVME="x")
        return get_item(given)

    world._GetItem = copied_meanwhile  # type: ignore[method-assign]
    assert world.backfill()[1]["k"].result is Result.UP_TO_DATE
    assert world.jobs == {}


@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_another_run_of_the_same_is_followed_and_not_repeated(status: str) -> None:
    """The execution that an earlier run started, and that has not begun yet, is waited for; after one that has failed
    there is another."""
    world = with_checksums(DIFFERENT)
    row = Row(Listed("k", 1, "source-2", EARLIER), {"b": Listed("k", 1, "b-2", EARLIER)})
    first, second = (executions.execution_name("source", row, ["b"], attempt) for attempt in (1, 2))
    world.existing = {first: {"status": status}}
    before = {**DONE, "completedAt": "2026-01-31T07:00:00.000Z"}
    world.records["k"] = before

    def batch(given: dict[str, Any]) -> dict[str, Any]:
        world.records["k"] = {**before, "executionId": f"{MACHINE.replace(':stateMachine:', ':execution:')}:{first}"}
        return World._GetItem(world, given)

    if status == "RUNNING":
        looks = iter(range(10))
        get_item = world._GetItem
        world._GetItem = lambda given: batch(given) if next(looks) > 2 else get_item(given)  # type: ignore[method-assign]
    outcome = world.backfill()[1]["k"]
    assert outcome.result is Result.COPIED
    assert list(world.jobs) == ([] if status == "RUNNING" else [second])
    assert str(outcome.execution_arn).endswith(first if status == "RUNNING" else second)


@pytest.mark.parametrize(
    ("described", "result", "error"),
    [
        ({"status": "SUCCEEDED", "output": '{"status": "COMPLETED"}'}, Result.COPIED, None),
        # The newer version is another execution's.
        ({"status": "SUCCEEDED", "output": '{"status": "SUPERSEDED"}'}, Result.BUSY, None),
        ({"status": "FAILED", "error": "TrackingFailed", "cause": "No."}, Result.FAILED, "TrackingFailed: No."),
        ({"status": "TIMED_OUT"}, Result.FAILED, "TIMED_OUT"),
    ],
)
def test_an_execution_without_a_record_is_described(
    described: dict[str, Any], result: Result, error: str | None
) -> None:
    """It could not write the record, or another execution has written it since."""
    world = World("k.zip")
    world.writes_records = False
    world.records["k.zip"] = DONE
    world._DescribeExecution = lambda given: described  # type: ignore[method-assign]  # noqa: ARG005
    outcome = world.backfill()[1]["k.zip"]
    assert (outcome.result, outcome.error) == (result, error)


def test_records_are_read_together() -> None:
    """However many copies are in progress, a look is one request for all records, and one for an execution."""
    world = World(*names(100))
    work, _ = world.backfill()
    assert work.results == {Result.COPIED: 100}
    counts = Counter(name for name, _ in world.calls)
    # Before each start its record is read, and its source.
    assert counts["HeadObject"] == counts["StartExecution"] == 100
    # A look at a single one needs no batch.
    assert counts["GetItem"] < 100 + 30
    assert max(len(given["RequestItems"]["table"]["Keys"]) for given in world.of("BatchGetItem")) <= AT_ONCE
    assert counts["DescribeExecution"] == 0
    assert running.LOOKS_PER_DESCRIPTION > 1


def test_an_interruption_counts_what_is_in_progress() -> None:
    """Nothing more is started, and the summary says what continues."""
    world = World(*names(100))
    world.writes_records = False
    work = Backfill(world.stack, ["a", "b"], prefix="", rate=1000, is_dry=False)
    look = work._look

    def interrupted() -> Iterator[Outcome]:
        if len(world.jobs) >= AT_ONCE:
            raise KeyboardInterrupt
        return look()

    work._look = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        work.run(lambda _: None)
    assert work.results == {Result.STILL_COPYING: len(world.jobs)}
    assert len(world.jobs) == AT_ONCE
