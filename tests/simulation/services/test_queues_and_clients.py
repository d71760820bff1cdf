"""SQS and SNS as AWS documents them, and the clients that functions call instead of botocore's."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, cast

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, ParamValidationError

from handlers.s3_protocol import accept_any_key, headers_as_they_are

from .client import Client
from .contents import content
from .s3 import MIN_PART_BYTES, S3
from .sns import MAX_MESSAGE_BYTES, SNS
from .sqs import SQS, Queue, lambda_record

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Json = dict[str, Any]
TOPIC = "arn:aws:sns:us-east-1:000000000000:file-copy-failures"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# --- SQS --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sqs(clock: Clock) -> SQS:
    service = SQS(clock)
    service.queues["dead"] = Queue()
    service.queues["uploads"] = Queue(visibility_timeout=30, dead_letters="dead", max_receive_count=2)
    return service


def call(service: Any, operation: str, **arguments: Any) -> Json:
    answer: Json = service.call(operation, {"QueueUrl": "http://localhost/0/uploads", **arguments})
    return answer


def test_a_message_that_is_not_deleted_comes_again_and_then_is_a_dead_letter(sqs: SQS, clock: Clock) -> None:
    call(sqs, "SendMessage", MessageBody="one")
    for count in ("1", "2"):
        (message,) = call(sqs, "ReceiveMessage")["Messages"]
        assert (message["Body"], message["Attributes"]["ApproximateReceiveCount"]) == ("one", count)
        assert call(sqs, "ReceiveMessage") == {}
        clock.now += 30
    assert call(sqs, "ReceiveMessage") == {}
    assert sqs.queues["uploads"].messages == []
    (dead,) = sqs.queues["dead"].messages
    assert (dead.body, dead.sent) == ("one", 100.0)


def test_several_messages_are_deleted_at_once(sqs: SQS) -> None:
    for body in ("one", "two"):
        call(sqs, "SendMessage", MessageBody=body)
    received = call(sqs, "ReceiveMessage", MaxNumberOfMessages=10, WaitTimeSeconds=1)["Messages"]
    entries = [{"Id": one["Body"], "ReceiptHandle": one["ReceiptHandle"]} for one in received]
    assert call(sqs, "DeleteMessageBatch", Entries=entries) == {"Successful": [{"Id": "one"}, {"Id": "two"}]}
    assert sqs.queues["uploads"].messages == []


def test_deletion_and_visibility(sqs: SQS, clock: Clock) -> None:
    for body in ("one", "two"):
        call(sqs, "SendMessage", MessageBody=body)
    first, second = call(sqs, "ReceiveMessage", MaxNumberOfMessages=10)["Messages"]
    call(sqs, "DeleteMessage", ReceiptHandle=first["ReceiptHandle"])
    call(sqs, "DeleteMessage", ReceiptHandle=first["ReceiptHandle"])
    call(sqs, "ChangeMessageVisibility", ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=5)
    clock.now += 5
    assert [message.body for message in sqs.visible("uploads")] == ["two"]


def test_a_message_may_be_delivered_twice(sqs: SQS) -> None:
    sent = call(sqs, "SendMessage", MessageBody="one")["MessageId"]
    first, second = (sqs.receive("uploads", [sent])[0].receipt for _ in range(2))
    call(sqs, "DeleteMessage", ReceiptHandle=first)
    assert len(sqs.queues["uploads"].messages) == 1
    call(sqs, "DeleteMessage", ReceiptHandle=second)
    assert sqs.receive("uploads", [sent]) == []


def test_a_queue_forgets_after_its_retention(sqs: SQS, clock: Clock) -> None:
    call(sqs, "SendMessage", MessageBody="one")
    assert sqs.drop_expired("uploads") == []
    clock.now += 4 * 24 * 3600 + 1
    assert [message.body for message in sqs.drop_expired("uploads")] == ["one"]
    assert sqs.visible("uploads") == []


def test_a_record_for_lambda(sqs: SQS) -> None:
    call(sqs, "SendMessage", MessageBody="one")
    (message,) = sqs.receive("uploads", [sqs.visible("uploads")[0].id])
    record = lambda_record(message, "arn:aws:sqs:eu-west-1:000000000000:uploads")
    assert (record["messageId"], record["body"], record["awsRegion"]) == ("message.uploads.1", "one", "eu-west-1")


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("SendMessage", {"MessageBody": ""}, "MissingParameter"),
        ("SendMessage", {"MessageBody": "x" * (1024**2 + 1)}, "InvalidParameterValue"),
        ("SendMessage", {"MessageBody": "x", "QueueUrl": "other"}, "AWS.SimpleQueueService.NonExistentQueue"),
        ("ReceiveMessage", {"MaxNumberOfMessages": 11}, "InvalidParameterValue"),
    ],
)
def test_what_sqs_refuses(sqs: SQS, operation: str, arguments: Json, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        call(sqs, operation, **arguments)
    assert caught.value.response["Error"]["Code"] == code


# --- SNS --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"TopicArn": TOPIC, "Message": "⚠️ one", "Subject": "s" * 99}, None),
        ({"TopicArn": TOPIC, "Message": "x" * MAX_MESSAGE_BYTES}, None),
        ({"TopicArn": f"{TOPIC}-other", "Message": "one"}, "NotFound"),
        ({"TopicArn": TOPIC, "Message": ""}, "InvalidParameter"),
        ({"TopicArn": TOPIC, "Message": "ä" * (MAX_MESSAGE_BYTES // 2) + "x"}, "InvalidParameter"),
        ({"TopicArn": TOPIC, "Message": "one", "Subject": "s" * 100}, "InvalidParameter"),
        ({"TopicArn": TOPIC, "Message": "one", "Subject": "two\nlines"}, "InvalidParameter"),
        ({"TopicArn": TOPIC, "Message": "one", "Subject": "ä"}, "InvalidParameter"),
    ],
)
def test_messages_and_subjects(arguments: Json, code: str | None) -> None:
    delivered: list[str] = []
    sns = SNS(now=lambda: 100.0, topics={TOPIC}, deliver=lambda notification: delivered.append(notification.message))
    if code is None:
        assert sns.call("Publish", arguments) == {"MessageId": "notification-1"}
        assert delivered == [arguments["Message"]] == [notification.message for notification in sns.published]
        return
    with pytest.raises(ClientError) as caught:
        sns.call("Publish", arguments)
    assert caught.value.response["Error"]["Code"] == code
    assert (delivered, sns.published) == ([], [])


# --- Clients ----------------------------------------------------------------------------------------------------


class Performed:
    """A client, and the calls that it performed."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.s3 = S3(lambda: 100.0, lambda _bucket, _record: None)
        self.s3.create_bucket("source")
        # Like the functions' clients, without their types.
        self.client: Any = Client("s3", "us-east-1", self._perform)
        accept_any_key(cast("S3Client", self.client))

    def _perform(self, service: str, region: str, operation: str, arguments: Json) -> Json:
        assert (service, region) == ("s3", "us-east-1")
        self.calls.append(operation)
        return self.s3.call(operation, arguments)


@pytest.fixture
def performed() -> Performed:
    return Performed()


def test_a_client_calls_as_botocores_does(performed: Performed) -> None:
    client = performed.client
    client.put_object(Bucket="source", Key="k", Body=b"1")
    source = {"Bucket": "source", "Key": "k"}
    client.copy_object(Bucket="source", Key="copy", CopySource=source)
    assert client.head_object(Bucket="source", Key="copy")["ContentLength"] == 1
    assert performed.calls == ["PutObject", "CopyObject", "HeadObject"]
    with pytest.raises(ParamValidationError, match="Buckett"):
        client.head_object(Buckett="source", Key="copy")
    with pytest.raises(ParamValidationError, match="Invalid type for parameter MpuObjectSize"):
        client.complete_multipart_upload(Bucket="source", Key="k", UploadId="u", MpuObjectSize="1")
    with pytest.raises(AttributeError, match="head_objects"):
        client.head_objects()


def test_parts_come_page_by_page(performed: Performed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.simulation.services.s3.MAX_KEYS", 2)
    place = {"Bucket": "source", "Key": "k"}
    place["UploadId"] = performed.client.create_multipart_upload(**place)["UploadId"]
    for number in range(1, 6):
        performed.client.upload_part(**place, PartNumber=number, Body=b"1")
    pages = [
        [part["PartNumber"] for part in page["Parts"]]
        for page in performed.client.get_paginator("list_parts").paginate(**place)
    ]
    assert pages == [[1, 2], [3, 4], [5]]


def test_headers_that_a_handler_adds_are_kept(performed: Performed) -> None:
    place = {"Bucket": "source", "Key": "k"}
    with headers_as_they_are(performed.client, "CreateMultipartUpload", {"x-amz-meta-a": "ä", "Expires": "never"}):
        upload = performed.client.create_multipart_upload(**place)["UploadId"]
    part = {
        "PartNumber": 1,
        "ETag": performed.client.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"1")["ETag"],
    }
    performed.client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": [part]})
    head = performed.client.head_object(**place)
    assert (head["Metadata"], head["ExpiresString"]) == ({"a": "ä"}, "never")


@pytest.mark.parametrize("size", [10, 2 * MIN_PART_BYTES + 1])
def test_a_file_is_uploaded_as_boto3_does(performed: Performed, size: int) -> None:
    data = b"1" * size
    config = TransferConfig(multipart_threshold=MIN_PART_BYTES, multipart_chunksize=MIN_PART_BYTES)
    more = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT", "Metadata": {"commit": "abc123"}}
    performed.client.upload_fileobj(io.BytesIO(data), "source", "k", ExtraArgs=more, Config=config)
    head = performed.client.head_object(Bucket="source", Key="k", ChecksumMode="ENABLED")
    assert (head["ContentLength"], head["Metadata"], head["ChecksumType"]) == (
        size,
        {"commit": "abc123"},
        "FULL_OBJECT",
    )
    assert performed.s3.buckets["source"].objects["k"][0].content == content(data)
    assert ("CompleteMultipartUpload" in performed.calls) == (size > MIN_PART_BYTES)
