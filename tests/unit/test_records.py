"""Tracking records as they are read: whole, written halfway, of an older program, or from the index."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer

from components import outputs
from filecopy.stack.records import CopyResult, Part, TrackingRecord, list_records, read_record, read_record_and_arrivals
from filecopy.stack.stack import Stack

from .executions import AWS_RECORD
from .scripted_aws import ScriptedClients

OUTPUTS = {outputs.DYNAMODB_TABLE_NAME: "FileCopyTracking", outputs.SOURCE_BUCKET: "global-builds"}
KEY = {"fileKey": "k.zip", "sourceBucket": "global-builds"}


def serialized(item: dict[str, Any]) -> dict[str, Any]:
    return {name: TypeSerializer().serialize(value) for name, value in item.items()}


def test_a_whole_record() -> None:
    """Each attribute under a name of its own, and the item as it is for scripts."""
    clients = ScriptedClients(GetItem={"Item": serialized(AWS_RECORD)})
    record = read_record(Stack(OUTPUTS, clients), "releases/build-124.zip")
    assert record
    [asked] = clients.of("GetItem")
    assert asked["Key"] == {"fileKey": {"S": "releases/build-124.zip"}, "sourceBucket": {"S": "global-builds"}}
    assert (record.status, record.size, record.version_id) == (
        "PARTIAL_FAILURE",
        4000283,
        "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY",
    )
    assert record.started == datetime(2026, 3, 14, 9, 26, 53, 589000, tzinfo=UTC)
    assert (record.copied, record.failed) == (
        ("acme-region-a-builds", "acme-region-b-builds"),
        ("partner-builds", "acme-gone-builds"),
    )
    assert (record.copied_count, record.total_count, record.is_over, record.has_counts) == (2, 4, True, True)
    assert record.took == pytest.approx(13.575)
    assert record.results["acme-region-b-builds"].version_id == "Vb7tK9"
    assert record.results["acme-gone-builds"].error == "S3.NoSuchBucketException"
    assert record.arrivals["acme-region-a-builds"].is_verified
    assert record.is_of(AWS_RECORD["executionId"])
    assert record.item == AWS_RECORD


def arrived(bucket: str, execution: str = "execution-2", version: str | None = None) -> dict[str, Any]:
    """The item of a copy that arrived in ``bucket``."""
    item = {
        "fileKey": "k.zip",
        "sourceBucket": f"global-builds#{bucket}",
        "destinationBucket": bucket,
        "executionId": execution,
        "verified": True,
    }
    return {**item, "versionId": version} if version else item


def record_with(*arrivals: dict[str, Any], **members: Any) -> TrackingRecord:
    """The record of execution-2, which copied to "a" and keeps the copy of an earlier one in "b"."""
    sent = [{"destinationBucket": bucket, "success": True, "versionId": f"{bucket}-2"} for bucket in "ab"]
    item = {**KEY, "executionId": "execution-2", "status": "COMPLETED", "copyResults": sent, **members}
    clients = ScriptedClients(Query={"Items": [serialized(one) for one in (item, *arrivals)]})
    record = read_record_and_arrivals(Stack(OUTPUTS, clients), "k.zip")
    [asked] = clients.of("Query")
    assert (asked["ConsistentRead"], asked["ExpressionAttributeValues"][":record"]) == (True, {"S": "global-builds"})
    assert record
    return record


@pytest.mark.parametrize(
    ("arrivals", "members", "shown"),
    [
        ([arrived("a", version="a-2"), arrived("b", "execution-1", "b-2")], {}, ["a", "b"]),
        # An earlier copy, and one that somebody else made.
        ([arrived("a", version="a-1"), arrived("b", "execution-1", "b-1")], {}, []),
        # Without a version, the execution decides.
        ([arrived("a"), arrived("b", "execution-1")], {}, ["a"]),
        # Before its results are written, and above 400 destinations.
        ([arrived("a", version="a-2"), arrived("b", "execution-1", "b-2")], {"copyResults": []}, ["a"]),
        # A record that an older program wrote has arrivals of its own.
        ([], {"arrivals": {"a": {"verified": True}}}, ["a"]),
        ([arrived("b", version="b-2")], {"arrivals": {"a": {"verified": True}}}, ["a", "b"]),
    ],
)
def test_arrivals_are_those_of_the_copies_in_the_record(
    arrivals: list[dict[str, Any]], members: dict[str, Any], shown: list[str]
) -> None:
    """An arrival outlives its execution: it is shown as long as the record is about that very copy."""
    record = record_with(*arrivals, **members)
    assert sorted(record.arrivals) == shown
    assert all(arrival.is_verified for arrival in record.arrivals.values())
    assert all(item.keys().isdisjoint(KEY) for item in record.item["arrivals"].values())


def test_arrivals_without_a_record_are_none() -> None:
    """A record may have been deleted by hand. What is beside it, is about nothing then."""
    clients = ScriptedClients(Query={"Items": [serialized(arrived("a"))]})
    assert read_record_and_arrivals(Stack(OUTPUTS, clients), "k.zip") is None
    clients = ScriptedClients(Query={"Items": []})
    assert read_record_and_arrivals(Stack(OUTPUTS, clients), "k.zip") is None


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"leaseOwner": "execution", "leaseExpiresAt": Decimal(5)},
        {"status": "IN_PROGRESS", "startTime": "2026-01-31T08:00:00.000Z", "sourceVersionId": None, "problem": None},
        {"status": "FAILED", "copyResults": None, "arrivals": None, "uploads": None, "destinationBuckets": None},
        {"status": "FAILED", "startTime": "yesterday", "completedAt": 5, "sourceSize": "large"},
        {"status": "COMPLETED", "copyResults": [{"destinationBucket": "a"}], "arrivals": {"a": {}}},
        {"status": "IN_PROGRESS", "uploads": {"a": {"uploadId": "u"}}},
    ],
)
def test_a_record_with_something_missing(item: dict[str, Any]) -> None:
    """A record that is written halfway, or of an older program, is read: what is missing is None or empty."""
    record = TrackingRecord.of({**KEY, **item})
    assert (record.key, record.source_bucket) == ("k.zip", "global-builds")
    assert (record.execution_arn, record.version_id, record.size, record.completed, record.took) == (None,) * 5
    assert (record.results, record.copied, record.failed, record.destinations) == ({}, (), (), ())
    assert record.is_over == (item.get("status") not in (None, "IN_PROGRESS"))
    assert not record.has_counts


def test_an_upload_without_its_size() -> None:
    """Nothing is divided by zero."""
    assert Part(0, 0).percent == 0
    assert Part(999, 1000).percent == 99


def test_results_of_an_older_program() -> None:
    """A result without a check is a result."""
    record = TrackingRecord.of({**KEY, "copyResults": [{"destinationBucket": "a", "success": True, "etag": "e"}]})
    assert record.results == {"a": CopyResult("a", is_copied=True, etag="e")}


def test_no_record() -> None:
    """There is none, and that is not an error here."""
    assert read_record(Stack(OUTPUTS, ScriptedClients()), "k.zip") is None


def test_a_list_is_the_latest_first() -> None:
    """Records of all statuses, merged by their start."""
    times = iter(["2026-01-31T08:00:00.000Z", "2026-01-31T10:00:00.000Z"])

    class Clients(ScriptedClients):
        def _answer(self, model: Any, **more: Any) -> Any:
            item = serialized({**KEY, "status": "FAILED", "startTime": next(times), "totalBuckets": 2})
            self._answers["Query"] = {"Items": [item]}
            return super()._answer(model, **more)

    clients = Clients()
    records = list(list_records(Stack(OUTPUTS, clients), statuses=["COMPLETED", "FAILED"], since="2026-01-31T00:00Z"))
    assert [record.started and record.started.hour for record in records] == [10, 8]
    assert records[0].total_count == 2
    assert [asked["ExpressionAttributeValues"] for asked in clients.of("Query")] == [
        {":status": {"S": status}, ":since": {"S": "2026-01-31T00:00Z"}} for status in ("COMPLETED", "FAILED")
    ]
