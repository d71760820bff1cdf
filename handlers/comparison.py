"""Whether two objects in S3 hold the same bytes, as far as S3 tells without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

_CHECKSUMS = ("ChecksumSHA256", "ChecksumSHA1", "ChecksumCRC64NVME", "ChecksumCRC32C", "ChecksumCRC32")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a comparison found. ``check`` is what was compared: ``etag``, ``checksum`` or ``size``."""

    check: str
    problem: str | None = None


def compare(source: HeadObjectOutputTypeDef, copy: HeadObjectOutputTypeDef) -> Verdict:
    """Compares two objects of one size whose ETags differ, which those of equal bytes do when one was uploaded in parts
    or is encrypted with a KMS key.

    Args:
        source: HeadObject's answer, with ``ChecksumMode``.
        copy: the same of the other object.

    Returns:
        With ``check="size"`` where nothing but the size could be compared.
    """
    for checksum in _CHECKSUMS:
        ours, theirs = source.get(checksum), copy.get(checksum)
        # A checksum of parts ("…-3") depends on where the parts end.
        if ours and theirs and "-" not in f"{ours}{theirs}":
            if ours == theirs:
                return Verdict(check="checksum")
            return Verdict(check="checksum", problem=f"The copy's {checksum} is {theirs}, the source's {ours}.")
    if _etag_is_md5(source) and _etag_is_md5(copy):
        return Verdict(check="etag", problem=f"The copy's ETag is {copy['ETag']}, the source's {source['ETag']}.")
    return Verdict(check="size")


def _etag_is_md5(head: HeadObjectOutputTypeDef) -> bool:
    """S3 API reference, "Object": the MD5 of the content, unless uploaded in parts or encrypted with a KMS key."""
    return "-" not in head["ETag"] and not str(head.get("ServerSideEncryption", "")).startswith("aws:kms")
