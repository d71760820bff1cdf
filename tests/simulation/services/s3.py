"""S3 in memory: buckets with versions, copies, uploads in parts, checksums, and event notifications.

Amazon S3 API reference and user guide. Strongly consistent, as S3 is.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote_plus, unquote

from .contents import Content, base64_of, concatenated, content
from .service import Answer, Arguments, RefusedError, Service, operation

# User guide, "Amazon S3 multipart upload limits"; API reference, CopyObject.
MIN_PART_BYTES = 5 * 1024**2
MAX_COPY_BYTES = 5 * 1024**3
MAX_PARTS = 10_000
MAX_KEYS = 1_000
MAX_KEY_BYTES = 1_024

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
DEFAULT_ALGORITHM = "CRC64NVME"
ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")

# What the uploader says of an object, and S3 answers as it is.
_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "ExpiresString",
    "WebsiteRedirectLocation",
)
_WRITTEN = (
    "Bucket Key ExpectedBucketOwner StorageClass ChecksumAlgorithm Metadata Tagging ACL CacheControl "
    "ContentDisposition ContentEncoding ContentLanguage ContentType Expires ExpiresString WebsiteRedirectLocation"
)
_CHECKSUMS = " ".join(f"Checksum{name}" for name in ALGORITHMS)
_PLACE = "Bucket Key ExpectedBucketOwner"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of an object that was uploaded in parts."""

    number: int
    content: Content

    @property
    def etag(self) -> str:
        return self.content.checksum("MD5").hex()


@dataclass(slots=True, kw_only=True)
class Object:
    """A version of an object, or a delete marker. It does not change after it is stored, except by a restore."""

    version_id: str
    """``null`` if the bucket kept no versions."""
    modified: float
    content: Content = field(default_factory=lambda: content(b""))
    etag: str = ""
    is_delete_marker: bool = False
    storage_class: str = "STANDARD"
    encryption: str = "AES256"
    is_restored: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[tuple[str, str], ...] = ()
    algorithm: str = DEFAULT_ALGORITHM
    checksum_type: str = "FULL_OBJECT"
    parts: tuple[Part, ...] = ()

    @property
    def checksums(self) -> dict[str, str]:
        """By S3's names, with ``ChecksumType``."""
        if self.checksum_type == "COMPOSITE":
            digests = b"".join(part.content.checksum(self.algorithm) for part in self.parts)
            whole = f"{base64_of(content(digests).checksum(self.algorithm))}-{len(self.parts)}"
        else:
            whole = base64_of(self.content.checksum(self.algorithm))
        return {f"Checksum{self.algorithm}": whole, "ChecksumType": self.checksum_type}

    @property
    def is_readable(self) -> bool:
        return self.storage_class not in ARCHIVED or self.is_restored


@dataclass
class Upload:
    """A multipart upload that has begun and is neither completed nor aborted."""

    id: str
    key: str
    begun: float
    arguments: Arguments
    algorithm: str
    checksum_type: str
    parts: dict[int, Part] = field(default_factory=dict)


@dataclass
class Bucket:
    """A bucket, and what a person can change of it."""

    name: str
    region: str
    account: str
    versioning: str | None = None
    """``Enabled``, ``Suspended``, or ``None`` if it never kept versions."""
    is_notifying: bool = False
    """True if the bucket sends events of created objects."""
    encryption: str = "AES256"
    """``aws:kms`` gives ETags that are not the MD5 of the bytes."""
    refused: set[str] = field(default_factory=set)
    """Operations that the bucket's policy denies. ``GetObject`` is also the right to read the source of a copy, and for
    HeadObject. With ``ListBucket``, a missing key looks denied, too."""
    objects: dict[str, list[Object]] = field(default_factory=dict)
    """The versions of each key, the newest last."""
    uploads: dict[str, Upload] = field(default_factory=dict)
    aborted: dict[str, Upload] = field(default_factory=dict)
    """Uploads that were aborted: a part that was being copied may still land."""

    def newest(self, key: str) -> Object | None:
        """The newest version, which may be a delete marker."""
        versions = self.objects.get(key)
        return versions[-1] if versions else None


class S3(Service):
    """The buckets of all regions and accounts: their names are global."""

    def __init__(self, now: Callable[[], float], notify: Callable[[str, dict[str, Any]], None]) -> None:
        """
        Args:
            now: seconds since 1970.
            notify: is called with a bucket and a record of an event notification.
        """
        self._now, self._notify = now, notify
        self.buckets: dict[str, Bucket] = {}
        self._counts = Counter[tuple[str, str, str]]()

    # --- What people do

    def create_bucket(self, name: str, region: str = "us-east-1", account: str = "000000000000", **more: Any) -> Bucket:
        self.buckets[name] = Bucket(name, region, account, **more)
        return self.buckets[name]

    def remove_bucket(self, name: str) -> Bucket:
        """Deletes a bucket with all that is in it."""
        return self.buckets.pop(name)

    def restore(self, bucket: str, key: str) -> None:
        """Restores the newest version of an archived object."""
        self.buckets[bucket].objects[key][-1].is_restored = True

    def land_part(self, arguments: Arguments) -> None:
        """Has UploadPartCopy add its part although its upload was aborted meanwhile. API reference,
        AbortMultipartUpload: part uploads in progress might or might not succeed.
        """
        bucket = self.buckets.get(arguments["Bucket"])
        if bucket and arguments["UploadId"] in bucket.aborted:
            bucket.uploads[arguments["UploadId"]] = bucket.aborted.pop(arguments["UploadId"])
        self.call("UploadPartCopy", arguments)

    # --- Objects

    @operation("PutObject", f"{_WRITTEN} Body {_CHECKSUMS}")
    def put_object(self, arguments: Arguments) -> Answer:
        bucket = self._bucket("PutObject", arguments)
        body = arguments.get("Body", b"")
        whole = body if isinstance(body, Content) else content(body)
        given = next((name for name in ALGORITHMS if f"Checksum{name}" in arguments), None)
        made = _made(arguments, whole, given or arguments.get("ChecksumAlgorithm", DEFAULT_ALGORITHM))
        _check_digests(arguments, made.checksums)
        stored = self._store(bucket, arguments["Key"], made, "Put")
        return {"ETag": f'"{stored.etag}"', **stored.checksums, **_version(stored)}

    @operation("CopyObject", f"{_WRITTEN} CopySource CopySourceIfMatch ExpectedSourceBucketOwner MetadataDirective")
    def copy_object(self, arguments: Arguments) -> Answer:
        bucket = self._bucket("CopyObject", arguments)
        source = self._source(arguments)
        if source.content.size > MAX_COPY_BYTES:
            raise RefusedError(
                "InvalidRequest",
                f"The specified copy source is larger than the maximum allowable size for a copy source: "
                f"{MAX_COPY_BYTES}",
            )
        made = _made(arguments, source.content, arguments.get("ChecksumAlgorithm", source.algorithm))
        # The redirect is not copied.
        kept = {name: text for name, text in source.headers.items() if name != "WebsiteRedirectLocation"}
        redirect = {name: text for name, text in made.headers.items() if name == "WebsiteRedirectLocation"}
        made.headers, made.metadata, made.tags = {**kept, **redirect}, source.metadata, source.tags
        stored = self._store(bucket, arguments["Key"], made, "Copy")
        result = {"ETag": f'"{stored.etag}"', "LastModified": _date(stored.modified), **stored.checksums}
        from_version = {} if source.version_id == "null" else {"CopySourceVersionId": source.version_id}
        return {"CopyObjectResult": result, **from_version, **_version(stored)}

    @operation("HeadObject", f"{_PLACE} VersionId IfMatch ChecksumMode PartNumber")
    def head_object(self, arguments: Arguments) -> Answer:
        try:
            found = self._existing("HeadObject", arguments)
        except RefusedError as refusal:
            # The answer to a HEAD request has no body, so the status is the only code.
            raise RefusedError(str(refusal.status), _REASONS[refusal.status], refusal.status) from None
        if "IfMatch" in arguments and arguments["IfMatch"].strip('"') != found.etag:
            raise RefusedError("412", _REASONS[412], 412)
        answer: Answer = {
            "AcceptRanges": "bytes",
            "ContentLength": found.content.size,
            "ETag": f'"{found.etag}"',
            "LastModified": _date(found.modified),
            "Metadata": dict(found.metadata),
            "ServerSideEncryption": found.encryption,
            **found.headers,
            **_version(found),
        }
        if found.storage_class != "STANDARD":
            answer["StorageClass"] = found.storage_class
        if found.is_restored:
            answer["Restore"] = 'ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"'
        if found.tags:
            answer["TagCount"] = len(found.tags)
        if number := arguments.get("PartNumber"):
            if found.parts:
                answer |= {"ContentLength": found.parts[number - 1].content.size, "PartsCount": len(found.parts)}
        elif arguments.get("ChecksumMode") == "ENABLED":
            answer |= found.checksums
        return answer

    @operation("GetObjectTagging", f"{_PLACE} VersionId")
    def get_object_tagging(self, arguments: Arguments) -> Answer:
        found = self._existing("GetObjectTagging", arguments)
        return {"TagSet": [{"Key": key, "Value": value} for key, value in found.tags], **_version(found)}

    @operation("GetObjectAttributes", f"{_PLACE} VersionId ObjectAttributes MaxParts PartNumberMarker")
    def get_object_attributes(self, arguments: Arguments) -> Answer:
        found = self._existing("GetObjectAttributes", arguments)
        answer: Answer = {"LastModified": _date(found.modified), **_version(found)}
        wanted = arguments["ObjectAttributes"]
        if "ETag" in wanted:
            answer["ETag"] = found.etag
        if "Checksum" in wanted:
            answer["Checksum"] = found.checksums
        if "ObjectSize" in wanted:
            answer["ObjectSize"] = found.content.size
        if "StorageClass" in wanted:
            answer["StorageClass"] = found.storage_class
        if "ObjectParts" in wanted and found.parts:
            answer["ObjectParts"] = self._object_parts(arguments, found)
        return answer

    def _object_parts(self, arguments: Arguments, found: Object) -> Answer:
        page, more = _page(found.parts, arguments)
        answer: Answer = {"TotalPartsCount": len(found.parts), **more}
        # API reference, ObjectPart: the parts are listed only of an object with a checksum of its parts.
        if found.checksum_type == "COMPOSITE":
            name = f"Checksum{found.algorithm}"
            answer["Parts"] = [
                {
                    "PartNumber": part.number,
                    "Size": part.content.size,
                    name: base64_of(part.content.checksum(found.algorithm)),
                }
                for part in page
            ]
        return answer

    @operation("DeleteObject", f"{_PLACE} VersionId")
    def delete_object(self, arguments: Arguments) -> Answer:
        bucket, key = self._bucket("DeleteObject", arguments), arguments["Key"]
        versions = bucket.objects.get(key, [])
        if version := arguments.get("VersionId"):
            gone = [one for one in versions if one.version_id == version]
            self._keep(bucket, key, [one for one in versions if one.version_id != version])
            is_marker = {"DeleteMarker": True} if gone and gone[0].is_delete_marker else {}
            return {"VersionId": version, **is_marker}
        if bucket.versioning is None:
            self._keep(bucket, key, [])
            return {}
        marker = Object(version_id=self._version_id(bucket, key), modified=self._now(), is_delete_marker=True)
        self._add_version(bucket, key, marker)
        return {"DeleteMarker": True, **_version(marker)}

    # --- Uploads in parts

    @operation("CreateMultipartUpload", f"{_WRITTEN} ChecksumType")
    def create_multipart_upload(self, arguments: Arguments) -> Answer:
        bucket = self._bucket("CreateMultipartUpload", arguments)
        algorithm = arguments.get("ChecksumAlgorithm", DEFAULT_ALGORITHM)
        of_parts = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
        checksum_type = arguments.get("ChecksumType", of_parts)
        # User guide, "Checking object integrity": CRC64NVME is of the whole object only, SHA of the parts only.
        if checksum_type != of_parts and algorithm not in ("CRC32", "CRC32C"):
            raise RefusedError(
                "InvalidRequest",
                f"The {checksum_type} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
            )
        _check_key(arguments["Key"])
        upload = Upload(
            f"upload.{bucket.name}.{self._count('upload', bucket, arguments['Key'])}",
            arguments["Key"],
            self._now(),
            arguments,
            algorithm,
            checksum_type,
        )
        bucket.uploads[upload.id] = upload
        return {
            "Bucket": bucket.name,
            "Key": upload.key,
            "UploadId": upload.id,
            "ChecksumAlgorithm": algorithm,
            "ChecksumType": checksum_type,
        }

    @operation("UploadPart", f"{_PLACE} UploadId PartNumber Body ChecksumAlgorithm {_CHECKSUMS}")
    def upload_part(self, arguments: Arguments) -> Answer:
        upload = self._upload("UploadPart", arguments)
        body = arguments["Body"]
        part = self._add_part(upload, arguments, body if isinstance(body, Content) else content(body))
        checksum = {f"Checksum{upload.algorithm}": base64_of(part.content.checksum(upload.algorithm))}
        _check_digests(arguments, checksum)
        return {"ETag": f'"{part.etag}"', **checksum}

    @operation(
        "UploadPartCopy",
        f"{_PLACE} UploadId PartNumber CopySource CopySourceRange CopySourceIfMatch ExpectedSourceBucketOwner",
    )
    def upload_part_copy(self, arguments: Arguments) -> Answer:
        upload = self._upload("UploadPartCopy", arguments)
        source = self._source(arguments)
        whole, wanted = source.content, arguments.get("CopySourceRange")
        if wanted:
            first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", wanted).groups())  # type: ignore[union-attr]
            if last >= whole.size:
                raise RefusedError(
                    "InvalidArgument",
                    f"Range specified is not valid for source object of size: {whole.size}",
                )
            whole = whole.slice(first, last + 1)
        if whole.size > MAX_COPY_BYTES:
            raise RefusedError(
                "InvalidRequest",
                f"The specified copy source is larger than the maximum allowable size for a copy source: "
                f"{MAX_COPY_BYTES}",
            )
        part = self._add_part(upload, arguments, whole)
        result = {
            "ETag": f'"{part.etag}"',
            "LastModified": _date(self._now()),
            f"Checksum{upload.algorithm}": base64_of(part.content.checksum(upload.algorithm)),
        }
        from_version = {} if source.version_id == "null" else {"CopySourceVersionId": source.version_id}
        return {"CopyPartResult": result, **from_version}

    @operation("ListParts", f"{_PLACE} UploadId MaxParts PartNumberMarker")
    def list_parts(self, arguments: Arguments) -> Answer:
        upload = self._upload("ListParts", arguments)
        page, more = _page(tuple(upload.parts[number] for number in sorted(upload.parts)), arguments)
        name = f"Checksum{upload.algorithm}"
        listed = [
            {
                "PartNumber": part.number,
                "ETag": f'"{part.etag}"',
                "Size": part.content.size,
                name: base64_of(part.content.checksum(upload.algorithm)),
            }
            for part in page
        ]
        answer = {"Bucket": arguments["Bucket"], "Key": upload.key, "UploadId": upload.id, **more}
        return {**answer, "Parts": listed} if listed else answer

    @operation("ListMultipartUploads", "Bucket Prefix ExpectedBucketOwner")
    def list_multipart_uploads(self, arguments: Arguments) -> Answer:
        bucket = self._bucket("ListMultipartUploads", arguments)
        found = [
            {"Key": upload.key, "UploadId": upload.id, "Initiated": _date(upload.begun)}
            for upload in sorted(bucket.uploads.values(), key=lambda upload: (upload.key, upload.begun))
            if upload.key.startswith(arguments.get("Prefix", ""))
        ]
        answer: Answer = {"Bucket": bucket.name, "IsTruncated": False}
        return {**answer, "Uploads": found} if found else answer

    @operation("CompleteMultipartUpload", f"{_PLACE} UploadId MultipartUpload MpuObjectSize ChecksumType {_CHECKSUMS}")
    def complete_multipart_upload(self, arguments: Arguments) -> Answer:
        upload = self._upload("CompleteMultipartUpload", arguments)
        parts = _completed_parts(arguments, upload)
        whole = concatenated(part.content for part in parts)
        if arguments.get("MpuObjectSize", whole.size) != whole.size:
            raise RefusedError(
                "InvalidRequest",
                f"The provided 'x-amz-mp-object-size' header value {arguments['MpuObjectSize']} does not match what "
                f"was computed: {whole.size}",
            )
        if arguments.get("ChecksumType", upload.checksum_type) != upload.checksum_type:
            raise RefusedError(
                "InvalidRequest",
                "The upload was created using the "
                f"{upload.checksum_type} checksum mode. The complete request must use the same checksum mode.",
            )
        made = _made(upload.arguments, whole, upload.algorithm)
        made.checksum_type, made.parts = upload.checksum_type, tuple(parts)
        _check_digests(arguments, made.checksums)
        bucket = self.buckets[arguments["Bucket"]]
        digests = b"".join(part.content.checksum("MD5") for part in parts)
        made.etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        del bucket.uploads[upload.id]
        stored = self._store(bucket, upload.key, made, "CompleteMultipartUpload")
        answer = {"Bucket": bucket.name, "Key": upload.key, "ETag": f'"{stored.etag}"'}
        return {**answer, **stored.checksums, **_version(stored)}

    @operation("AbortMultipartUpload", f"{_PLACE} UploadId")
    def abort_multipart_upload(self, arguments: Arguments) -> Answer:
        upload = self._upload("AbortMultipartUpload", arguments)
        bucket = self.buckets[arguments["Bucket"]]
        del bucket.uploads[upload.id]
        bucket.aborted[upload.id] = replace(upload, parts={})
        return {}

    # --- Parts of several operations

    def _bucket(self, action: str, arguments: Arguments) -> Bucket:
        """The bucket of a call, if the call is allowed."""
        bucket = self.buckets.get(arguments["Bucket"])
        if bucket is None:
            raise RefusedError("NoSuchBucket", "The specified bucket does not exist", 404)
        refused = action in bucket.refused or (action == "HeadObject" and "GetObject" in bucket.refused)
        if refused or arguments.get("ExpectedBucketOwner", bucket.account) != bucket.account:
            raise RefusedError("AccessDenied", "Access Denied", 403)
        return bucket

    def _existing(self, action: str, arguments: Arguments) -> Object:
        """The object of a call that reads."""
        bucket = self._bucket(action, arguments)
        key, version = arguments["Key"], arguments.get("VersionId")
        found = _version_of(bucket, key, version)
        if found is None and "ListBucket" in bucket.refused:
            raise RefusedError("AccessDenied", "Access Denied", 403)
        if found is None and version:
            raise RefusedError("NoSuchVersion", "The specified version does not exist.", 404)
        if found is not None and found.is_delete_marker and version:
            raise RefusedError("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
        if found is None or found.is_delete_marker:
            raise RefusedError("NoSuchKey", "The specified key does not exist.", 404)
        return found

    def _source(self, arguments: Arguments) -> Object:
        """The source of a copy."""
        source = _copy_source(arguments["CopySource"])
        if owner := arguments.get("ExpectedSourceBucketOwner"):
            source["ExpectedBucketOwner"] = owner
        try:
            found = self._existing("GetObject", source)
        except RefusedError as refusal:
            if refusal.code != "MethodNotAllowed":
                raise
            raise RefusedError(
                "InvalidRequest",
                "The source of a copy request may not specifically refer to a delete marker by version id.",
            ) from None
        if not found.is_readable:
            raise RefusedError(
                "InvalidObjectState", "Operation is not valid for the source object's storage class", 403
            )
        if "CopySourceIfMatch" in arguments and arguments["CopySourceIfMatch"].strip('"') != found.etag:
            raise RefusedError(
                "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412
            )
        return found

    def _store(self, bucket: Bucket, key: str, made: Object, event: str) -> Object:
        """Makes an object the newest version, and sends its event."""
        _check_key(key)
        etag = made.etag or made.content.checksum("MD5").hex()
        if bucket.encryption == "aws:kms":
            number, _, parts = etag.partition("-")
            salt = f"{bucket.name} {key} {self._count('encryption', bucket, key)}"
            etag = hashlib.md5(f"{number} {salt}".encode(), usedforsecurity=False).hexdigest()
            etag += f"-{parts}" if parts else ""
        made.version_id, made.modified = self._version_id(bucket, key), self._now()
        made.etag, made.encryption = etag, bucket.encryption
        self._add_version(bucket, key, made)
        if bucket.is_notifying:
            self._notify(bucket.name, self._event(bucket, key, made, event))
        return made

    def _add_version(self, bucket: Bucket, key: str, stored: Object) -> None:
        versions = bucket.objects.setdefault(key, [])
        if stored.version_id == "null":
            versions[:] = [one for one in versions if one.version_id != "null"]
        versions.append(stored)

    def _keep(self, bucket: Bucket, key: str, versions: list[Object]) -> None:
        if versions:
            bucket.objects[key] = versions
        else:
            bucket.objects.pop(key, None)

    def _version_id(self, bucket: Bucket, key: str) -> str:
        return f"{bucket.name}.{self._count('version', bucket, key)}" if bucket.versioning == "Enabled" else "null"

    def _count(self, what: str, bucket: Bucket, key: str) -> int:
        """A number that no other of its kind has, also after the bucket was deleted and created again."""
        counted = what, bucket.name, key
        self._counts[counted] += 1
        return self._counts[counted]

    def _event(self, bucket: Bucket, key: str, stored: Object, event: str) -> dict[str, Any]:
        """User guide, "Event message structure"."""
        entry: dict[str, Any] = {
            "key": quote_plus(key, safe="/"),
            "size": stored.content.size,
            "eTag": stored.etag,
            "sequencer": f"{self._count('event', bucket, key):016X}",
        }
        if stored.version_id != "null":
            entry["versionId"] = stored.version_id
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": bucket.region,
            "eventTime": _date(stored.modified).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "eventName": f"ObjectCreated:{event}",
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "uploads",
                "bucket": {"name": bucket.name, "arn": f"arn:aws:s3:::{bucket.name}"},
                "object": entry,
            },
        }

    def _upload(self, action: str, arguments: Arguments) -> Upload:
        upload = self._bucket(action, arguments).uploads.get(arguments["UploadId"])
        if upload is None or upload.key != arguments["Key"]:
            raise RefusedError(
                "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted"
                " or completed.",
                404,
            )
        return upload

    def _add_part(self, upload: Upload, arguments: Arguments, whole: Content) -> Part:
        number = arguments["PartNumber"]
        if not 1 <= number <= MAX_PARTS:
            raise RefusedError(
                "InvalidArgument", f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
            )
        upload.parts[number] = Part(number=number, content=whole)
        return upload.parts[number]


_REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    412: "Precondition Failed",
}


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _version(found: Object) -> dict[str, str]:
    return {} if found.version_id == "null" else {"VersionId": found.version_id}


def _version_of(bucket: Bucket, key: str, version: str | None) -> Object | None:
    if version is None:
        return bucket.newest(key)
    return next((one for one in bucket.objects.get(key, ()) if one.version_id == version), None)


def _made(arguments: Arguments, whole: Content, algorithm: str) -> Object:
    """An object as a call describes it, before it has a version."""
    headers = {name: arguments[name] for name in _HEADERS if name in arguments}
    if "Expires" in arguments:
        headers["ExpiresString"] = str(arguments["Expires"])
    acl = arguments.get("ACL", "bucket-owner-full-control")
    if acl != "bucket-owner-full-control":
        raise RefusedError("AccessControlListNotSupported", "The bucket does not allow ACLs")
    return Object(
        version_id="",
        modified=0,
        content=whole,
        storage_class=arguments.get("StorageClass", "STANDARD"),
        headers={"ContentType": "binary/octet-stream", **headers},
        metadata=dict(arguments.get("Metadata", {})),
        tags=tuple(parse_qsl(arguments.get("Tagging", ""), keep_blank_values=True)),
        algorithm=algorithm,
    )


def _check_key(key: str) -> None:
    if len(key.encode()) > MAX_KEY_BYTES:
        raise RefusedError("KeyTooLongError", "Your key is too long")


def _check_digests(arguments: Arguments, checksums: Mapping[str, str]) -> None:
    for name, checksum in checksums.items():
        if name != "ChecksumType" and arguments.get(name, checksum) != checksum:
            algorithm = name.removeprefix("Checksum")
            raise RefusedError(
                "BadDigest",
                f"The {algorithm} you specified did not match the calculated checksum.",
            )


def _completed_parts(arguments: Arguments, upload: Upload) -> list[Part]:
    listed = arguments.get("MultipartUpload", {}).get("Parts", [])
    numbers = [one["PartNumber"] for one in listed]
    if not numbers:
        raise RefusedError(
            "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
        )
    if numbers != sorted(set(numbers)):
        raise RefusedError(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
        )
    for one in listed:
        part = upload.parts.get(one["PartNumber"])
        if part is None or one["ETag"].strip('"') != part.etag:
            raise RefusedError(
                "InvalidPart",
                "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
                "specified entity tag may not match the part's entity tag.",
            )
    found = [upload.parts[number] for number in numbers]
    if any(part.content.size < MIN_PART_BYTES for part in found[:-1]):
        raise RefusedError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
    return found


def _copy_source(source: str | Mapping[str, str]) -> dict[str, str]:
    """The source of a copy, which botocore takes as members, and Step Functions as ``bucket/key?versionId=…``."""
    if not isinstance(source, str):
        return dict(source)
    return dict(_parsed_source(source))


@lru_cache(4_096)
def _parsed_source(source: str) -> Mapping[str, str]:
    place, _, version = source.partition("?versionId=")
    bucket, _, key = unquote(place).removeprefix("/").partition("/")
    return {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}


def _page(parts: tuple[Part, ...], arguments: Arguments) -> tuple[tuple[Part, ...], Answer]:
    """A page of parts, and what says where it ends."""
    marker, limit = int(arguments.get("PartNumberMarker", 0)), arguments.get("MaxParts", MAX_KEYS)
    left = tuple(part for part in parts if part.number > marker)
    page = left[:limit]
    more: Answer = {"IsTruncated": len(left) > limit, "MaxParts": limit, "PartNumberMarker": marker}
    if page:
        more["NextPartNumberMarker"] = page[-1].number
    return page, more


def versions(bucket: Bucket) -> Iterator[tuple[str, Object]]:
    """Every version in the bucket, with its key."""
    for key, kept in bucket.objects.items():
        for one in kept:
            yield key, one
