"""Comparison of two objects in S3 by what HeadObject returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

_CHECKSUMS = ("ChecksumSHA256", "ChecksumSHA1", "ChecksumCRC64NVME", "ChecksumCRC32C", "ChecksumCRC32")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of a comparison. ``check`` is what was compared: ``ETag``, ``checksum`` or ``size``."""

    check: str
    problem: str | None = None


def compare(source: HeadObjectOutputTypeDef, copy: HeadObjectOutputTypeDef) -> Verdict:
    """Compares two objects of the same size, with different ETags. Two objects with the same bytes have different ETags
    if one was uploaded in parts, or is encrypted with a KMS key.

    Args:
        source: HeadObject's answer, with ``ChecksumMode``.
        copy: the same for the other object.

    Returns:
        ``check`` is ``size`` if there was nothing else to compare.
    """
    for checksum in _CHECKSUMS:
        ours, theirs = source.get(checksum), copy.get(checksum)
        # A checksum of parts ("…-3") depends on where the parts end.
        if ours and theirs and "-" not in f"{ours}{theirs}":
            if ours == theirs:
                return Verdict(check="checksum")
            return Verdict(check="checksum", problem=f"The copy's {checksum} is {theirs}, the source's {ours}.")
    if _etag_is_md5(source) and _etag_is_md5(copy):
        return Verdict(check="ETag", problem=f"The copy's ETag is {copy['ETag']}, the source's {source['ETag']}.")
    return Verdict(check="size")


def _etag_is_md5(head: HeadObjectOutputTypeDef) -> bool:
    """S3 API reference, "Object": the ETag is the MD5 of the bytes, unless the object was uploaded in parts or is
    encrypted with a KMS key.
    """
    return "-" not in head["ETag"] and not str(head.get("ServerSideEncryption", "")).startswith("aws:kms")
