"""S3 answers as moto does, where moto does as AWS documents; otherwise as AWS documents."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from handlers import checksums
from tests.handlers import account

from . import contents, s3
from .contents import concatenated, content
from .s3 import MAX_COPY_BYTES, MIN_PART_BYTES, S3, versions

Json = dict[str, Any]

SOURCE, DESTINATION = "global-builds", "region-a-builds"
GIB = 1024**3


class World:
    """Two buckets that keep versions, and the events that they send."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Json]] = []
        self.s3 = S3(lambda: 1_700_000_000.0, lambda bucket, record: self.events.append((bucket, record)))
        for name in (SOURCE, DESTINATION):
            self.s3.create_bucket(name, versioning="Enabled", is_notifying=True)

    def call(self, operation: str, bucket: str = SOURCE, key: str = "k", **arguments: Any) -> Json:
        return self.s3.call(operation, {"Bucket": bucket, "Key": key, **arguments})

    def upload(self, *parts: Any, bucket: str = SOURCE, **arguments: Any) -> Json:
        """An upload in parts of these contents."""
        begun = self.call("CreateMultipartUpload", bucket, **arguments)["UploadId"]
        listed = [
            {
                "PartNumber": number,
                "ETag": self.call("UploadPart", bucket, UploadId=begun, PartNumber=number, Body=part)["ETag"],
            }
            for number, part in enumerate(parts, start=1)
        ]
        return self.call("CompleteMultipartUpload", bucket, UploadId=begun, MultipartUpload={"Parts": listed})


@pytest.fixture
def world() -> World:
    return World()


def refused(call: Callable[[], object]) -> tuple[str, int]:
    """The code and the status of the error."""
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


# --- The same as moto -------------------------------------------------------------------------------------------

# The tests make parts of this size large enough.
BIG = b"x" * 300

# Calls in their order: the operation and its arguments. "$NAME" is what an earlier answer has.
CALLS: list[tuple[str, Json]] = [
    ("HeadObject", {"Key": "k"}),
    ("PutObject", {"Key": "k", "Body": b"one", "ContentType": "text/plain", "Metadata": {"a": "b"}, "Tagging": "t=1"}),
    ("HeadObject", {"Key": "k"}),
    ("GetObjectTagging", {"Key": "k"}),
    ("HeadObject", {"Key": "k", "IfMatch": '"f97c5d29941bfb1b2fdab0874906ab82"'}),
    ("HeadObject", {"Key": "k", "IfMatch": '"0"'}),
    ("PutObject", {"Key": "k", "Body": b"two", "StorageClass": "STANDARD_IA"}),
    ("HeadObject", {"Key": "k"}),
    ("CopyObject", {"Key": "copy", "CopySource": {"Bucket": SOURCE, "Key": "k"}}),
    ("CopyObject", {"Key": "copy", "CopySource": {"Bucket": SOURCE, "Key": "missing"}}),
    ("CopyObject", {"Key": "copy", "CopySource": {"Bucket": "missing-bucket", "Key": "k"}}),
    ("CopyObject", {"Bucket": "missing-bucket", "Key": "k", "CopySource": {"Bucket": SOURCE, "Key": "k"}}),
    ("PutObject", {"Key": "big", "Body": BIG + b"end"}),
    ("CreateMultipartUpload", {"Key": "parts", "ContentType": "text/html"}),
    (
        "UploadPartCopy",
        {
            "Key": "parts",
            "UploadId": "$UploadId",
            "PartNumber": 1,
            "CopySource": {"Bucket": SOURCE, "Key": "big"},
            "CopySourceRange": f"bytes=0-{len(BIG) - 1}",
        },
    ),
    ("UploadPart", {"Key": "parts", "UploadId": "$UploadId", "PartNumber": 2, "Body": b"end"}),
    ("ListParts", {"Key": "parts", "UploadId": "$UploadId", "MaxParts": 1}),
    ("ListParts", {"Key": "parts", "UploadId": "$UploadId", "PartNumberMarker": 1}),
    (
        "CompleteMultipartUpload",
        {"Key": "parts", "UploadId": "$UploadId", "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": '"0"'}]}},
    ),
    (
        "CompleteMultipartUpload",
        {
            "Key": "parts",
            "UploadId": "$UploadId",
            "MultipartUpload": {
                "Parts": [
                    {"PartNumber": 1, "ETag": hashlib.md5(BIG, usedforsecurity=False).hexdigest()},
                    {"PartNumber": 2, "ETag": hashlib.md5(b"end", usedforsecurity=False).hexdigest()},
                ]
            },
        },
    ),
    ("HeadObject", {"Key": "parts"}),
    ("ListParts", {"Key": "parts", "UploadId": "$UploadId"}),
    ("CreateMultipartUpload", {"Key": "parts"}),
    ("AbortMultipartUpload", {"Key": "parts", "UploadId": "$UploadId"}),
    ("AbortMultipartUpload", {"Key": "parts", "UploadId": "$UploadId"}),
    ("DeleteObject", {"Key": "k"}),
    ("HeadObject", {"Key": "k"}),
]

# Members that AWS documents and moto leaves out or gives another value, and IDs and times.
UNCOMPARED = re.compile(
    r"Checksum\w*|VersionId|CopySourceVersionId|UploadId|LastModified|ResponseMetadata|AcceptRanges|Location|TagCount"
    r"|ServerSideEncryption|Owner|Initiator|StorageClass|MaxParts|NextPartNumberMarker|CopySourceVersionId|Bucket|Key"
)


def compared(answer: Any) -> Any:
    if isinstance(answer, list):
        return [compared(one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    return {name: compared(value) for name, value in answer.items() if not UNCOMPARED.fullmatch(name)}


def outcomes(perform: Callable[[str, Json], Json]) -> list[Any]:
    found, upload = [], ""
    for operation, arguments in CALLS:
        given_arguments = {name: upload if value == "$UploadId" else value for name, value in arguments.items()}
        try:
            answer = perform(operation, {"Bucket": SOURCE, **given_arguments})
        except ClientError as error:
            found.append((operation, error.response["Error"]["Code"]))
            continue
        upload = answer.get("UploadId", upload)
        found.append((operation, compared(answer)))
    return found


def test_answers_are_those_of_moto(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def moto(operation: str, arguments: Json) -> Json:
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        answer: Json = getattr(account.s3(), method)(**arguments)
        return answer

    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", len(BIG))
    monkeypatch.setattr(s3, "MIN_PART_BYTES", len(BIG))
    with mock_aws(config={"core": {"reset_boto3_session": False}}):
        account.s3().create_bucket(Bucket=SOURCE)
        account.s3().put_bucket_versioning(Bucket=SOURCE, VersioningConfiguration={"Status": "Enabled"})
        expected = outcomes(moto)
    assert outcomes(world.s3.call) == expected


# --- Contents and checksums -------------------------------------------------------------------------------------

datas = st.binary(max_size=6).map(lambda data: data.replace(b"\0", b"\1"))
pieces = st.lists(st.tuples(datas, st.integers(0, 40)), max_size=4)


@settings(max_examples=60, deadline=None)
@given(pieces=pieces, cut=st.integers(0, 200))
def test_a_content_is_its_bytes(pieces: list[tuple[bytes, int]], cut: int) -> None:
    whole = concatenated(content(data, len(data) + zeros) for data, zeros in pieces)
    plain = b"".join(data + bytes(zeros) for data, zeros in pieces)
    assert whole.data == plain
    assert concatenated([whole.slice(0, cut), whole.slice(cut, whole.size)]) == whole
    assert whole.slice(cut, cut + 10).data == plain[cut : cut + 10]
    assert whole.checksum("CRC32") == zlib.crc32(plain).to_bytes(4, "big")
    assert whole.checksum("MD5") == hashlib.md5(plain, usedforsecurity=False).digest()


@pytest.mark.parametrize(
    ("algorithm", "checksum"),
    # RFC 3720 and the catalogue of parametrised CRC algorithms: the check value is that of "123456789".
    [("CRC32", "cbf43926"), ("CRC32C", "e3069283"), ("CRC64NVME", "ae8b14860a799888")],
)
def test_crcs(algorithm: str, checksum: str) -> None:
    assert content(b"123456789").checksum(algorithm).hex() == checksum


def test_a_crc_of_a_large_file_is_that_of_its_parts() -> None:
    whole = content(b"large", 10 * GIB)
    parts = [whole.slice(start, min(start + 3 * GIB, whole.size)) for start in range(0, whole.size, 3 * GIB)]
    of_parts = [(base64.b64encode(part.checksum("CRC32C")).decode(), part.size) for part in parts]
    assert base64.b64encode(whole.checksum("CRC32C")).decode() == checksums.of_the_whole("CRC32C", of_parts)


# --- As AWS documents -------------------------------------------------------------------------------------------


def test_a_hash_of_all_bytes_is_not_one_that_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    large = content(b"x", 3 * contents.HASHED)
    stands_for_it = large.checksum("MD5")
    monkeypatch.setattr(contents, "HASHED", large.size)
    by_bytes = hashlib.md5(large.data, usedforsecurity=False).digest()
    assert large.checksum("MD5") == by_bytes != stands_for_it


def test_versions_and_delete_markers(world: World) -> None:
    first, second = (world.call("PutObject", Body=body)["VersionId"] for body in (b"1", b"22"))
    marker = world.call("DeleteObject")
    assert marker["DeleteMarker"]
    assert refused(lambda: world.call("HeadObject")) == ("404", 404)
    assert refused(lambda: world.call("HeadObject", VersionId=marker["VersionId"])) == ("405", 405)
    assert world.call("HeadObject", VersionId=first)["ContentLength"] == 1
    source = {"Bucket": SOURCE, "Key": "k"}
    assert refused(lambda: world.call("CopyObject", DESTINATION, CopySource=source)) == ("NoSuchKey", 404)
    with_marker = {**source, "VersionId": marker["VersionId"]}
    assert refused(lambda: world.call("CopyObject", DESTINATION, CopySource=with_marker)) == ("InvalidRequest", 400)
    assert world.call("DeleteObject", VersionId=marker["VersionId"])["DeleteMarker"]
    assert world.call("HeadObject")["VersionId"] == second
    with_other = {**source, "VersionId": "another"}
    assert refused(lambda: world.call("CopyObject", DESTINATION, CopySource=with_other)) == ("NoSuchVersion", 404)


def test_a_bucket_without_versions_keeps_one_object(world: World) -> None:
    for status in (None, "Suspended"):
        world.s3.buckets[SOURCE].versioning = status
        assert "VersionId" not in world.call("PutObject", Body=b"1")
    assert [one.version_id for _, one in versions(world.s3.buckets[SOURCE])] == ["null"]
    assert "versionId" not in world.events[-1][1]["s3"]["object"]
    world.s3.buckets[SOURCE].versioning = None
    world.call("DeleteObject")
    assert list(versions(world.s3.buckets[SOURCE])) == []


def test_events_are_as_s3_sends_them(world: World) -> None:
    etag = world.call("PutObject", key="a b/ä", Body=b"1")["ETag"].strip('"')
    world.call("CopyObject", DESTINATION, CopySource={"Bucket": SOURCE, "Key": "a b/ä"})
    world.upload(b"1")
    assert [(bucket, record["eventName"]) for bucket, record in world.events] == [
        (SOURCE, "ObjectCreated:Put"),
        (DESTINATION, "ObjectCreated:Copy"),
        (SOURCE, "ObjectCreated:CompleteMultipartUpload"),
    ]
    record = world.events[0][1]
    entry = {"key": "a+b/%C3%A4", "size": 1, "eTag": etag, "sequencer": "0000000000000001", "versionId": f"{SOURCE}.1"}
    assert record["s3"]["object"] == entry
    assert record["eventTime"] == "2023-11-14T22:13:20.000Z"
    world.s3.buckets[SOURCE].is_notifying = False
    world.call("PutObject", Body=b"1")
    assert len(world.events) == 3


def test_every_object_has_a_checksum(world: World) -> None:
    world.call("PutObject", Body=b"123456789")
    head = world.call("HeadObject", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == ("rosUhgp5mIg=", "FULL_OBJECT")
    source = {"Bucket": SOURCE, "Key": "k"}
    copied = world.call("CopyObject", DESTINATION, CopySource=source)["CopyObjectResult"]
    assert copied["ChecksumCRC64NVME"] == "rosUhgp5mIg="
    other = world.call("CopyObject", DESTINATION, CopySource=source, ChecksumAlgorithm="CRC32")["CopyObjectResult"]
    assert other["ChecksumCRC32"] == "y/Q5Jg=="
    assert refused(lambda: world.call("PutObject", Body=b"1", ChecksumCRC32="AAAAAA==")) == ("BadDigest", 400)


def test_checksums_of_parts(world: World) -> None:
    parts = [content(b"1", MIN_PART_BYTES), content(b"2")]
    done = world.upload(*parts, ChecksumAlgorithm="CRC32")
    assert done["ChecksumType"] == "COMPOSITE"
    assert done["ChecksumCRC32"].endswith("-2")
    assert done["ETag"].endswith('-2"')
    wanted: Json = {"ObjectAttributes": ["ObjectParts"], "MaxParts": 1}
    first = world.call("GetObjectAttributes", **wanted)["ObjectParts"]
    second = world.call("GetObjectAttributes", **wanted, PartNumberMarker=first["NextPartNumberMarker"])["ObjectParts"]
    assert (first["IsTruncated"], second["IsTruncated"]) == (True, False)
    listed = [(part["ChecksumCRC32"], part["Size"]) for page in (first, second) for part in page["Parts"]]
    whole = world.call("CopyObject", DESTINATION, CopySource={"Bucket": SOURCE, "Key": "k"})["CopyObjectResult"]
    assert whole["ChecksumType"] == "FULL_OBJECT"
    assert whole["ChecksumCRC32"] == checksums.of_the_whole("CRC32", listed)
    assert world.call("HeadObject", PartNumber=1)["ContentLength"] == MIN_PART_BYTES
    world.upload(*parts)
    assert "Parts" not in world.call("GetObjectAttributes", **wanted)["ObjectParts"]


@pytest.mark.parametrize(("algorithm", "kind"), [("CRC64NVME", "COMPOSITE"), ("SHA256", "FULL_OBJECT")])
def test_types_of_checksums_that_do_not_exist(world: World, algorithm: str, kind: str) -> None:
    arguments = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    assert refused(lambda: world.call("CreateMultipartUpload", **arguments)) == ("InvalidRequest", 400)


def test_a_copy_keeps_what_s3_keeps(world: World) -> None:
    headers = {"ContentType": "text/plain", "CacheControl": "no-store", "WebsiteRedirectLocation": "/other"}
    world.call("PutObject", Body=b"1", **headers, Metadata={"a": "b"}, Tagging="t=1", StorageClass="STANDARD_IA")
    world.call("CopyObject", DESTINATION, CopySource={"Bucket": SOURCE, "Key": "k"})
    head = world.call("HeadObject", DESTINATION)
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == ("text/plain", "no-store", {"a": "b"})
    assert "WebsiteRedirectLocation" not in head
    assert "StorageClass" not in head
    assert world.call("GetObjectTagging", DESTINATION)["TagSet"] == [{"Key": "t", "Value": "1"}]


def test_a_copy_in_one_call_is_at_most_5_gib(world: World) -> None:
    world.call("PutObject", Body=content(b"1", MAX_COPY_BYTES + 1))
    source = {"Bucket": SOURCE, "Key": "k"}
    assert refused(lambda: world.call("CopyObject", DESTINATION, CopySource=source)) == ("InvalidRequest", 400)
    world.call("PutObject", Body=content(b"1", MAX_COPY_BYTES))
    world.call("CopyObject", DESTINATION, CopySource=f"{SOURCE}/k?versionId={SOURCE}.2")
    assert world.call("HeadObject", DESTINATION)["ContentLength"] == MAX_COPY_BYTES


def test_an_archived_object_is_not_copied_until_it_is_restored(world: World) -> None:
    world.call("PutObject", Body=b"1", StorageClass="GLACIER")
    source = {"Bucket": SOURCE, "Key": "k"}
    assert refused(lambda: world.call("CopyObject", DESTINATION, CopySource=source)) == ("InvalidObjectState", 403)
    world.s3.restore(SOURCE, "k")
    assert 'ongoing-request="false"' in world.call("HeadObject")["Restore"]
    world.call("CopyObject", DESTINATION, CopySource=source)


def test_buckets_that_refuse(world: World) -> None:
    world.call("PutObject", Body=b"1")
    copy: Json = {"CopySource": {"Bucket": SOURCE, "Key": "k"}}
    owner = {"ExpectedBucketOwner": "111111111111"}
    assert refused(lambda: world.call("CopyObject", DESTINATION, **copy, **owner)) == ("AccessDenied", 403)
    world.s3.buckets[SOURCE].refused.add("GetObject")
    assert refused(lambda: world.call("CopyObject", DESTINATION, **copy)) == ("AccessDenied", 403)
    assert refused(lambda: world.call("HeadObject")) == ("403", 403)
    world.s3.buckets[SOURCE].refused = {"ListBucket"}
    assert refused(lambda: world.call("HeadObject", key="missing")) == ("403", 403)
    world.s3.remove_bucket(DESTINATION)
    assert refused(lambda: world.call("CopyObject", DESTINATION, **copy)) == ("NoSuchBucket", 404)
    assert refused(lambda: world.call("HeadObject", DESTINATION)) == ("404", 404)


def test_etags_under_a_kms_key_are_not_those_of_the_bytes(world: World) -> None:
    world.s3.buckets[SOURCE].encryption = "aws:kms"
    first, second = world.call("PutObject", Body=b"1")["ETag"], world.call("PutObject", Body=b"1")["ETag"]
    assert len({first, second, f'"{hashlib.md5(b"1", usedforsecurity=False).hexdigest()}"'}) == 3
    assert world.call("HeadObject")["ServerSideEncryption"] == "aws:kms"


def test_an_upload_in_parts_is_checked_when_it_is_completed(world: World) -> None:
    world.call("PutObject", Body=content(b"1", 12 * 1024**2))
    begun = world.call("CreateMultipartUpload", DESTINATION)["UploadId"]
    place = {"bucket": DESTINATION, "UploadId": begun}
    source: Json = {"CopySource": {"Bucket": SOURCE, "Key": "k"}}

    def copy(number: int, first: int, last: int) -> str:
        span = f"bytes={first}-{last}"
        answer = world.call("UploadPartCopy", **place, **source, PartNumber=number, CopySourceRange=span)
        etag: str = answer["CopyPartResult"]["ETag"]
        return etag

    def complete(*parts: tuple[int, str], **more: Any) -> Json:
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
        return world.call("CompleteMultipartUpload", **place, MultipartUpload={"Parts": listed}, **more)

    one, two = copy(1, 0, 1023), copy(2, 1024, 12 * 1024**2 - 1)
    assert refused(lambda: copy(3, 0, 12 * 1024**2)) == ("InvalidArgument", 400)
    assert refused(lambda: complete((1, one), (2, two))) == ("EntityTooSmall", 400)
    assert refused(lambda: complete((2, two), (1, one))) == ("InvalidPartOrder", 400)
    assert refused(lambda: complete((1, one), (4, two))) == ("InvalidPart", 400)
    assert refused(complete) == ("MalformedXML", 400)
    one, two = copy(1, 0, 6 * 1024**2 - 1), copy(2, 6 * 1024**2, 12 * 1024**2 - 1)
    assert refused(lambda: complete((1, one), (2, two), MpuObjectSize=1)) == ("InvalidRequest", 400)
    assert refused(lambda: complete((1, one), (2, two), ChecksumType="COMPOSITE")) == ("InvalidRequest", 400)
    assert refused(lambda: complete((1, one), (2, two), ChecksumCRC64NVME="AA==")) == ("BadDigest", 400)
    whole = world.call("HeadObject", ChecksumMode="ENABLED")["ChecksumCRC64NVME"]
    done = complete((1, one), (2, two), MpuObjectSize=12 * 1024**2, ChecksumCRC64NVME=whole)
    assert done["ChecksumCRC64NVME"] == whole
    assert refused(lambda: complete((1, one), (2, two))) == ("NoSuchUpload", 404)


def test_a_part_may_land_after_its_upload_was_aborted(world: World) -> None:
    world.call("PutObject", Body=b"1")
    begun = world.call("CreateMultipartUpload", DESTINATION)["UploadId"]
    world.call("AbortMultipartUpload", DESTINATION, UploadId=begun)
    assert "Uploads" not in world.s3.call("ListMultipartUploads", {"Bucket": DESTINATION})
    late = {"Bucket": DESTINATION, "Key": "k", "UploadId": begun, "PartNumber": 1}
    world.s3.land_part({**late, "CopySource": {"Bucket": SOURCE, "Key": "k"}})
    assert len(world.call("ListParts", DESTINATION, UploadId=begun)["Parts"]) == 1
    world.call("AbortMultipartUpload", DESTINATION, UploadId=begun)


def test_ids_do_not_repeat_in_a_bucket_that_is_created_again(world: World) -> None:
    first = world.call("PutObject", Body=b"1")["VersionId"]
    world.s3.remove_bucket(SOURCE)
    world.s3.create_bucket(SOURCE, versioning="Enabled")
    assert world.call("PutObject", Body=b"1")["VersionId"] != first
