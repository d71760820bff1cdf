"""One copy that copy-worker makes: what the state machine asks for, the client that makes it, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config

from . import clients, log, text, tracking
from .environment import Variables
from .s3_protocol import accept_any_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

# Seconds. S3 sends bytes while it copies, so a longer silence is an error.
_READ_TIMEOUT = 120

ATTEMPTS = 5
"""Of each call to a destination."""

# With 1,000 destinations: see CAUSE_LENGTH of components/workflow/expressions.py.
_MIN_CAUSE_LENGTH = 60


@dataclass(frozen=True, kw_only=True)
class Environment(Variables):
    """Environment variables of copy-worker, by their names in lower case."""

    table_name: str
    multipart_threshold: int
    """Bytes. A larger file is copied in parts."""
    parts_at_once: int
    run_seconds: float
    """The time in which a run begins parts, if Lambda does not end the run sooner."""


class CopyError(Exception):
    """The copy failed, and may be tried again."""


class LostRecordError(Exception):
    """Another execution has taken over the record, so this one must not copy any more."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy as the state machine asks for it."""

    execution_id: str
    source_bucket: str
    key: str
    version_id: str | None
    etag: str
    """The source's, without quotes."""
    size: int
    """Bytes."""
    storage_class: str
    checksums: dict[str, str]
    """The source's checksums of the whole object, by S3's names such as ``ChecksumCRC32``."""
    checksum_of_parts: str | None
    """The algorithm, if the source has only checksums of its parts."""
    bucket: str
    """The destination."""
    redirect: str | None
    """The source's website redirect, which CopyObject does not copy by itself."""
    max_cause_length: int
    """Characters of the cause of a failure, so that the results of all destinations fit into an execution."""
    region: str
    """The destination's region."""
    account: str
    """The account that owns the destination."""

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Copy:
        """
        Raises:
            KeyError, TypeError, ValueError: the event is not from the state machine.
        """
        source = event["source"]
        return cls(
            execution_id=text.required(event["executionId"]),
            source_bucket=text.required(event["sourceBucket"]),
            key=text.required(event["sourceKey"]),
            version_id=text.optional(source.get("versionId")),
            etag=text.required(source["etag"]),
            size=int(source["size"]),
            storage_class=text.required(source["storageClass"]),
            checksums=dict(source["checksums"]),
            checksum_of_parts=text.optional(source.get("checksumOfParts")),
            redirect=text.optional(source.get("redirect")),
            max_cause_length=int(event.get("maxCauseLength", _MIN_CAUSE_LENGTH)),
            bucket=text.required(event["destinationBucket"]),
            region=text.required(event["region"]),
            account=text.required(event["account"]),
        )

    @property
    def source(self) -> CopySourceTypeDef:
        """The source as S3's calls take it."""
        source: CopySourceTypeDef = {"Bucket": self.source_bucket, "Key": self.key}
        if self.version_id:
            source["VersionId"] = self.version_id
        return source

    @property
    def source_id(self) -> str:
        """The source's version, or its ETag if it has no version: two sources with the same one have the same bytes."""
        return self.version_id or self.etag

    @property
    def quoted_etag(self) -> str:
        """The source's ETag in quotes, as a condition of S3's calls takes it."""
        return f'"{self.etag}"'

    @property
    def target(self) -> dict[str, Any]:
        """The copy's place as S3's calls take it. S3 refuses the call if another account owns the bucket by now."""
        return {"Bucket": self.bucket, "Key": self.key, "ExpectedBucketOwner": self.account}


def s3(copy: Copy) -> S3Client:
    """The client of the destination's region, which is the region that makes the copy."""
    return client_of(copy.region)


@cache
def client_of(region: str) -> S3Client:
    config = Config(
        connect_timeout=3,
        read_timeout=_READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=Environment.read().parts_at_once,
    )
    client = cast("S3Client", clients.session().create_client("s3", region_name=region, config=config))
    accept_any_key(client)
    return client


def verify(copy: Copy, answer: dict[str, Any]) -> tuple[str, str | None]:
    """Compares an object with the source by what S3 says of it.

    Args:
        answer: the members ``ETag`` and ``Checksum…`` of S3's answer.

    Returns:
        What shows that the bytes are the same, the name of a checksum, ``ETag``, or ``none``; and the difference, if
        there is one.
    """
    check = "ETag" if answer["ETag"].strip('"') == copy.etag else "none"
    for name, ours in copy.checksums.items():
        theirs = answer.get(name)
        # A checksum of parts ("…-3") depends on where the parts end.
        if not theirs or "-" in theirs:
            continue
        if theirs != ours:
            return "none", f"{name} of the copy is {theirs}, of the source {ours}"
        check = name.removeprefix("Checksum")
    return check, None


def result_of(copy: Copy, answer: dict[str, Any], version_id: str | None, message: str = "Copy made") -> dict[str, Any]:
    """The result of a copy that exists, or of a failed one if its checksum differs from the source's.

    Args:
        answer: as for :func:`verify`.
        message: for the log.
    """
    check, problem = verify(copy, answer)
    if problem:
        return failed(copy, "ChecksumMismatch", problem)
    log.info(message, check=check, size=copy.size)
    result = {
        "destinationBucket": copy.bucket,
        "success": True,
        "etag": answer["ETag"].strip('"'),
        "check": check,
        "timestamp": tracking.now(),
    }
    return {**result, "versionId": version_id} if version_id else result


def failed(copy: Copy, error: str, cause: str) -> dict[str, Any]:
    """The result of a copy that failed for good."""
    plain = text.printable(cause).encode("ascii", "replace").decode()
    return {
        "destinationBucket": copy.bucket,
        "success": False,
        "error": error,
        "cause": plain[: copy.max_cause_length],
        "timestamp": tracking.now(),
    }
