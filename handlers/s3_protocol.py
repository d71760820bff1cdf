"""Two things that S3 does and botocore's client for it does not: XML with any key in it, and headers with any value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Operations whose answers, or errors, contain the key.
_OPERATIONS = (
    *("AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload", "GetObjectAttributes"),
    *("GetObjectTagging", "ListParts", "UploadPartCopy"),
)

# XML 1.0, "Characters": the others have no place in a document, not even as references. S3 writes them all the same.
_REFERENCE = re.compile(rb"&#(?:[xX]([0-9a-fA-F]+)|([0-9]+));")
_RAW = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")


def accept_any_key(client: S3Client) -> None:
    """Has the client read answers that contain a key with control characters. They read "?" there: no caller of an
    answer needs the key, which it has sent itself.
    """
    for operation in _OPERATIONS:
        # botocore calls handlers of "before-parse.s3.*" after those whose wildcard comes earlier. One of them takes an
        # answer that cannot be read for an error of S3.
        client.meta.events.register(f"before-parse.*.{operation}", _repair)


def _repair(response_dict: dict[str, Any], **_: object) -> None:
    body = response_dict.get("body")
    if isinstance(body, bytes):
        response_dict["body"] = _RAW.sub(b"?", _REFERENCE.sub(_valid, body))


def _valid(reference: re.Match[bytes]) -> bytes:
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    is_valid = code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0xFFFF < code < 0x110000
    return reference[0] if is_valid else b"?"


def header_text(value: str) -> str:
    """A header of an answer, as botocore takes it in a request: it reads bytes as Latin-1, and writes UTF-8.

    The rare bytes that are not UTF-8 become UTF-8.
    """
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


@contextmanager
def headers_as_they_are(client: S3Client, operation: str, headers: Mapping[str, str]) -> Iterator[None]:
    """Adds headers to the calls of ``operation`` in the block, without botocore's checks of their values.

    The calls of the block must be the client's only ones at the time.
    """

    def add(params: dict[str, Any], **_: object) -> None:
        params["headers"].update(headers)

    event = f"before-call.s3.{operation}"
    client.meta.events.register(event, add)
    try:
        yield
    finally:
        client.meta.events.unregister(event, add)
