"""Confirming arrivals."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from handlers import clients
from handlers.regional_sync import handler

from . import account
from .conftest import (
    DESTINATIONS,
    SOURCE,
    Json,
    Notifications,
    before_call,
    client_error,
    create_table,
    example,
    fail_with,
    failed,
    log_lines,
    s3_event,
    s3_record,
    sqs_event,
)

TABLE = "FileCopyTracking"
KEY = "releases/build-123.zip"
DESTINATION = "region-a-builds"
REGION = "us-east-1"
"""The stack's own, which the topic's ARN tells."""
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:file-copy-workflow:1"
CONTENT = b"PK\x03\x04 a build"
OTHER = bytes(reversed(CONTENT))
ODD_KEY = "line\nbreak\r\x1b[2J 📦 é " + "k" * 980


@pytest.fixture(autouse=True)
def stack(notifications: Notifications, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets that keep versions, and the empty table."""
    monkeypatch.setenv("SOURCE_BUCKET", SOURCE)
    monkeypatch.setenv("TABLE_NAME", TABLE)
    monkeypatch.setenv("TOPIC_ARN", notifications.topic_arn)
    monkeypatch.setenv("RECORD_RETENTION_DAYS", "0")
    s3 = account.s3()
    for bucket in (SOURCE, *DESTINATIONS):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    create_table(TABLE)


def put(bucket: str, content: bytes = CONTENT, key: str = KEY, **options: Any) -> str:
    """Stores an object and returns its version."""
    return account.s3().put_object(Bucket=bucket, Key=key, Body=content, **options)["VersionId"]


def put_without_checksums(encrypted: str | None) -> None:
    """Stores a source and a copy of the same size with other bytes. Without a key of KMS, their ETags show it."""
    s3 = account.session().client("s3", config=Config(request_checksum_calculation="when_required"))
    for bucket, content in ((SOURCE, CONTENT), (DESTINATION, OTHER)):
        encryption: Any = {"ServerSideEncryption": "aws:kms"} if bucket == encrypted else {}
        s3.put_object(Bucket=bucket, Key=KEY, Body=content, **encryption)


def put_in_parts(bucket: str, content: bytes = CONTENT, *, checksum_type: Any = "FULL_OBJECT") -> None:
    """Stores an object so that its ETag is not the MD5 of its content."""
    s3 = account.s3()
    whose: Any = {"Bucket": bucket, "Key": KEY}
    upload_id = s3.create_multipart_upload(**whose, ChecksumAlgorithm="CRC32", ChecksumType=checksum_type)["UploadId"]
    part = s3.upload_part(**whose, UploadId=upload_id, PartNumber=1, Body=content, ChecksumAlgorithm="CRC32")
    s3.complete_multipart_upload(
        **whose,
        UploadId=upload_id,
        ChecksumType=checksum_type,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]},
    )


def track(
    *,
    key: str = KEY,
    destination: str = DESTINATION,
    status: str = "COMPLETED",
    execution: str = EXECUTION,
    source_version: str | None = None,
    copy_version: str | None = None,
    lease_ends: float | None = None,
) -> None:
    """Writes the record as the workflow does. ``copy_version`` is that of the copy in ``destination``, ``lease_ends``
    in seconds since 1970.
    """
    destinations = [destination, DESTINATIONS[1]]
    item: dict[str, Any] = {
        "fileKey": {"S": key},
        "sourceBucket": {"S": SOURCE},
        "sourceVersionId": {"S": source_version} if source_version else {"NULL": True},
        "executionId": {"S": execution},
        "status": {"S": status},
        "startTime": {"S": "2026-03-14T09:26:54.000Z"},
        "destinationBuckets": {"L": [{"S": bucket} for bucket in destinations]},
        "totalBuckets": {"N": "2"},
    }
    if lease_ends is not None:
        item["leaseExpiresAt"] = {"N": str(int(lease_ends))}
    if status != "IN_PROGRESS":
        result = {"destinationBucket": {"S": destination}, "success": {"BOOL": True}, "etag": {"S": "e"}}
        if copy_version:
            result["versionId"] = {"S": copy_version}
        item["copyResults"] = {
            "L": [
                {"M": {"destinationBucket": {"S": DESTINATIONS[1]}, "success": {"BOOL": True}}},
                {"M": result},
            ]
        }
        item["successfulBuckets"] = item["destinationBuckets"]
    account.dynamodb().put_item(TableName=TABLE, Item=item)


def record(key: str = KEY) -> Json:
    found = account.dynamodb().get_item(TableName=TABLE, Key={"fileKey": {"S": key}, "sourceBucket": {"S": SOURCE}})
    return dict(found["Item"])


def arrivals(key: str = KEY) -> Json:
    """The items of arrivals beside the record, by destination."""
    found = account.dynamodb().query(
        TableName=TABLE,
        KeyConditionExpression="fileKey = :key AND begins_with(sourceBucket, :arrivals)",
        ExpressionAttributeValues={":key": {"S": key}, ":arrivals": {"S": f"{SOURCE}#"}},
    )
    return {item["sourceBucket"]["S"].removeprefix(f"{SOURCE}#"): item for item in found["Items"]}


def arrival(bucket: str = DESTINATION, key: str = KEY) -> str:
    """The message that S3 sends of the object that is in ``bucket`` now."""
    head = account.s3().head_object(Bucket=bucket, Key=key)
    return s3_event(
        s3_record(
            key,
            bucket=bucket,
            size=head["ContentLength"],
            eTag=head["ETag"].strip('"'),
            versionId=head.get("VersionId"),
        )
    )


def without_version(message: str) -> str:
    event = json.loads(message)
    del event["Records"][0]["s3"]["object"]["versionId"]
    return json.dumps(event)


def confirm(*messages: str) -> Json:
    return handler(sqs_event(*messages), None)


def assert_untouched(notifications: Notifications) -> None:
    assert arrivals() == {}
    assert notifications.received() == []


def test_equal_etags_verify(notifications: Notifications, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy with the source's ETag is written down as verified, with everything a person would ask of it."""
    put(SOURCE)
    version = put(DESTINATION)
    track()
    assert confirm(arrival()) == failed()
    written = arrivals()[DESTINATION]
    assert written.pop("checkedAt")["S"].endswith("Z")
    assert written == {
        "fileKey": {"S": KEY},
        "sourceBucket": {"S": f"{SOURCE}#{DESTINATION}"},
        "destinationBucket": {"S": DESTINATION},
        "executionId": {"S": EXECUTION},
        "verified": {"BOOL": True},
        "check": {"S": "ETag"},
        "size": {"N": str(len(CONTENT))},
        "etag": {"S": account.s3().head_object(Bucket=SOURCE, Key=KEY)["ETag"].strip('"')},
        "arrivedAt": {"S": "2026-03-14T09:26:53.589Z"},
        "versionId": {"S": version},
    }
    assert notifications.received() == []
    assert log_lines(capsys)[-1]["executionArn"] == EXECUTION


def test_each_destination_has_its_own_arrival() -> None:
    """Two arrivals of one file do not overwrite each other, and the rest of the record stays as it was."""
    put(SOURCE)
    for bucket in DESTINATIONS:
        put(bucket)
    track()
    before = record()
    assert confirm(*map(arrival, DESTINATIONS)) == failed()
    assert sorted(arrivals()) == DESTINATIONS
    assert record() == before


@pytest.mark.parametrize("days", [0, 8])
def test_an_arrival_expires_as_records_do(days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that expires leaves no arrivals behind. One that is kept keeps them."""
    monkeypatch.setenv("RECORD_RETENTION_DAYS", str(days))
    put(SOURCE)
    put(DESTINATION)
    track()
    before = int(time.time()) + days * 86_400
    assert confirm(arrival()) == failed()
    expiry = arrivals()[DESTINATION].get("expiresAt")
    assert expiry is None if days == 0 else expiry and 0 <= int(expiry["N"]) - before < 60


def test_the_next_arrival_replaces_the_last_one() -> None:
    """Nothing of an earlier arrival stays in the item: neither its problem nor its version."""
    put(SOURCE)
    put(DESTINATION, b"")
    track()
    assert confirm(arrival()) == failed()
    assert "problem" in arrivals()[DESTINATION]
    put(DESTINATION)
    track(execution=f"{EXECUTION}-newer")
    assert confirm(without_version(arrival())) == failed()
    written = arrivals()[DESTINATION]
    assert written.keys().isdisjoint({"problem", "versionId"})
    assert (written["verified"], written["executionId"]) == ({"BOOL": True}, {"S": f"{EXECUTION}-newer"})


@pytest.mark.parametrize(("time_of_event", "is_written"), [("2026-03-14T09:26:53.588Z", False), (None, True)])
def test_an_earlier_arrival_does_not_replace_a_later_one(
    time_of_event: str | None, is_written: bool, notifications: Notifications
) -> None:
    """S3 delivers events in any order. One that is delivered twice is written again. A difference that a later copy
    has repaired is no news."""
    put(SOURCE)
    put(DESTINATION)
    track()
    assert confirm(arrival()) == failed()
    event = json.loads(arrival())
    event["Records"][0]["s3"]["object"]["size"] += 1
    if time_of_event:
        event["Records"][0]["eventTime"] = time_of_event
    assert confirm(json.dumps(event)) == failed()
    assert arrivals()[DESTINATION]["verified"] == {"BOOL": not is_written}
    assert len(notifications.received()) == is_written


def test_a_bucket_with_dots_has_its_item() -> None:
    """A bucket's name may have dots, which are a path in an expression of DynamoDB."""
    dotted = "region.a.builds"
    account.s3().create_bucket(Bucket=dotted)
    account.s3().put_object(Bucket=dotted, Key=KEY, Body=CONTENT)
    put(SOURCE)
    track(destination=dotted)
    assert confirm(arrival(dotted)) == failed()
    assert arrivals()[dotted]["verified"] == {"BOOL": True}
    assert "versionId" not in arrivals()[dotted]


@pytest.mark.parametrize("key", ["a b+c%.zip", '"it\'s"/é📦.zip', ODD_KEY])
def test_odd_keys_are_verified(key: str) -> None:
    """Whatever a file is called, its arrival finds its record and its source."""
    put(SOURCE, key=key)
    put(DESTINATION, key=key)
    track(key=key)
    assert confirm(arrival(key=key)) == failed()
    assert arrivals(key)[DESTINATION]["verified"] == {"BOOL": True}


@pytest.mark.parametrize("content", [CONTENT, OTHER])
def test_checksums_decide_where_etags_cannot(content: bytes, notifications: Notifications) -> None:
    """An upload in parts has another ETag than its copy; the checksum tells the same bytes from others."""
    put_in_parts(SOURCE)
    put(DESTINATION, content, ChecksumAlgorithm="CRC32")
    track()
    assert confirm(arrival()) == failed()
    written = arrivals()[DESTINATION]
    assert (written["check"]["S"], written["verified"]["BOOL"]) == ("checksum", content == CONTENT)
    assert ("ChecksumCRC32" in written.get("problem", {"S": ""})["S"]) == (content != CONTENT)
    assert len(notifications.received()) == (content != CONTENT)


def test_a_checksum_of_parts_decides_nothing(notifications: Notifications) -> None:
    """A checksum of parts differs for the same bytes, so only the size is left: no false alarm, no false proof."""

    def as_s3_writes_it(parsed: Json, **_more: object) -> None:
        if parsed.get("ChecksumType") == "COMPOSITE":
            parsed["ChecksumCRC32"] += "-1"

    put_in_parts(SOURCE, checksum_type="COMPOSITE")
    put(DESTINATION, ChecksumAlgorithm="CRC32")
    track()
    clients.s3(REGION).meta.events.register("after-call.s3.HeadObject", as_s3_writes_it)
    assert confirm(arrival()) == failed()
    assert (arrivals()[DESTINATION]["check"], arrivals()[DESTINATION]["verified"]) == ({"S": "size"}, {"BOOL": True})
    assert notifications.received() == []


@pytest.mark.parametrize("encrypted", [SOURCE, DESTINATION, None])
def test_an_etag_counts_only_where_it_is_an_md5(encrypted: str | None, notifications: Notifications) -> None:
    """Unequal ETags without checksums are damage, but not where KMS encrypts: there equal bytes have unequal ETags."""
    put_without_checksums(encrypted)
    track()
    assert confirm(arrival()) == failed()
    written = arrivals()[DESTINATION]
    assert written["check"]["S"] == ("size" if encrypted else "ETag")
    assert written["verified"]["BOOL"] == (encrypted is not None)
    assert len(notifications.received()) == (encrypted is None)


def test_the_version_that_was_sent_is_compared(notifications: Notifications) -> None:
    """A newer upload meanwhile does not make the copy of the older one look damaged."""
    sent = put(SOURCE)
    put(SOURCE, b"a newer build")
    put(DESTINATION)
    track(source_version=sent)
    assert confirm(arrival()) == failed()
    assert arrivals()[DESTINATION]["verified"] == {"BOOL": True}
    assert notifications.received() == []


@pytest.mark.parametrize(
    ("key", "unknown"),
    [(KEY, None), (KEY, "copy"), (KEY, "arrival"), (ODD_KEY, None), ("📦" * 250, None), ("é" * 72, None)],
)
def test_damage_is_written_and_told(key: str, unknown: str | None, notifications: Notifications) -> None:
    """A copy that is not what was sent is in the record and in a person's inbox, whatever the file is called.

    So it is where the version of the copy or of the arrival is unknown: better told than missed.
    """
    put(SOURCE, key=key)
    version = put(DESTINATION, CONTENT[:-1], key=key)
    track(key=key, copy_version=None if unknown == "copy" else version)
    message = arrival(key=key) if unknown != "arrival" else without_version(arrival(key=key))
    assert confirm(message) == failed()
    written = arrivals(key)[DESTINATION]
    assert written["verified"] == {"BOOL": False}
    assert written["problem"] == {"S": f"The copy has {len(CONTENT) - 1} bytes, the source {len(CONTENT)}."}
    (notification,) = notifications.received()
    assert 0 < len(notification["Subject"]) < 100
    assert all(" " <= character <= "~" for character in notification["Subject"])
    shown = "".join(character if character.isprintable() else "?" for character in key)
    for said in (shown, SOURCE, DESTINATION, written["problem"]["S"], EXECUTION):
        assert said in notification["Message"]


def test_a_subject_names_the_file(notifications: Notifications) -> None:
    """Whoever reads the inbox sees which file it is without opening the message."""
    put(SOURCE)
    put(DESTINATION, b"")
    track()
    assert confirm(arrival()) == failed()
    assert [message["Subject"] for message in notifications.received()] == [f"File copy differs from its source: {KEY}"]


def test_damage_is_told_again_when_nobody_could_be_told(notifications: Notifications) -> None:
    """A message whose notification failed comes again, or nobody ever learns of the damage."""
    put(SOURCE)
    put(DESTINATION, b"")
    track()
    failures: list[Exception] = [EndpointConnectionError(endpoint_url="https://sns.us-east-1.amazonaws.com")]

    def fail_once(_params: Json) -> None:
        if failures:
            raise failures.pop()

    before_call(clients.sns(REGION), "Publish", fail_once)
    assert [confirm(arrival()), confirm(arrival())] == [failed(0), failed()]
    assert len(notifications.received()) == 1


def test_an_arrival_without_a_record_is_not_ours(notifications: Notifications) -> None:
    """A file that somebody else put there is no failure and gets no record."""
    put(DESTINATION)
    assert confirm(arrival()) == failed()
    assert account.dynamodb().scan(TableName=TABLE)["Count"] == 0
    assert notifications.received() == []


def test_an_arrival_names_the_execution_that_it_was_compared_for() -> None:
    """A newer execution takes the record over meanwhile: its record must not show the arrival as its own."""
    put(SOURCE)
    put(DESTINATION)
    track()
    before_call(clients.dynamodb(REGION), "PutItem", lambda _params: track(execution=f"{EXECUTION}-newer"))
    assert confirm(arrival()) == failed()
    assert arrivals()[DESTINATION]["executionId"] == {"S": EXECUTION}
    assert record()["executionId"] == {"S": f"{EXECUTION}-newer"}


def test_a_difference_under_way_is_looked_at_again(notifications: Notifications) -> None:
    """While its execution runs, an unlike arrival may be an older copy: judged when the execution is done, not before.

    Neither a false alarm nor a missed one: it comes again until it can be decided.
    """
    put(SOURCE)
    version = put(DESTINATION, b"")
    track(status="IN_PROGRESS")
    assert confirm(arrival()) == failed(0)
    assert_untouched(notifications)
    track(copy_version=version)
    assert confirm(arrival()) == failed()
    assert len(notifications.received()) == 1


@pytest.mark.parametrize("lease_left", [60, -60])
def test_a_difference_is_decided_when_the_lease_has_expired(lease_left: int, notifications: Notifications) -> None:
    """The record stays in progress if the status change of its execution was lost. What an older execution copied would
    never be decided, and a dead letter of it would fail each time that it is moved back.
    """
    put(SOURCE)
    put(DESTINATION, b"an older build")
    track(status="IN_PROGRESS", lease_ends=time.time() + lease_left)
    assert confirm(arrival()) == (failed(0) if lease_left > 0 else failed())
    assert_untouched(notifications)


def test_an_equal_arrival_under_way_is_verified() -> None:
    """Arrivals come before their execution ends, and those that are right need not wait for it."""
    put(SOURCE)
    put(DESTINATION)
    track(status="IN_PROGRESS")
    assert confirm(arrival()) == failed()
    assert arrivals()[DESTINATION]["verified"] == {"BOOL": True}


@pytest.mark.parametrize(("made", "failing"), [("2026-03-14T09:26:53.999Z", [0]), ("2026-03-14T09:26:54.001Z", [])])
def test_an_older_arrival_of_the_same_size_is_looked_at_again(made: str, failing: list[int]) -> None:
    """A copy that was made before the running execution began is not its copy, and only sizes can be compared."""
    put_without_checksums(encrypted=SOURCE)
    track(status="IN_PROGRESS")
    event = json.loads(arrival())
    event["Records"][0]["eventTime"] = made
    assert confirm(json.dumps(event)) == failed(*failing)
    assert [item["check"]["S"] for item in arrivals().values()] == ["size"] * (not failing)


def test_an_unlike_arrival_of_another_execution_is_ignored(notifications: Notifications) -> None:
    """A late message of an older version says nothing about the copy in the record, so nobody is alarmed."""
    put(SOURCE)
    put(DESTINATION, b"an older build")
    track(copy_version="another")
    assert confirm(arrival()) == failed()
    assert_untouched(notifications)


@pytest.mark.parametrize("of_this_execution", [True, False])
def test_an_arrival_of_another_execution_asks_nothing_of_the_source(
    of_this_execution: bool, notifications: Notifications, capsys: pytest.CaptureFixture[str]
) -> None:
    """A late message is logged before anything is compared: its source may be gone, or forbidden, by now.

    It would otherwise come again until it is a dead letter.
    """
    put(SOURCE)
    message_version = put(DESTINATION, b"an older build")
    track(copy_version=message_version if of_this_execution else "another")
    message = arrival()
    before_call(clients.s3(REGION), "HeadObject", fail_with(client_error("403", 403)))
    assert confirm(message) == (failed(0) if of_this_execution else failed())
    if not of_this_execution:
        assert [line["message"] for line in log_lines(capsys)] == ["Ignored: not a copy made by the recorded execution"]
    assert_untouched(notifications)


@pytest.mark.parametrize("was_copied", [True, False])
def test_damage_among_many_destinations_is_told(was_copied: bool, notifications: Notifications) -> None:
    """A record of hundreds of destinations holds no result of a good copy: its damage is told all the same.

    A copy that failed was told of by the workflow.
    """
    put(SOURCE)
    put(DESTINATION, b"")
    track()
    account.dynamodb().update_item(
        TableName=TABLE,
        Key={"fileKey": {"S": KEY}, "sourceBucket": {"S": SOURCE}},
        UpdateExpression="SET copyResults = :none, successfulBuckets = :copied",
        ExpressionAttributeValues={":none": {"L": []}, ":copied": {"L": [{"S": DESTINATION}] if was_copied else []}},
    )
    assert confirm(arrival()) == failed()
    assert len(notifications.received()) == was_copied


def test_a_late_arrival_does_not_replace_a_newer_one() -> None:
    """A message of an older version that comes late leaves the newer one's entry, also where sizes are equal."""
    put_in_parts(SOURCE)
    put(DESTINATION)
    late = arrival()
    version = put(DESTINATION)
    track(copy_version=version)
    assert confirm(arrival(), late) == failed()
    assert arrivals()[DESTINATION]["versionId"] == {"S": version}


@pytest.mark.parametrize("content", [CONTENT, OTHER])
def test_a_function_in_another_region_reaches_the_stacks_own(
    content: bytes, notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is in the function's region. Source, table and topic are not, and no region answers for another."""
    session = account.new_session("eu-west-1")
    far = boto3.Session(botocore_session=session)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", far)
    monkeypatch.setattr(clients, "session", lambda: session)
    far.client("s3").create_bucket(Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    put_in_parts(SOURCE, checksum_type="FULL_OBJECT")
    account.s3().put_object(Bucket="far", Key=KEY, Body=content, ChecksumAlgorithm="CRC32")
    track(destination="far")
    message = arrival("far")
    asked: set[tuple[str, str | None, str]] = set()

    def look(params: Json, model: Any, context: Json, **_more: object) -> None:
        asked.add((model.name, params.get("Bucket"), context["client_region"]))

    far.events.register("provide-client-params", look)
    assert confirm(message) == failed()
    is_damaged = content == OTHER
    assert asked == {
        ("GetItem", None, REGION),
        ("HeadObject", SOURCE, REGION),
        ("HeadObject", "far", "eu-west-1"),
        ("PutItem", None, REGION),
        *([("Publish", None, REGION)] if is_damaged else []),
    }
    assert arrivals()["far"]["verified"] == {"BOOL": not is_damaged}
    assert len(notifications.received()) == is_damaged


@pytest.mark.parametrize("gone", [SOURCE, DESTINATION])
def test_what_is_gone_is_told(gone: str, notifications: Notifications) -> None:
    """A copy that can no longer be compared is not taken for a good one."""
    put_in_parts(SOURCE)
    put(DESTINATION)
    track()
    message = without_version(arrival())
    account.s3().delete_object(Bucket=gone, Key=KEY)
    assert confirm(message) == failed()
    assert "does not exist any more" in arrivals()[DESTINATION]["problem"]["S"]
    assert len(notifications.received()) == 1


@pytest.mark.parametrize(
    ("client", "operation", "error"),
    [
        (clients.s3, "HeadObject", client_error("403", 403)),
        (clients.dynamodb, "GetItem", client_error("ThrottlingException")),
        (clients.dynamodb, "PutItem", client_error("ProvisionedThroughputExceededException")),
    ],
)
def test_what_cannot_be_checked_comes_again(
    client: Any,
    operation: str,
    error: Exception,
    notifications: Notifications,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A failure of AWS is neither a proof nor a damage: the message goes back, and its neighbour does not.

    The log says of which file it was.
    """
    put(SOURCE)
    put(DESTINATION)
    track()
    before_call(client(REGION), operation, fail_with(error))
    assert confirm(json.dumps(example("s3_test_event.json")), arrival()) == failed(1)
    assert [(line["key"], line["bucket"]) for line in log_lines(capsys)] == [(KEY, DESTINATION)]
    assert_untouched(notifications)
