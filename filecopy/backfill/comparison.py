"""Comparison of an object with its copies.

A copy is up to date when the listings give it the source's size and ETag, and it is made again when it has another
size. Sometimes only the ETags differ. This also happens with equal bytes, when one object was uploaded in parts or is
encrypted with a KMS key. Then the first of these checks that is possible decides:

1. a checksum of the whole object that S3 has for both (HeadObject), or both ETags if they are MD5;
2. the file's record, if it is about a source with this ETag and size: the copy is the one that the workflow made, or
   not;
3. the times: a copy of the same size that is not older than the source is up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from components import policies
from filecopy.errors import StackError
from filecopy.stack.records import TrackingRecord
from filecopy.stack.stack import Stack
from handlers import comparison as objects

from .listing import Listed, Row

# S3 user guide, "Working with archived objects": these must be restored before they can be read or copied. An object
# in INTELLIGENT_TIERING may be in an archive tier, which only HeadObject shows.
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


class Difference(StrEnum):
    """The reason why a destination needs a copy."""

    MISSING = "missing"
    SIZE = "size"
    ETAG = "ETag"
    CHECKSUM = "checksum"
    RECORD = "record"
    AGE = "age"
    UNDECIDED = "undecided"
    """The listings do not say whether it needs one."""


class CustomerKeyError(Exception):
    """The object is encrypted with a customer's key (SSE-C), which S3 does not store."""


def difference(source: Listed, copy: Listed | None) -> Difference | None:
    """Compare an object with its copy by size and ETag; ``None`` if the copy is up to date."""
    if copy is None:
        return Difference.MISSING
    if copy.size != source.size:
        return Difference.SIZE
    return None if copy.etag == source.etag else Difference.UNDECIDED


def differences_of(row: Row) -> dict[str, Difference]:
    """The destinations of a row that are not up to date by the listings, or may be not."""
    found = {bucket: difference(row.source, copy) for bucket, copy in row.copies.items()}
    return {bucket: what for bucket, what in found.items() if what is not None}


def by_record_or_age(record: TrackingRecord | None, source: Listed, bucket: str, copy: Listed) -> Difference | None:
    """Compare an object with a copy about which neither ETag nor checksum says anything, by the record or the times."""
    if record and is_about(record, source):
        result = record.results.get(bucket)
        if result and result.etag:
            return None if copy.etag == result.etag else Difference.RECORD
    return None if copy.modified >= source.modified else Difference.AGE


def is_about(record: TrackingRecord, source: Listed) -> bool:
    """Whether a record is about this version of the object."""
    if record.etag is None:
        # The execution could not read the source.
        return record.problem is not None and record.started is not None and record.started >= source.modified
    return (record.etag, record.size) == (source.etag, source.size)


def archive_problem(head: Any) -> str | None:
    """The reason why an object must be restored before it can be copied; ``None`` if it need not.

    Args:
        head: the answer of HeadObject.
    """
    storage, restore = head.get("StorageClass"), head.get("Restore", "")
    archive = head.get("ArchiveStatus") or (storage if storage in _ARCHIVES else None)
    if archive is None or 'ongoing-request="false"' in restore:
        return None
    return f"its restore from {archive} has not finished" if restore else f"restore it first, it is in {archive}"


class Objects:
    """The objects of the source and the destinations, each bucket asked in its own region."""

    def __init__(self, stack: Stack, destinations: Iterable[str]) -> None:
        self._stack, self.source = stack, stack.source_bucket
        self.clients = {
            bucket: stack.clients.in_region(stack.regions.get(bucket))("s3")
            for bucket in (stack.source_bucket, *destinations)
        }

    def head(self, bucket: str, key: str) -> Any:
        """The answer of HeadObject; ``None`` if there is no such object.

        Raises:
            CustomerKeyError: the object is encrypted with a customer's key.
            StackError: this user may not read it.
            ClientError: S3 refuses for another reason.
        """
        try:
            return self.clients[bucket].head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            # The answer to a HEAD request has no body, so its status is the only code.
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                return None
            if status == 400:
                self._check_for_customer_key(bucket, key)
            raise self.refusal(error, bucket, "s3:GetObject") from None

    def _check_for_customer_key(self, bucket: str, key: str) -> None:
        """Ask why HeadObject was a bad request: GetObject's answer has a body.

        Raises:
            CustomerKeyError: the object needs a customer's key.
            ClientError: another reason, such as credentials that have expired.
        """
        try:
            answer = self.clients[bucket].get_object(Bucket=bucket, Key=key, Range="bytes=0-0")
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidRequest":
                raise CustomerKeyError from None
            raise
        answer["Body"].close()

    def refusal(self, error: ClientError, bucket: str, action: str) -> Exception:
        """The exception to raise for S3's refusal: a sentence where the user can do something about it."""
        or_leave_out = "" if bucket == self.source else " Or name the other destinations with --to."
        if error.response["Error"]["Code"] == "NoSuchBucket":
            return StackError(f"The bucket {bucket} does not exist. Create it.{or_leave_out}")
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            return error
        arn = policies.bucket_arn(bucket, like=self._stack.state_machine)
        resource = f"{arn}/*, and kms:Decrypt on its key if it has one" if action == "s3:GetObject" else arn
        return StackError(
            f"Access to {bucket} denied: you need {action} on {resource}. If the bucket belongs to another account, its"
            f" policy has to allow it, too.{or_leave_out}"
        )

    def compare(
        self, key: str, head: Any, buckets: Iterable[str], record_of: Callable[[str], TrackingRecord | None]
    ) -> dict[str, Difference]:
        """Compare an object with its copies as they are now.

        Args:
            head: HeadObject's answer for the source.
            buckets: the destinations to compare.
            record_of: reads the record of a key.

        Returns:
            The difference, by destination that needs a copy.
        """
        found = {bucket: self._compare(key, head, bucket, record_of) for bucket in buckets}
        return {bucket: what for bucket, what in found.items() if what is not None}

    def _compare(
        self, key: str, head: Any, bucket: str, record_of: Callable[[str], TrackingRecord | None]
    ) -> Difference | None:
        found = self.head(bucket, key)
        if found is None:
            return Difference.MISSING
        source, copy = listed(key, head), listed(key, found)
        what = difference(source, copy)
        if what is not Difference.UNDECIDED:
            return what
        verdict = objects.compare(head, found)
        if verdict.problem:
            return Difference(verdict.check)
        return by_record_or_age(record_of(key), source, bucket, copy) if verdict.check == "size" else None


def listed(key: str, head: Any) -> Listed:
    """The object that HeadObject's answer describes."""
    return Listed(
        key,
        head["ContentLength"],
        head["ETag"].strip('"'),
        head["LastModified"],
        head.get("StorageClass", "STANDARD"),
    )
