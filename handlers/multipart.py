"""Multipart uploads of a copy: begin one, list its parts, complete it, abort it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from . import clients, log, parts
from .copying import Copy, CopyError, failed, result_of, s3
from .s3_protocol import header_text, headers_as_they_are

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

DEFAULT_CHECKSUM = "CRC64NVME"

# The headers of the source that the copy gets, by HeadObject's names, besides ``Expires`` and metadata. CopyObject
# copies all but the redirect by itself.
HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "WebsiteRedirectLocation",
)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A multipart upload that has begun."""

    id: str
    part_size: int
    """Bytes."""
    source_id: str
    """The source that it copies: :attr:`Copy.source_id`."""


def begin(copy: Copy) -> Upload:
    """Begins an upload with the source's headers, metadata and tags."""
    source: dict[str, Any] = {**clients.s3().head_object(**copy.source, IfMatch=copy.quoted_etag)}
    size = parts.part_size_for(copy)
    kept: dict[str, Any] = {name: header_text(source[name]) for name in HEADERS if source.get(name)}
    # S3 stores these as they are. botocore refuses an Expires that is not a date, and metadata beyond ASCII.
    raw = {"Expires": source["ExpiresString"]} if source.get("ExpiresString") else {}
    raw |= {f"x-amz-meta-{name}": header_text(value) for name, value in source.get("Metadata", {}).items()}
    tags = clients.s3().get_object_tagging(**copy.source)["TagSet"]
    if tags:
        kept["Tagging"] = urlencode([(tag["Key"], tag["Value"]) for tag in tags])
    kept["StorageClass"] = copy.storage_class
    kept["ChecksumAlgorithm"] = parts.checksum_algorithm(copy) or DEFAULT_CHECKSUM
    with headers_as_they_are(s3(copy), "CreateMultipartUpload", raw):
        begun = s3(copy).create_multipart_upload(**copy.target, **kept, ChecksumType="FULL_OBJECT")
    log.info("Upload begun", uploadId=begun["UploadId"], partSize=size)
    return Upload(id=begun["UploadId"], part_size=size, source_id=copy.source_id)


def list_parts(copy: Copy, upload: Upload) -> dict[int, str] | None:
    """The ETags of the parts that are done, by number; ``None`` if the upload does not exist any more."""
    pages = s3(copy).get_paginator("list_parts")
    try:
        return {
            part["PartNumber"]: part["ETag"]
            for page in pages.paginate(**copy.target, UploadId=upload.id)
            for part in page.get("Parts", [])
        }
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchUpload":
            return None
        raise


def complete(copy: Copy, upload: Upload, done: dict[int, str]) -> dict[str, Any]:
    """Completes the upload, and returns the copy's result. S3 itself refuses a checksum that is not the source's."""
    numbered: list[CompletedPartTypeDef] = [{"PartNumber": number, "ETag": done[number]} for number in sorted(done)]
    algorithm = parts.checksum_algorithm(copy)
    expected: dict[str, Any] = {f"Checksum{algorithm}": copy.checksums[f"Checksum{algorithm}"]} if algorithm else {}
    try:
        answer = s3(copy).complete_multipart_upload(
            **copy.target,
            UploadId=upload.id,
            MultipartUpload={"Parts": numbered},
            MpuObjectSize=copy.size,
            ChecksumType="FULL_OBJECT",
            **expected,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ("BadDigest", "XAmzContentChecksumMismatch"):
            abort(copy, upload)
            return failed(copy, "ChecksumMismatch", str(error))
        raise
    return result_of(copy, {**answer}, answer.get("VersionId"))


def find_completed(copy: Copy, upload: Upload) -> dict[str, Any] | None:
    """The result of an upload that an earlier run completed, but could not report; ``None`` if there is no such copy,
    or if this function may not see it.
    """
    try:
        head = s3(copy).head_object(**copy.target, ChecksumMode="ENABLED")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return None
        raise
    # An object of as many parts as this upload may still be another one. So a checksum or the ETag has to match, too.
    number = math.ceil(copy.size / upload.part_size)
    if not head["ETag"].strip('"').endswith(f"-{number}"):
        return None
    result = result_of(copy, {**head}, head.get("VersionId"))
    return result if result["success"] and result["check"] != "none" else None


def abort(copy: Copy, upload: Upload) -> None:
    """Aborts the upload: S3 bills its parts until then.

    Raises:
        CopyError: a part arrived after the abort. A run that Lambda ended may have asked for it (S3 API reference,
            "AbortMultipartUpload").
    """
    try:
        s3(copy).abort_multipart_upload(**copy.target, UploadId=upload.id)
        left = list_parts(copy, upload)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchUpload", "NoSuchBucket"):
            raise
        left = None
    if left:
        raise CopyError(f"Parts of the aborted upload {upload.id} still exist: {len(left)}. Abort it again.")
    log.info("Upload aborted", uploadId=upload.id)
