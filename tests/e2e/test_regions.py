"""A destination in another region: what arrives there is checked there, and all that goes with it is there, too."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from components import outputs
from tests.handlers.conftest import s3_event, s3_record

from .system import Inbox, System, stack_up

pytestmark = pytest.mark.slow

FAR = "eu-west-1"
QUEUE = f"arrivals-{FAR}"
NEAR_BUCKET, FAR_BUCKET = "near-builds", "far-builds"


@pytest.fixture(scope="module", params=[False, True], ids=["open", "enforced"])
def system(request: pytest.FixtureRequest) -> Iterator[System]:
    """A stack with a destination here and one there, in which no upload starts anything by itself."""
    destinations = json.dumps([{"bucket": NEAR_BUCKET}, {"bucket": FAR_BUCKET, "region": FAR}])
    with stack_up("-c", f"destinations={destinations}", enforced=request.param) as target:
        target.s3.put_bucket_notification_configuration(Bucket=target.source, NotificationConfiguration={})
        yield target


@pytest.fixture
def there(system: System) -> Any:
    """Clients of the other region."""
    return system.clients.in_region(FAR)


def record_copies(system: System, key: str, etag: str, size: int) -> None:
    """Writes the record of a file that was copied everywhere, as the workflow does."""
    destinations = {"L": [{"S": bucket} for bucket in system.destinations]}
    system.dynamodb.put_item(
        TableName=system.table,
        Item={
            "fileKey": {"S": key},
            "sourceBucket": {"S": system.source},
            "executionId": {"S": f"{system.state_machine.replace('stateMachine', 'execution')}:{uuid.uuid4()}"},
            "status": {"S": "COMPLETED"},
            "startTime": {"S": "2026-03-14T09:26:54.000Z"},
            "completedAt": {"S": "2026-03-14T09:26:55.000Z"},
            "sourceETag": {"S": etag},
            "sourceSize": {"N": str(size)},
            "destinationBuckets": destinations,
            "successfulBuckets": destinations,
            "copyResults": {"L": []},
            "arrivals": {"M": {}},
        },
    )


def arrived(system: System, key: str) -> dict[str, Any]:
    """What the record says of the copy in the other region, once it says anything."""

    def look() -> dict[str, Any] | None:
        arrival: dict[str, Any] | None = (system.record(key) or {}).get("arrivals", {}).get(FAR_BUCKET)
        return arrival

    return system.wait_for(f"the arrival of {key!r}", look, seen=[key])


def put_there(there: Any, key: str, body: bytes) -> str:
    """Puts a copy into the bucket there, and returns its version."""
    version: str = there("s3").put_object(Bucket=FAR_BUCKET, Key=key, Body=body)["VersionId"]
    return version


def test_a_copy_that_arrives_there_is_confirmed(system: System, there: Any) -> None:
    """The function there compares it with what the record says, which is in the stack's own region."""
    key, body = f"{uuid.uuid4().hex}.zip", b"the same bytes"
    source = system.s3.put_object(Bucket=system.source, Key=key, Body=body)
    record_copies(system, key, source["ETag"].strip('"'), len(body))
    version = put_there(there, key, body)
    arrival = arrived(system, key)
    assert (arrival["verified"], arrival["check"], arrival["versionId"]) == (True, "ETag", version)


def test_a_file_is_copied_there_and_confirmed(system: System, there: Any) -> None:
    """What the workflow copies is there, and both regions' functions write what arrived into the one record."""
    key, body = f"{uuid.uuid4().hex}.zip", b"copied by the workflow"
    system.s3.put_object(Bucket=system.source, Key=key, Body=body)
    assert system.run(system.job(key))["status"] == "SUCCEEDED"
    record = system.finished_record(key)
    assert record["successfulBuckets"] == [NEAR_BUCKET, FAR_BUCKET]
    assert {bucket: arrival["verified"] for bucket, arrival in record["arrivals"].items()} == {
        NEAR_BUCKET: True, FAR_BUCKET: True,
    }  # fmt: skip
    assert there("s3").get_object(Bucket=FAR_BUCKET, Key=key)["Body"].read() == body


def test_damage_there_is_told_here(system: System, there: Any) -> None:
    """What differs from the source, which is in the stack's own region, is told to the topic, which is there, too."""
    notification, key = system.inbox(), f"{uuid.uuid4().hex}.zip"
    source = system.s3.put_object(Bucket=system.source, Key=key, Body=b"what was sent")
    record_copies(system, key, source["ETag"].strip('"'), 13)
    put_there(there, key, b"other bytes")
    assert f"{FAR_BUCKET}: The copy has 11 bytes, the source 13." in notification(key)["Message"]
    assert arrived(system, key)["verified"] is False


def test_a_dead_letter_there_is_put_back(system: System, there: Any) -> None:
    """'filecopy replay' reaches the queue of the other region, by the name that the outputs give it."""
    key = f"{uuid.uuid4().hex}.zip"
    urls = system.outputs[outputs.DEAD_LETTER_QUEUE_URLS]
    assert [*urls] == ["uploads", "arrivals", QUEUE, "endings", "notifications"]
    record_copies(system, key, "0" * 32, 1)
    letter = s3_event(s3_record(key, bucket=FAR_BUCKET, eTag="0" * 32, size=1, versionId=None))
    there("sqs").send_message(QueueUrl=urls[QUEUE], MessageBody=letter)
    told = system.filecopy("replay", QUEUE)
    assert (told.returncode, told.stdout) == (0, f"Moved 1 message back into {QUEUE}.\n"), told.stderr
    assert arrived(system, key)["verified"] is True
    unknown = system.filecopy("replay", "arrivals-ap-south-1")
    assert f"The queues are uploads, arrivals, {QUEUE}, endings, notifications." in unknown.stderr


def test_everything_is_where_its_bucket_is(system: System, there: Any) -> None:
    """Each region has its own queues, function and log, and the outputs say which."""
    assert there("s3").get_bucket_location(Bucket=FAR_BUCKET)["LocationConstraint"] == FAR
    functions = there("lambda").list_functions()["Functions"]
    assert [found["FunctionArn"] for found in functions] == [
        system.outputs[outputs.LAMBDA_FUNCTIONS][f"regional-sync-{FAR}"]
    ]
    assert all(FAR not in found["FunctionName"] for found in system.lambda_.list_functions()["Functions"])
    queues = {url.rsplit("/", 1)[1] for url in there("sqs").list_queues(QueueNamePrefix="file-copy-")["QueueUrls"]}
    assert queues == {f"file-copy-{QUEUE}", f"file-copy-{QUEUE}-dead-letters"}
    groups = {found["logGroupName"] for found in there("logs").describe_log_groups()["logGroups"]}
    assert groups == {f"/aws/lambda/regional-sync-{FAR}"}
    regions = json.loads(system.filecopy("outputs", outputs.DESTINATION_REGIONS).stdout)
    assert regions == {NEAR_BUCKET: system.region, FAR_BUCKET: FAR}


def test_an_alarm_there_tells_operators(system: System, there: Any) -> None:
    """The alarms of another region tell a topic of their own region."""
    found = {alarm["AlarmName"]: alarm for alarm in there("cloudwatch").describe_alarms()["MetricAlarms"]}
    assert found.keys() == {
        f"file-copy-{kind}-{FAR}" for kind in ("dead-letters-arrivals", "errors-regional-sync", "arrivals-waiting")
    }
    name = f"file-copy-dead-letters-{QUEUE}"
    [topic] = found[name]["AlarmActions"]
    notification = Inbox(system, topic)
    there("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="A test")
    assert f"filecopy replay {QUEUE}" in notification(name)["Message"]
