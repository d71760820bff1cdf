"""Copies into other regions, and of large files."""

from __future__ import annotations

import base64
import random
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import clients, copy_worker, copying
from handlers.copy_worker import handler
from handlers.copying import CopyError
from handlers.parts import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES, part_size, ranges

from . import account
from .conftest import (
    SOURCE,
    Json,
    before_call,
    client_error,
    create_table,
    empty_account,
    fail_with,
    forget_everything,
    log_lines,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

TABLE = "FileCopyTracking"
KEY = "releases/build 123.zip"
NEAR, FAR, FAR_REGION = "region-a-builds", "region-b-builds", "eu-west-1"
ACCOUNT = "123456789012"
EXECUTION = f"arn:aws:states:us-east-1:{ACCOUNT}:execution:file-copy-workflow:1"
SMALL = b"PK\x03\x04 a build"
# Three parts of 5 MiB, the last of them shorter.
LARGE = random.Random(0).randbytes(11 * 1024**2)  # noqa: S311 - the same at each run
PARTS = 3
KEPT: dict[str, Any] = {
    "ContentType": "application/zip",
    "CacheControl": "no-store",
    "ContentDisposition": "attachment",
    "ContentEncoding": "identity",
    "ContentLanguage": "en",
    "Metadata": {"commit": "abc123"},
    "StorageClass": "STANDARD_IA",
}


waited: list[float] = []
"""The seconds between the attempts of a run, which no test waits for."""


class DiedError(Exception):
    """The function's end in the middle of a run."""


class Context:
    """Of an invocation that has a quarter of an hour."""

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A source, a destination here and one in another region, which keep versions, and a record under way."""
    with empty_account():
        for name, value in {
            "TABLE_NAME": TABLE,
            "MULTIPART_THRESHOLD": str(5 * 1024**2),
            "PARTS_AT_ONCE": "2",
            "RUN_SECONDS": "900",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(copy_worker, "sleep", waited.append)
        waited.clear()
        for bucket, region in ((SOURCE, None), (NEAR, None), (FAR, FAR_REGION)):
            place: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region else {}
            account.s3().create_bucket(Bucket=bucket, **place)
            account.s3().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        create_table(TABLE)
        account.dynamodb().put_item(
            TableName=TABLE,
            Item={"fileKey": {"S": KEY}, "sourceBucket": {"S": SOURCE}, "leaseOwner": {"S": EXECUTION}},
        )
        yield


def put(content: bytes, **options: Any) -> str:
    """Stores the source and returns its version."""
    return account.s3().put_object(Bucket=SOURCE, Key=KEY, Body=content, **options)["VersionId"]


def wanted(bucket: str = FAR, version: str | None = None, **changes: Any) -> Json:
    """What the state machine asks for: a copy of the source as ReadSource saw it."""
    which: Any = {"VersionId": version} if version else {}
    head = account.s3().head_object(Bucket=SOURCE, Key=KEY, ChecksumMode="ENABLED", **which)
    return {
        "executionId": EXECUTION,
        "sourceBucket": SOURCE,
        "sourceKey": KEY,
        "source": {
            "versionId": head["VersionId"],
            "etag": head["ETag"].strip('"'),
            "size": head["ContentLength"],
            "storageClass": head.get("StorageClass", "STANDARD"),
            "checksums": {},
            **changes.pop("source", {}),
        },
        "destinationBucket": bucket,
        "region": FAR_REGION if bucket == FAR else "us-east-1",
        "account": ACCOUNT,
        **changes,
    }


def copy(event: Json) -> Json:
    return handler(event, Context())


def s3_there(bucket: str = FAR) -> S3Client:
    """The handler's own client for a bucket."""
    return copying.client_of(FAR_REGION if bucket == FAR else "us-east-1")


def arrived(bucket: str = FAR) -> bytes:
    return account.s3().get_object(Bucket=bucket, Key=KEY)["Body"].read()


def uploads() -> Json:
    """What the record says of copies in parts that were begun, by bucket."""
    key: Any = {"fileKey": {"S": KEY}, "sourceBucket": {"S": SOURCE}}
    item: Json = {**account.dynamodb().get_item(TableName=TABLE, Key=key)["Item"]}
    begun: Json = item.get("uploads", {}).get("M", {})
    return begun


def unfinished(bucket: str = FAR) -> list[str]:
    return [upload["UploadId"] for upload in account.s3().list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def counted(operation: str, bucket: str = FAR) -> Counter[Any]:
    """Counts the calls of an operation from now on, by the part that they are about."""
    calls: Counter[Any] = Counter()
    before_call(s3_there(bucket), operation, lambda params: calls.update([params.get("PartNumber")]))
    return calls


def in_small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run copies one part and ends."""
    monkeypatch.setenv("PARTS_AT_ONCE", "1")
    monkeypatch.setenv("RUN_SECONDS", "0")


# --- The copy ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("bucket", [NEAR, FAR])
def test_a_copy_is_the_source(bucket: str, content: bytes) -> None:
    """Bytes, headers, metadata, tags and storage class are the source's, of any size and in any region."""
    put(content, Tagging="team=builds&stage=a%20b", **KEPT)
    result = copy(wanted(bucket))
    head = account.s3().head_object(Bucket=bucket, Key=KEY)
    assert arrived(bucket) == content
    assert {name: head.get(name) for name in KEPT} == KEPT
    tags = account.s3().get_object_tagging(Bucket=bucket, Key=KEY)["TagSet"]
    assert sorted((tag["Key"], tag["Value"]) for tag in tags) == [("stage", "a b"), ("team", "builds")]
    assert result.pop("timestamp").endswith("Z")
    assert result == {
        "destinationBucket": bucket,
        "success": True,
        "etag": head["ETag"].strip('"'),
        "versionId": head["VersionId"],
        "check": "none" if content is LARGE else "ETag",
    }
    assert (uploads(), unfinished(bucket)) == ({}, [])


def test_a_website_redirect_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """CopyObject leaves it out unless it is asked to keep it, so a copy would depend on its size."""
    put(SMALL, WebsiteRedirectLocation="/new")
    asked: list[Json] = []
    before_call(s3_there(), "CopyObject", asked.append)
    before_call(s3_there(), "CreateMultipartUpload", asked.append)
    copy(wanted(source={"redirect": "/new"}))
    copy(wanted())
    monkeypatch.setenv("MULTIPART_THRESHOLD", "0")
    forget_everything()
    before_call(s3_there(), "CreateMultipartUpload", asked.append)
    copy(wanted())
    assert [params.get("WebsiteRedirectLocation") for params in asked] == ["/new", None, "/new"]


def test_headers_that_botocore_refuses_are_kept_in_parts() -> None:
    """S3 stores an Expires that is not a date, and metadata of any bytes. CopyObject keeps both, so parts do."""
    put(LARGE)

    def have_them(parsed: Json, **_more: object) -> None:
        parsed["ExpiresString"] = "5d"
        parsed["Metadata"] = {"name": "résumé".encode().decode("latin-1"), "commit": "abc123"}
        parsed["ContentDisposition"] = 'attachment; filename="é.zip"'.encode().decode("latin-1")

    clients.s3().meta.events.register("after-call.s3.HeadObject", have_them)
    sent: list[Any] = []

    def keep(request: Any, **_more: object) -> None:
        sent.append(request.headers)

    s3_there().meta.events.register("before-send.s3.CreateMultipartUpload", keep)
    assert copy(wanted())["success"]
    [headers] = sent
    names = ("Expires", "x-amz-meta-name", "x-amz-meta-commit", "Content-Disposition")
    values = [value.decode() if isinstance(value := headers[name], bytes) else value for name in names]
    assert values == ["5d", "résumé", "abc123", 'attachment; filename="é.zip"']


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_the_copy_is_of_the_version_that_was_asked_for(content: bytes) -> None:
    """A file that is overwritten while it is copied is not mixed with what takes its place."""
    version = put(content)
    event = wanted(version=version)
    put(bytes(reversed(content)))
    copy(event)
    assert arrived() == content


def test_a_source_without_a_version_is_copied() -> None:
    """S3 may take minutes until a new bucket keeps versions."""
    put(LARGE)
    event = wanted()
    del event["source"]["versionId"]
    assert copy(event)["success"]
    assert arrived() == LARGE


def test_a_source_that_has_changed_is_not_copied() -> None:
    """Where no version says which bytes are meant, the ETag does."""
    put(LARGE)
    event = wanted()
    del event["source"]["versionId"]
    put(bytes(reversed(LARGE)))
    result = copy(event)
    assert (result["success"], result["error"]) == (False, "CopyError")
    assert "412" in result["cause"]
    assert unfinished() == []


def test_each_part_is_of_the_source_that_was_seen() -> None:
    """Between two parts a source without versions may change: S3 refuses a part of another one."""
    put(LARGE)
    asked: list[Json] = []
    before_call(s3_there(), "UploadPartCopy", asked.append)
    event = wanted()
    copy(event)
    source = event["source"]
    assert {params["CopySourceIfMatch"] for params in asked} == {f'"{source["etag"]}"'}
    assert {params["CopySource"].partition("?versionId=")[2] for params in asked} == {source["versionId"]}


@pytest.mark.parametrize(("content", "operation"), [(SMALL, "CopyObject"), (LARGE, "CreateMultipartUpload")])
@pytest.mark.parametrize("owner", [ACCOUNT, "210987654321"])
def test_the_bucket_is_its_owners(content: bytes, operation: str, owner: str) -> None:
    """Each call names the account that the bucket is expected in. No call sets an ACL, which a bucket that has none
    would need a permission for."""
    put(content)
    asked: list[tuple[Any, Any]] = []
    every_call: list[Any] = []
    before_call(s3_there(), operation, lambda params: asked.append((params["ExpectedBucketOwner"], params.get("ACL"))))
    s3_there().meta.events.register(
        "provide-client-params.s3", lambda params, **_: every_call.append(params.get("ExpectedBucketOwner"))
    )
    copy(wanted(account=owner))
    assert asked == [(owner, None)]
    assert set(every_call) == {owner}


# --- Checksums --------------------------------------------------------------------------------------------------


def answer_with(operation: str, **members: str) -> None:
    """Has S3's answers to an operation have these checksums and no others."""

    def replace(parsed: Json, **_more: object) -> None:
        answer = parsed.get("CopyObjectResult", parsed)
        for name in [name for name in answer if name.startswith("Checksum")]:
            del answer[name]
        answer.update(members)

    s3_there().meta.events.register(f"after-call.s3.{operation}", replace)


@pytest.mark.parametrize(("content", "operation"), [(SMALL, "CopyObject"), (LARGE, "CompleteMultipartUpload")])
@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({"ChecksumCRC64NVME": "AAAA"}, {"success": True, "check": "CRC64NVME"}),
        (
            {"ChecksumCRC64NVME": "BBBB"},
            {
                "success": False,
                "error": "ChecksumMismatch",
                "cause": "ChecksumCRC64NVME of the copy is BBBB, of the source AAAA",
            },
        ),
        # Of other parts, or of another kind: they say nothing.
        ({"ChecksumCRC64NVME": "AAAA-3"}, {"success": True}),
        ({"ChecksumSHA256": "AAAA"}, {"success": True}),
    ],
)
def test_a_checksum_that_both_have_decides(
    content: bytes, operation: str, theirs: dict[str, str], expected: dict[str, Any]
) -> None:
    """The record says by what a copy is known to be the source's bytes, and a damaged copy is no success."""
    put(content)
    answer_with(operation, **theirs)
    result = copy(wanted(source={"checksums": {"ChecksumCRC64NVME": "AAAA"}}))
    by_etag = {"check": "ETag" if content is SMALL else "none"} if expected["success"] else {}
    assert {name: result[name] for name in {**by_etag, **expected}} == {**by_etag, **expected}


@pytest.mark.parametrize(
    ("checksums", "begun_with", "completed_with"),
    [
        ({}, "CRC64NVME", {}),
        ({"ChecksumCRC64NVME": "AAAA"}, "CRC64NVME", {"ChecksumCRC64NVME": "AAAA"}),
        ({"ChecksumCRC32": "AAAA=="}, "CRC32", {"ChecksumCRC32": "AAAA=="}),
        # S3 does not make this one of a whole object's parts.
        ({"ChecksumSHA256": "AAAA"}, "CRC64NVME", {}),
    ],
)
def test_s3_is_told_what_to_compare(checksums: dict[str, str], begun_with: str, completed_with: dict[str, str]) -> None:
    """S3 itself then refuses to put together what is not the source; and a copy has a checksum in any case."""
    put(LARGE)
    begun: list[Json] = []
    completed: list[Json] = []
    before_call(s3_there(), "CreateMultipartUpload", begun.append)
    before_call(s3_there(), "CompleteMultipartUpload", completed.append)
    copy(wanted(source={"checksums": checksums}))
    assert (begun[0]["ChecksumAlgorithm"], begun[0]["ChecksumType"]) == (begun_with, "FULL_OBJECT")
    told = {name: value for name, value in completed[0].items() if name.startswith("Checksum")}
    assert told == {"ChecksumType": "FULL_OBJECT", **completed_with}
    assert completed[0]["MpuObjectSize"] == len(LARGE)


def test_a_cause_is_no_longer_than_a_result_has_room_for() -> None:
    """As long as Step Functions' own: a thousand results have to fit into one state's output."""
    put(SMALL)
    answer_with("CopyObject", ChecksumSHA256="B" * 44)
    result = copy(wanted(source={"checksums": {"ChecksumSHA256": "A" * 44}}))
    assert result["cause"] == f"ChecksumSHA256 of the copy is {'B' * 44}"[:60]


def have_parts(parts: list[bytes], name: str = "ChecksumCRC32") -> list[Json]:
    """Has S3 tell of the source's parts, two on a page, as it does where they were uploaded with checksums. Returns
    what it is asked."""
    asked: list[Json] = []
    before_call(clients.s3(), "GetObjectAttributes", asked.append)

    def tell(parsed: Json, **_more: object) -> None:
        first = asked[-1].get("PartNumberMarker", 0)
        numbered = list(enumerate(parts, start=1))[first : first + 2]
        parsed["ObjectParts"] = {
            "TotalPartsCount": len(parts),
            "IsTruncated": first + 2 < len(parts),
            "NextPartNumberMarker": numbered[-1][0],
            "Parts": [{"PartNumber": number, "Size": len(part), name: crc32(part)} for number, part in numbered],
        }

    clients.s3().meta.events.register("after-call.s3.GetObjectAttributes", tell)
    return asked


def crc32(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def in_thirds(content: bytes) -> list[bytes]:
    third = len(content) // 3
    return [content[:third], content[third : 2 * third], content[2 * third :]]


@pytest.mark.parametrize(
    ("content", "operation"), [(SMALL, "CopyObject"), (LARGE, "CompleteMultipartUpload")], ids=["small", "large"]
)
def test_checksums_of_parts_make_one_to_compare(content: bytes, operation: str) -> None:
    """A file that boto3 uploaded in parts has none of its whole, and is compared all the same."""
    version = put(content)
    asked = have_parts(in_thirds(content))
    of_parts: Json = {"source": {"checksumOfParts": "CRC32"}}
    for theirs, known in ((crc32(content), "CRC32"), ("AAAA==", None)):
        answer_with(operation, ChecksumCRC32=theirs)
        result = copy(wanted(**of_parts))
        assert (result["success"], result.get("check")) == (known is not None, known)
    assert result["error"] == "ChecksumMismatch"
    assert crc32(content) in result["cause"]
    assert [params["VersionId"] for params in asked] == [version] * 4


def test_s3_is_told_the_checksum_that_the_parts_make() -> None:
    """A damaged part then makes no object at all."""
    put(LARGE)
    have_parts(in_thirds(LARGE))
    completed: list[Json] = []
    before_call(s3_there(), "CompleteMultipartUpload", completed.append)
    copy(wanted(source={"checksumOfParts": "CRC32"}))
    assert completed[0]["ChecksumCRC32"] == crc32(LARGE)


@pytest.mark.parametrize("parts", [[SMALL[:3]], []], ids=["some", "none"])
def test_parts_that_s3_does_not_tell_of_hinder_no_copy(parts: list[bytes]) -> None:
    """No checksum is made of some of them: it would call a good copy damaged."""
    put(SMALL)
    if parts:
        have_parts(parts)
    answer_with("CopyObject", ChecksumCRC32=crc32(SMALL))
    result = copy(wanted(source={"checksumOfParts": "CRC32"}))
    assert (result["success"], result["check"]) == (True, "ETag")


def test_a_small_copy_gets_a_checksum_where_the_source_has_none() -> None:
    """What is copied on from there can be compared."""
    put(SMALL)
    asked: list[Json] = []
    before_call(s3_there(), "CopyObject", asked.append)
    copy(wanted())
    copy(wanted(source={"checksums": {"ChecksumSHA1": "AAAA"}}))
    assert [params["ChecksumAlgorithm"] for params in asked] == ["CRC64NVME", "SHA1"]


def test_what_s3_does_not_put_together_has_failed() -> None:
    """Parts whose checksum is not the source's make no object, and are not paid for."""
    put(LARGE)
    before_call(s3_there(), "CompleteMultipartUpload", fail_with(client_error("BadDigest")))
    result = copy(wanted(source={"checksums": {"ChecksumCRC32": "AAAA=="}}))
    assert (result["success"], result["error"]) == (False, "ChecksumMismatch")
    assert (uploads(), unfinished()) == ({}, [])


def put_in_parts(content: bytes, size: int, bucket: str = SOURCE) -> None:
    """Stores the source, or what is in a destination, in parts."""
    s3 = account.s3()
    whose: Any = {"Bucket": bucket, "Key": KEY}
    upload_id = s3.create_multipart_upload(**whose)["UploadId"]
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    done: Any = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**whose, UploadId=upload_id, PartNumber=number, Body=part)["ETag"],
        }
        for number, part in enumerate(parts, start=1)
    ]
    s3.complete_multipart_upload(**whose, UploadId=upload_id, MultipartUpload={"Parts": done})


@pytest.mark.parametrize("size", [6 * 1024**2, 5 * 1024**2 + 1])
def test_a_source_made_of_parts_is_known_by_its_etag(size: int) -> None:
    """Without a checksum to compare, a copy of the same parts has the same ETag, which is made of their bytes."""
    put_in_parts(LARGE, size)
    result = copy(wanted())
    assert (result["check"], result["etag"]) == ("ETag", wanted()["source"]["etag"])


# --- Going on ---------------------------------------------------------------------------------------------------


def test_a_run_goes_on_where_the_last_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that takes longer than a run may is made in several, and no part of it twice; the record says how far."""
    in_small_runs(monkeypatch)
    put(LARGE)
    parts = counted("UploadPartCopy")
    seen = []
    for _ in range(PARTS - 1):
        assert copy(wanted()) == {"destinationBucket": FAR}
        seen.append({name: uploads()[FAR]["M"][name]["N"] for name in ("copiedBytes", "totalBytes", "partSize")})
    assert copy(wanted())["success"]
    assert parts == {1: 1, 2: 1, 3: 1}
    assert seen == [
        {"copiedBytes": str(count * 5 * 1024**2), "totalBytes": str(len(LARGE)), "partSize": str(5 * 1024**2)}
        for count in (1, 2)
    ]
    assert arrived() == LARGE
    assert (uploads(), unfinished()) == ({}, [])


def test_an_attempt_that_failed_half_way_is_gone_on_with() -> None:
    """What an attempt has copied before it failed is not copied again by the next."""
    put(LARGE)
    parts = counted("UploadPartCopy")
    before_call(
        s3_there(),
        "UploadPartCopy",
        fail_with(client_error("SlowDown", 503), lambda params: len(waited) < 2 and params["PartNumber"] == 3),
    )
    assert copy(wanted())["success"]
    assert waited == [2, 4]
    assert parts == {1: 1, 2: 1, 3: 3}
    assert arrived() == LARGE


def test_a_copy_that_is_there_already_is_not_made_again() -> None:
    """A run that died after it had put the parts together leaves a copy that nobody has told of."""
    put_in_parts(LARGE, 5 * 1024**2)
    event = wanted()
    dynamodb = clients.dynamodb()
    dies = [True]
    before_call(
        dynamodb,
        "UpdateItem",
        fail_with(DiedError(), lambda params: dies[0] and params["UpdateExpression"].startswith("REMOVE")),
    )
    with pytest.raises(DiedError):
        copy(event)
    dies[0] = False
    parts = counted("UploadPartCopy")
    result = copy(event)
    assert (result["success"], result["check"]) == (True, "ETag")
    assert (parts, uploads()) == ({}, {})


def test_an_upload_that_is_gone_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lifecycle rule, or somebody, may have thrown the parts away."""
    in_small_runs(monkeypatch)
    put(LARGE)
    copy(wanted())
    account.s3().abort_multipart_upload(Bucket=FAR, Key=KEY, UploadId=uploads()[FAR]["M"]["uploadId"]["S"])
    results = [copy(wanted()) for _ in range(PARTS)]
    assert ["success" in result for result in results] == [False, False, True]
    assert arrived() == LARGE


@pytest.mark.parametrize("is_whole", [True, False], ids=["the same bytes, whole", "other bytes, in as many parts"])
def test_what_else_is_there_is_not_taken_for_the_copy(monkeypatch: pytest.MonkeyPatch, *, is_whole: bool) -> None:
    """An upload that is gone was put together only if what is there has its parts and the source's bytes."""
    in_small_runs(monkeypatch)
    put(LARGE, Metadata={"commit": "abc123"})
    copy(wanted())
    account.s3().abort_multipart_upload(Bucket=FAR, Key=KEY, UploadId=uploads()[FAR]["M"]["uploadId"]["S"])
    if is_whole:
        account.s3().put_object(Bucket=FAR, Key=KEY, Body=LARGE)
    else:
        put_in_parts(bytes(reversed(LARGE)), MIN_PART_BYTES, FAR)
    results = [copy(wanted()) for _ in range(PARTS)]
    assert ["success" in result for result in results] == [False, False, True]
    assert arrived() == LARGE
    assert account.s3().head_object(Bucket=FAR, Key=KEY)["Metadata"] == {"commit": "abc123"}


def test_an_upload_of_another_version_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an execution left that was stopped is not mixed with a newer version, and not paid for."""
    in_small_runs(monkeypatch)
    put(LARGE)
    copy(wanted())
    [left] = unfinished()
    newer = bytes(reversed(LARGE))
    put(newer)
    results = [copy(wanted()) for _ in range(PARTS)]
    assert ["success" in result for result in results] == [False, False, True]
    assert left not in unfinished()
    assert arrived() == newer
    assert unfinished() == []


def test_a_copy_that_is_given_up_leaves_no_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that nobody goes on with would be paid for until the bucket's lifecycle rule finds them."""
    in_small_runs(monkeypatch)
    put(LARGE)
    copy(wanted())
    assert len(unfinished()) == 1
    for _ in range(2):
        assert copy(wanted(abort=True)) == {"destinationBucket": FAR}
        assert (uploads(), unfinished()) == ({}, [])


def test_a_part_that_came_after_the_end_is_thrown_away_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 finishes a part that a run asked for which has died, whatever was aborted meanwhile."""
    in_small_runs(monkeypatch)
    put(LARGE)
    copy(wanted())
    other = account.s3().create_multipart_upload(Bucket=FAR, Key="another")["UploadId"]
    aborted: list[str] = []

    def miss_the_first(params: Json) -> None:
        aborted.append(params["UploadId"])
        if len(aborted) == 1:
            params.update(Key="another", UploadId=other)

    # The next run has time.
    monkeypatch.setenv("RUN_SECONDS", "900")
    forget_everything()
    before_call(s3_there(), "AbortMultipartUpload", miss_the_first)
    copy(wanted(abort=True))
    assert len(aborted) == 2
    assert waited == [2]
    assert (uploads(), unfinished()) == ({}, [])


# --- What the destination has already ---------------------------------------------------------------------------

COPIED, COPIED_IN_PARTS = {"s3Event": "ObjectCreated:Copy"}, {"s3Event": "ObjectCreated:CompleteMultipartUpload"}


def put_there(content: bytes, bucket: str = FAR, **options: Any) -> str:
    return account.s3().put_object(Bucket=bucket, Key=KEY, Body=content, **options)["VersionId"]


def versions(bucket: str = FAR) -> int:
    return len(account.s3().list_object_versions(Bucket=bucket).get("Versions", []))


@pytest.mark.parametrize("bucket", [NEAR, FAR])
@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("event", [COPIED, COPIED_IN_PARTS], ids=["copied", "copied in parts"])
def test_a_copy_that_exists_already_is_not_made_again(content: bytes, bucket: str, event: Json) -> None:
    """Two stacks that copy to each other stop after one round: what came back is what was sent."""
    put(content, **KEPT)
    version = put_there(content, bucket, **KEPT)
    result = copy(wanted(bucket, **event))
    etag = wanted(bucket)["source"]["etag"]
    assert result.pop("timestamp")
    assert result == {
        "destinationBucket": bucket, "success": True, "etag": etag, "versionId": version, "check": "ETag",
    }  # fmt: skip
    assert (versions(bucket), unfinished(bucket)) == (1, [])


def test_a_ring_of_buckets_ends_after_one_round() -> None:
    """A file goes from bucket to bucket, and the last of them finds that the first has it."""
    put_there(SMALL, SOURCE, **KEPT)
    ring = [SOURCE, NEAR, FAR]
    event: Json = {"s3Event": "ObjectCreated:Put"}
    made = 0
    for source, target in zip(ring, [*ring[1:], ring[0]], strict=True):
        head = account.s3().head_object(Bucket=source, Key=KEY)
        before = versions(target)
        hop = wanted(target, sourceBucket=source, **event)
        hop["source"] |= {"versionId": head["VersionId"], "etag": head["ETag"].strip('"')}
        assert copy(hop)["success"]
        made += versions(target) - before
        event = COPIED
    assert made == 2


@pytest.mark.parametrize(
    ("there", "options"),
    [
        (None, {}),
        (SMALL[:-1], KEPT),
        (bytes(reversed(SMALL)), KEPT),
        (SMALL, {**KEPT, "Metadata": {"commit": "another"}}),
        (SMALL, {**KEPT, "ContentType": "text/plain"}),
        (SMALL, {**KEPT, "Expires": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    ],
    ids=["nothing", "another size", "other bytes", "other metadata", "another type", "an expiry"],
)
def test_what_differs_is_copied(there: bytes | None, options: Json) -> None:
    """In a chain of stacks the next one still gets each new file, and each change of its headers."""
    put(SMALL, **KEPT)
    if there is not None:
        put_there(there, **options)
    assert copy(wanted(**COPIED))["success"]
    assert versions() == (1 if there is None else 2)
    assert arrived() == SMALL
    assert account.s3().head_object(Bucket=FAR, Key=KEY)["Metadata"] == KEPT["Metadata"]


def test_a_checksum_decides_before_the_etag() -> None:
    """Equal bytes have different ETags if a KMS key encrypts them; a checksum tells that they are equal."""
    put(SMALL)
    version = put_there(SMALL)

    def change(parsed: Json, **_more: object) -> None:
        parsed.update(ETag='"another"', ChecksumCRC64NVME="AAAA")

    s3_there().meta.events.register("after-call.s3.HeadObject", change)
    result = copy(wanted(source={"checksums": {"ChecksumCRC64NVME": "AAAA"}}, **COPIED))
    assert (result["check"], result["versionId"], versions()) == ("CRC64NVME", version, 1)
    copy(wanted(source={"checksums": {"ChecksumCRC64NVME": "BBBB"}}, **COPIED))
    assert versions() == 2
    copy(wanted(source={"checksums": {}}, **COPIED))
    assert versions() == 3


@pytest.mark.parametrize("event", [{}, {"s3Event": "ObjectCreated:Put"}, {"s3Event": ""}])
def test_a_persons_upload_does_not_pay_for_the_look(event: Json) -> None:
    """A file that a person uploads again is copied again, without a request more."""
    put(SMALL)
    put_there(SMALL)
    looks = counted("HeadObject")
    assert copy(wanted(**event))["success"]
    assert (versions(), looks) == (2, {})


@pytest.mark.parametrize("status", [403, 404])
def test_a_destination_that_cannot_be_looked_into_is_copied_to(status: int) -> None:
    """S3 answers 403 also for a key that is not there, if the role may not list the bucket: chains go on."""
    put(SMALL)
    put_there(SMALL)
    before_call(s3_there(), "HeadObject", fail_with(client_error(str(status), status)))
    assert copy(wanted(**COPIED))["success"]
    assert versions() == 2


def test_a_busy_destination_is_looked_into_again() -> None:
    """Whether the copy exists is not known, so it is not made before S3 answers."""
    put(SMALL)
    before_call(s3_there(), "HeadObject", fail_with(client_error("503", 503), lambda _: len(waited) < 3))
    assert copy(wanted(**COPIED))["success"]
    assert waited == [2, 4, 8]


def test_an_upload_that_was_begun_for_what_exists_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run begins a copy in parts; before the next one, the same file arrives in another way."""
    in_small_runs(monkeypatch)
    put(LARGE)
    copy(wanted(**COPIED))
    assert len(unfinished()) == 1
    put_there(LARGE)
    assert copy(wanted(**COPIED))["success"]
    assert (uploads(), unfinished(), versions()) == ({}, [], 1)


# --- What cannot be copied --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_a_missing_bucket_is_a_result(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """What no attempt mends is told at once, by the name that Step Functions has for it."""
    put(content)
    result = copy(wanted("not-there"))
    assert (result["success"], result["error"]) == (False, "S3.NoSuchBucketException")
    assert result["cause"] == "The specified bucket does not exist"
    assert [line["message"] for line in log_lines(capsys) if line["level"] == "ERROR"] == ["Copy failed"]


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_a_missing_source_is_a_result(content: bytes) -> None:
    """A source that was deleted for good while it waited for its copy."""
    version = put(content)
    event = wanted()
    account.s3().delete_object(Bucket=SOURCE, Key=KEY, VersionId=version)
    result = copy(event)
    assert (result["success"], result["error"]) == (False, "S3.NoSuchKeyException")
    assert unfinished() == []


def test_a_source_that_goes_missing_leaves_no_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was copied of a file that is gone for good would never be gone on with."""
    in_small_runs(monkeypatch)
    version = put(LARGE)
    event = wanted()
    copy(event)
    account.s3().delete_object(Bucket=SOURCE, Key=KEY, VersionId=version)
    assert copy(event)["error"] == "S3.NoSuchKeyException"
    assert (uploads(), unfinished()) == ({}, [])


@pytest.mark.parametrize(("content", "operation"), [(SMALL, "CopyObject"), (LARGE, "CreateMultipartUpload")])
@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "RequestTimeout", "503"])
def test_what_may_come_right_is_retried_and_then_a_result(content: bytes, operation: str, code: str) -> None:
    """A busy S3 is no error of the function, and no alarm. After three retries, the result has what S3 said."""
    put(content)
    before_call(s3_there(), operation, fail_with(client_error(code, 503)))
    result = copy(wanted())
    assert (result["success"], result["error"], result["cause"]) == (False, "CopyError", f"{code}: Told by a test")
    assert waited == [2, 4, 8]
    assert (uploads(), unfinished()) == ({}, [])


def test_an_upload_of_a_failed_copy_is_aborted() -> None:
    """S3 bills the parts of an upload until it is aborted."""
    put(LARGE)
    busy = fail_with(client_error("SlowDown", 503), lambda params: params["PartNumber"] == 3)
    before_call(s3_there(), "UploadPartCopy", busy)
    assert copy(wanted())["error"] == "CopyError"
    assert (uploads(), unfinished()) == ({}, [])


def test_a_failed_copy_whose_upload_cannot_be_aborted_is_tried_again() -> None:
    """The workflow calls the function again, and has it abort the upload in the end. The error is that of the copy."""
    put(LARGE)
    before_call(s3_there(), "UploadPartCopy", fail_with(client_error("SlowDown", 503)))
    before_call(s3_there(), "AbortMultipartUpload", fail_with(client_error("InternalError", 500)))
    with pytest.raises(CopyError, match="SlowDown"):
        copy(wanted())
    assert (len(uploads()), len(unfinished())) == (1, 1)


def test_there_is_no_attempt_after_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda would end it in the middle. Step Functions calls the function again."""
    monkeypatch.setenv("RUN_SECONDS", "1")
    put(SMALL)
    before_call(s3_there(), "CopyObject", fail_with(client_error("SlowDown", 503)))
    with pytest.raises(CopyError, match="SlowDown"):
        copy(wanted())
    assert waited == []


CUSTOMER_KEY = "encrypted with a customer's key, which S3 does not let anyone copy without it"


@pytest.mark.parametrize(
    ("code", "message", "error", "cause"),
    [
        ("AccessDenied", "Access Denied", "AccessDenied", "Access Denied"),
        ("403", "Forbidden", "AccessDenied", f"access to {KEY} in {SOURCE} denied"),
        ("NoSuchKey", "The specified key does not exist.", "NoSuchKey", f"{KEY} is not in {SOURCE}"),
        ("NoSuchVersion", "No such version.", "NoSuchKey", f"{KEY} is not in {SOURCE}"),
        ("404", "Not Found", "NoSuchKey", f"{KEY} is not in {SOURCE}"),
        ("InvalidObjectState", "The operation is not valid", "InvalidObjectState", "archived: restore it first"),
        ("ObjectNotInActiveTierError", "Not active", "InvalidObjectState", "archived: restore it first"),
        ("405", "Method Not Allowed", "MethodNotAllowed", f"the version of {KEY} is a delete marker"),
        ("InvalidRequest", "stored using a form of Server Side Encryption.", "InvalidRequest", CUSTOMER_KEY),
        ("InvalidRequest", "The copy source is too large", "InvalidRequest", "The copy source is too large"),
        ("400", "Bad Request", "InvalidRequest", CUSTOMER_KEY),
    ],
)
@pytest.mark.parametrize(("content", "operation"), [(SMALL, "CopyObject"), (LARGE, "UploadPartCopy")])
def test_a_permanent_error_is_a_result(
    content: bytes, operation: str, code: str, message: str, error: str, cause: str
) -> None:
    """An error that no attempt can fix is told at once, in words that say what it is, and leaves no upload."""
    put(content)
    refusal = client_error(code, 400)
    refusal.response["Error"]["Message"] = message
    before_call(s3_there(), operation, fail_with(refusal))
    result = copy(wanted(maxCauseLength=400))
    assert (result["success"], result["error"], result["cause"]) == (False, f"S3.{error}Exception", cause)
    assert (uploads(), unfinished()) == ({}, [])


def test_a_record_that_is_anothers_is_left_alone() -> None:
    """An execution that has lost its lease begins nothing: its copy could overwrite a newer one."""
    put(LARGE)
    account.dynamodb().put_item(
        TableName=TABLE,
        Item={"fileKey": {"S": KEY}, "sourceBucket": {"S": SOURCE}, "leaseOwner": {"S": "another"}},
    )
    result = copy(wanted())
    assert (result["success"], result["error"]) == (False, "LostRecordError")
    assert "Another execution has taken over" in result["cause"]
    assert waited == []
    assert (uploads(), unfinished()) == ({}, [])


# --- Parts ------------------------------------------------------------------------------------------------------


@given(st.integers(1, MAX_PART_BYTES * MAX_PARTS))
def test_parts_are_within_s3s_limits(size: int) -> None:
    """Any object that S3 has fits into parts that S3 takes."""
    part = part_size(size)
    assert MIN_PART_BYTES <= part <= MAX_PART_BYTES
    assert part * MAX_PARTS >= size
    assert part % 1024**2 == 0


def test_parts_of_known_files() -> None:
    """Several parts of a file just too large for one call; few requests for a large one; the largest still fits."""
    gib = 1024**3
    assert part_size(5 * gib) == 80 * 1024**2
    assert part_size(500 * gib) == 512 * 1024**2
    assert part_size(50 * 10**12) == 4769 * 1024**2
    with pytest.raises(ValueError, match="do not fit"):
        part_size(MAX_PART_BYTES * MAX_PARTS + 1)


@given(st.integers(1, 10**6), st.integers(1, 10**5))
def test_ranges_are_the_whole_file_once(size: int, part: int) -> None:
    """No byte is left out or copied twice."""
    at = 0
    for number, (given_number, text) in enumerate(ranges(size, max(part, size // 100 + 1)), start=1):
        first, last = (int(bound) for bound in text.removeprefix("bytes=").split("-"))
        assert (given_number, first) == (number, at)
        at = last + 1
    assert at == size
