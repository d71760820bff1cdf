"""Makes one copy that Step Functions cannot ask S3 for: into another region, of a file too large for CopyObject, or of
one whose parts have checksums and the whole has none.

A large file is copied in parts, several at a time, within S3 and its regions: no byte of it passes through here. What
one run does not finish, the next goes on with: the record has the upload's id, and S3 the parts that are done. So a
run that was ended half-way, or called again, copies no part twice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from botocore.config import Config
from botocore.exceptions import ClientError

from . import checksums, clients, log, text, tracking
from .environment import Variables

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CopySourceTypeDef

# S3 user guide, "Amazon S3 multipart upload limits".
MIN_PART_BYTES = 5 * 1024**2
MAX_PART_BYTES = 5 * 1024**3
MAX_PARTS = 10_000

# Enough parts to have several at a time, and no more requests than that takes: a part of 512 MiB takes some seconds.
_PARTS_WANTED = 64
_LARGEST_PART_WANTED = 512 * 1024**2
_MIB = 1024**2

# Seconds that a run keeps for its end: for the parts that are under way, and to put all of them together.
_TIME_FOR_THE_END = 60.0
# Seconds between two notes of the progress in the record, each of which is a write.
_NOTE_INTERVAL = 10.0

# S3 answers while it copies, so a silence of this many seconds is no slow copy.
_READ_TIMEOUT = 120

# Checksums of a whole object that S3 can make from its parts' (S3 user guide, "Checking object integrity").
_OF_PARTS = ("CRC64NVME", "CRC32C", "CRC32")
_DEFAULT_CHECKSUM = "CRC64NVME"

# What no later attempt mends, by S3's code, and the name that Step Functions has for it.
_MISSING = {
    "NoSuchBucket": "S3.NoSuchBucketException",
    "NoSuchKey": "S3.NoSuchKeyException",
    "NoSuchVersion": "S3.NoSuchKeyException",
    # HeadObject's answers have no body, so no code either but the status.
    "404": "S3.NoSuchKeyException",
}
# As long as Step Functions' own, in NOT_COPIED of components/workflow/expressions.py.
_MAX_CAUSE_LENGTH = 60

# What a copy made in parts is not given by S3 itself, by HeadObject's names.
_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
    "WebsiteRedirectLocation",
)


@dataclass(frozen=True, kw_only=True)
class Environment(Variables):
    """Environment variables, by their names in lower case."""

    table_name: str
    multipart_threshold: int
    """Bytes; a file of more is copied in parts."""
    parts_at_once: int
    run_seconds: float
    """How long a run goes on beginning parts, if Lambda does not end it sooner."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """The copy that is wanted. ``etag`` and ``checksums``, by S3's names, are the source's, ``checksum_of_parts`` the
    algorithm of what it has instead; ``account`` is the destination's owner."""

    execution_id: str
    source_bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    storage_class: str
    checksums: dict[str, str]
    checksum_of_parts: str | None
    bucket: str
    region: str
    account: str

    @property
    def source(self) -> CopySourceTypeDef:
        source: CopySourceTypeDef = {"Bucket": self.source_bucket, "Key": self.key}
        if self.version_id:
            source["VersionId"] = self.version_id
        return source

    @property
    def quoted_etag(self) -> str:
        """The source's ETag as a condition has it."""
        return f'"{self.etag}"'

    @property
    def owner(self) -> dict[str, Any]:
        """What makes S3 refuse a bucket that has become somebody else's."""
        return {"ExpectedBucketOwner": self.account}

    @property
    def for_its_owner(self) -> dict[str, Any]:
        """Without this, a bucket of another account that still has ACLs would hold an object that is not its own."""
        is_ours = self.account == self.execution_id.split(":")[4]
        return {} if is_ours else {"ACL": "bucket-owner-full-control"}


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A multipart upload that was begun, as the record has it."""

    id: str
    part_size: int
    of: str
    """The version, or where there is none the ETag, of the source that it copies."""


class CopyError(Exception):
    """The copy could not be made now, and may be tried again."""


class LostRecordError(Exception):
    """The record is another execution's by now: this one has nothing more to do."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One copy, as the state machine asks for it.

    Args:
        event: ``executionId``, ``sourceBucket``, ``sourceKey``, ``source`` (``versionId`` if there is one, ``etag``,
            ``size``, ``storageClass``, ``checksums``, and ``checksumOfParts``, an algorithm's name, where its parts
            have checksums and the whole has none), ``destinationBucket``, its ``region`` and ``account``. With
            ``abort`` true, what was begun of the copy is thrown away.

    Returns:
        ``destinationBucket``, and where the copy is made or cannot be made, the rest of its result: ``success``,
        ``timestamp``, ``etag``, ``versionId`` and ``check``, or ``error`` and ``cause``. Without ``success``, the next
        run goes on with it.

    Raises:
        CopyError: the copy may be tried again.
        LostRecordError: a newer execution has the record.
    """
    copy = _copy(event)
    log.about(executionArn=copy.execution_id, key=copy.key, bucket=copy.bucket)
    if event.get("abort"):
        _abort_what_was_begun(copy)
        return {"destinationBucket": copy.bucket}
    try:
        if copy.checksum_of_parts:
            copy = replace(copy, checksums=_of_the_whole(copy, copy.checksum_of_parts))
        if copy.size <= Environment.read().multipart_threshold:
            return _at_once(copy)
        return _in_parts(copy, _deadline(context))
    except ClientError as error:
        code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        if code in _MISSING:
            _abort_what_was_begun(copy)
            log.error("Copy cannot be made", error)
            return _failed(copy, _MISSING[code], message)
        # Short, as the record keeps it; the log has the operation.
        raise CopyError(f"{code}: {message}") from error


def _copy(event: dict[str, Any]) -> Copy:
    source = event["source"]
    return Copy(
        execution_id=text.required(event["executionId"]),
        source_bucket=text.required(event["sourceBucket"]),
        key=text.required(event["sourceKey"]),
        version_id=text.optional(source.get("versionId")),
        etag=text.required(source["etag"]),
        size=int(source["size"]),
        storage_class=text.required(source["storageClass"]),
        checksums=dict(source["checksums"]),
        checksum_of_parts=text.optional(source.get("checksumOfParts")),
        bucket=text.required(event["destinationBucket"]),
        region=text.required(event["region"]),
        account=text.required(event["account"]),
    )


def _deadline(context: Any) -> float:
    """When no part is begun any more, by the monotonic clock."""
    left: float = context.get_remaining_time_in_millis() / 1000 - _TIME_FOR_THE_END
    return time.monotonic() + min(left, Environment.read().run_seconds)


@cache
def _s3(region: str) -> S3Client:
    """S3 where the copies go: it is the destination's region that makes them."""
    config = Config(
        connect_timeout=3,
        read_timeout=_READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": 5},
        max_pool_connections=Environment.read().parts_at_once,
    )
    return cast("S3Client", clients.session().create_client("s3", region_name=region, config=config))


def _of_the_whole(copy: Copy, algorithm: str) -> dict[str, str]:
    """The source's checksum, made of those of its parts; nothing where S3 does not give them all."""
    name, after = f"Checksum{algorithm}", dict[str, Any]()
    parts: list[tuple[str, int]] = []
    while True:
        answer = clients.s3().get_object_attributes(**copy.source, ObjectAttributes=["ObjectParts"], **after)
        page: Any = answer.get("ObjectParts", {})
        parts += [(part[name], part["Size"]) for part in page.get("Parts", []) if name in part]
        if not page.get("IsTruncated"):
            break
        after = {"PartNumberMarker": page["NextPartNumberMarker"]}
    if sum(size for _, size in parts) != copy.size:
        return {}
    return {name: checksums.of_the_whole(algorithm, parts)}


# --- Results ----------------------------------------------------------------------------------------------------


def _made(copy: Copy, answer: dict[str, Any], version_id: str | None) -> dict[str, Any]:
    """The result of a copy that S3 has made: whether it is the source's bytes, and by what that is known."""
    etag = answer["ETag"].strip('"')
    check = "ETag" if etag == copy.etag else "none"
    for name, ours in copy.checksums.items():
        theirs = answer.get(name)
        if not theirs or "-" in theirs:
            continue
        if theirs != ours:
            return _failed(copy, "ChecksumMismatch", f"{name} of the copy is {theirs}, of the source {ours}")
        check = name.removeprefix("Checksum")
    log.info("Copy made", check=check, size=copy.size)
    result = {
        "destinationBucket": copy.bucket,
        "success": True,
        "etag": etag,
        "check": check,
        "timestamp": tracking.now(),
    }
    return {**result, "versionId": version_id} if version_id else result


def _failed(copy: Copy, error: str, cause: str) -> dict[str, Any]:
    plain = text.printable(cause).encode("ascii", "replace").decode()
    return {
        "destinationBucket": copy.bucket,
        "success": False,
        "error": error,
        "cause": plain[:_MAX_CAUSE_LENGTH],
        "timestamp": tracking.now(),
    }


# --- Small files ------------------------------------------------------------------------------------------------


def _at_once(copy: Copy) -> dict[str, Any]:
    algorithm = next(iter(copy.checksums), f"Checksum{_DEFAULT_CHECKSUM}").removeprefix("Checksum")
    arguments: dict[str, Any] = {"StorageClass": copy.storage_class, "ChecksumAlgorithm": algorithm}
    answer = _s3(copy.region).copy_object(
        Bucket=copy.bucket, Key=copy.key, CopySource=copy.source, **arguments, **copy.owner, **copy.for_its_owner
    )
    return _made(copy, {**answer["CopyObjectResult"]}, answer.get("VersionId"))


# --- Large files ------------------------------------------------------------------------------------------------


def _in_parts(copy: Copy, deadline: float) -> dict[str, Any]:
    upload = _begun(copy)
    done: dict[int, str] = {}
    if upload is not None:
        found = _parts_of(copy, upload)
        if found is None:
            # Put together by a run that could not say so any more; or thrown away.
            if (made := _already_made(copy, upload)) is not None:
                _forget(copy)
                return made
            upload = None
        else:
            done = found
    if upload is None:
        upload = _begin(copy)
    if not _copy_parts(copy, upload, done, deadline):
        return {"destinationBucket": copy.bucket}
    result = _put_together(copy, upload, done)
    _forget(copy)
    return result


def part_size(size: int) -> int:
    """Bytes in each part but the last of an object of ``size`` bytes: whole MiB, within S3's limits.

    Raises:
        ValueError: S3 has no object so large.
    """
    wanted = max(MIN_PART_BYTES, size / MAX_PARTS, min(size / _PARTS_WANTED, _LARGEST_PART_WANTED))
    chosen = min(math.ceil(wanted / _MIB) * _MIB, MAX_PART_BYTES)
    if chosen * MAX_PARTS < size:
        raise ValueError(f"{size} bytes do not fit into {MAX_PARTS} parts of {MAX_PART_BYTES} bytes")
    return chosen


def _part_size_for(copy: Copy) -> int:
    """A source that has nothing to compare but an ETag made of its parts gets a copy with the same parts: then the
    copy's ETag is the same, where both are equal.
    """
    parts = copy.etag.rpartition("-")[2]
    if _algorithm(copy) is None and "-" in copy.etag and parts.isdecimal() and int(parts) <= MAX_PARTS:
        first = clients.s3().head_object(**copy.source, PartNumber=1)["ContentLength"]
        is_regular = math.ceil(copy.size / first) == int(parts)
        if is_regular and MIN_PART_BYTES <= first <= MAX_PART_BYTES:
            return first
    return part_size(copy.size)


def _algorithm(copy: Copy) -> str | None:
    """The checksum by which a copy made in parts can be compared with the source."""
    return next((name for name in _OF_PARTS if f"Checksum{name}" in copy.checksums), None)


def _begin(copy: Copy) -> Upload:
    source: dict[str, Any] = {**clients.s3().head_object(**copy.source, IfMatch=copy.quoted_etag)}
    size = _part_size_for(copy)
    kept = {name: source[name] for name in _HEADERS if source.get(name)}
    if source.get("ExpiresString"):
        kept["Expires"] = source["ExpiresString"]
    tags = clients.s3().get_object_tagging(**copy.source)["TagSet"]
    if tags:
        kept["Tagging"] = urlencode([(tag["Key"], tag["Value"]) for tag in tags])
    kept["StorageClass"] = copy.storage_class
    kept["ChecksumAlgorithm"] = _algorithm(copy) or _DEFAULT_CHECKSUM
    begun = _s3(copy.region).create_multipart_upload(
        Bucket=copy.bucket,
        Key=copy.key,
        ChecksumType="FULL_OBJECT",
        **kept,
        **copy.owner,
        **copy.for_its_owner,
    )
    upload = Upload(id=begun["UploadId"], part_size=size, of=_what(copy))
    try:
        # DynamoDB sets a member only of a map that is there.
        _update(copy, "SET uploads = if_not_exists(uploads, :none)", {":none": {"M": {}}})
        _note(copy, upload, 0)
    except BaseException:
        # Nobody would know of it.
        _abort(copy, upload)
        raise
    log.info("Upload begun", uploadId=upload.id, partSize=size)
    return upload


def _what(copy: Copy) -> str:
    return copy.version_id or copy.etag


def _ranges(size: int, part: int) -> Iterator[tuple[int, str]]:
    """Every part's number, and its bytes as S3 takes them."""
    for number, start in enumerate(range(0, size, part), start=1):
        yield number, f"bytes={start}-{min(start + part, size) - 1}"


def _parts_of(copy: Copy, upload: Upload) -> dict[int, str] | None:
    """The ETags of the parts that are done, by number; ``None`` where the upload is there no more."""
    pages = _s3(copy.region).get_paginator("list_parts")
    try:
        return {
            part["PartNumber"]: part["ETag"]
            for page in pages.paginate(Bucket=copy.bucket, Key=copy.key, UploadId=upload.id, **copy.owner)
            for part in page.get("Parts", [])
        }
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchUpload":
            return None
        raise


def _copy_parts(copy: Copy, upload: Upload, done: dict[int, str], deadline: float) -> bool:
    """Copies the parts that are not done, until ``deadline``, and puts them into ``done``.

    A run copies one round of parts at least, however late it is. The slowest part so far tells how long before the
    deadline the last may begin.

    Returns:
        Whether all are done.
    """
    s3, at_once = _s3(copy.region), Environment.read().parts_at_once
    missing = [part for part in _ranges(copy.size, upload.part_size) if part[0] not in done]
    log.info("Copying parts", uploadId=upload.id, done=len(done), missing=len(missing))
    noted, slowest = time.monotonic(), 0.0

    def copy_part(number: int, byte_range: str) -> tuple[int, str, float]:
        began = time.monotonic()
        answer = s3.upload_part_copy(
            Bucket=copy.bucket,
            Key=copy.key,
            UploadId=upload.id,
            PartNumber=number,
            CopySource=copy.source,
            CopySourceRange=byte_range,
            CopySourceIfMatch=copy.quoted_etag,
            **copy.owner,
        )
        return number, answer["CopyPartResult"]["ETag"], time.monotonic() - began

    with ThreadPoolExecutor(at_once) as pool:
        under_way: set[Future[tuple[int, str, float]]] = {pool.submit(copy_part, *part) for part in missing[:at_once]}
        waiting = iter(missing[at_once:])
        while under_way:
            ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in ended:
                number, etag, took = future.result()
                done[number], slowest = etag, max(slowest, took)
                if time.monotonic() + slowest < deadline and (part := next(waiting, None)):
                    under_way.add(pool.submit(copy_part, *part))
            if time.monotonic() > noted + _NOTE_INTERVAL or not under_way:
                _note(copy, upload, min(len(done) * upload.part_size, copy.size))
                noted = time.monotonic()
    return len(done) == math.ceil(copy.size / upload.part_size)


def _put_together(copy: Copy, upload: Upload, done: dict[int, str]) -> dict[str, Any]:
    """Makes the object of its parts. S3 itself refuses one whose checksum is not the source's."""
    parts: list[CompletedPartTypeDef] = [{"PartNumber": number, "ETag": done[number]} for number in sorted(done)]
    algorithm = _algorithm(copy)
    expected: dict[str, Any] = {f"Checksum{algorithm}": copy.checksums[f"Checksum{algorithm}"]} if algorithm else {}
    try:
        answer = _s3(copy.region).complete_multipart_upload(
            Bucket=copy.bucket,
            Key=copy.key,
            UploadId=upload.id,
            MultipartUpload={"Parts": parts},
            MpuObjectSize=copy.size,
            ChecksumType="FULL_OBJECT",
            **expected,
            **copy.owner,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ("BadDigest", "XAmzContentChecksumMismatch"):
            _abort(copy, upload)
            return _failed(copy, "ChecksumMismatch", str(error))
        raise
    return _made(copy, {**answer}, answer.get("VersionId"))


def _already_made(copy: Copy, upload: Upload) -> dict[str, Any] | None:
    """The result of a copy that is there although no run could say so; ``None`` where it is not, or cannot be seen."""
    try:
        head = _s3(copy.region).head_object(Bucket=copy.bucket, Key=copy.key, ChecksumMode="ENABLED", **copy.owner)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return None
        raise
    parts = math.ceil(copy.size / upload.part_size)
    if not head["ETag"].strip('"').endswith(f"-{parts}"):
        return None
    result = _made(copy, {**head}, head.get("VersionId"))
    return result if result["success"] and result["check"] != "none" else None


# --- The record: what was begun ---------------------------------------------------------------------------------


def _begun(copy: Copy) -> Upload | None:
    """The upload that an earlier run began, of this execution or of one that did not come to its end. One of another
    version is thrown away.
    """
    item = clients.dynamodb().get_item(
        TableName=Environment.read().table_name,
        Key=tracking.key_of(copy.key, copy.source_bucket),
        ConsistentRead=True,
        ProjectionExpression="uploads.#bucket",
        ExpressionAttributeNames={"#bucket": copy.bucket},
    )
    noted: Any = item.get("Item", {}).get("uploads", {}).get("M", {}).get(copy.bucket, {}).get("M")
    if not noted:
        return None
    upload = Upload(id=noted["uploadId"]["S"], part_size=int(noted["partSize"]["N"]), of=noted["of"]["S"])
    if upload.of == _what(copy):
        return upload
    _abort(copy, upload)
    return None


def _note(copy: Copy, upload: Upload, copied: int) -> None:
    """Writes into the record what was begun, and how far it has come.

    Raises:
        LostRecordError: the record is another execution's.
    """
    noted = {
        "uploadId": {"S": upload.id},
        "partSize": {"N": str(upload.part_size)},
        "of": {"S": upload.of},
        "copiedBytes": {"N": str(copied)},
        "totalBytes": {"N": str(copy.size)},
        "updatedAt": {"S": tracking.now()},
    }
    _update(copy, "SET uploads.#bucket = :noted", {":noted": {"M": noted}}, {"#bucket": copy.bucket})


def _forget(copy: Copy) -> None:
    """Takes the upload out of the record. Where that is another execution's by now, it is that one's to do."""
    try:
        _update(copy, "REMOVE uploads.#bucket", {}, {"#bucket": copy.bucket})
    except LostRecordError:
        log.info("Record belongs to a newer execution")


def _update(copy: Copy, update: str, values: dict[str, Any], names: dict[str, str] | None = None) -> None:
    updated = tracking.update_if(
        "leaseOwner = :executionId",
        table_name=Environment.read().table_name,
        key=tracking.key_of(copy.key, copy.source_bucket),
        update=update,
        names=names,
        values={":executionId": {"S": copy.execution_id}, **values},
    )
    if not updated.is_done:
        raise LostRecordError(f"The record of {copy.key!r} is another execution's by now.")


def _abort_what_was_begun(copy: Copy) -> None:
    upload = _begun(copy)
    if upload is not None:
        _abort(copy, upload)
        _forget(copy)


def _abort(copy: Copy, upload: Upload) -> None:
    """Throws the parts away, which would be paid for.

    Raises:
        CopyError: a part came after; a run that was ended may have asked for it (S3 API, "AbortMultipartUpload").
    """
    try:
        _s3(copy.region).abort_multipart_upload(Bucket=copy.bucket, Key=copy.key, UploadId=upload.id, **copy.owner)
        left = _parts_of(copy, upload)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchUpload", "NoSuchBucket"):
            raise
        left = None
    if left:
        raise CopyError(f"{len(left)} parts of the aborted upload {upload.id} are still there.")
    log.info("Upload aborted", uploadId=upload.id)
