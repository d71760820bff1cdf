"""Uploads from a page: streamed into the source bucket, a part at a time."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from typing import Any

from filecopy.errors import StackError
from filecopy.executions.inputs import parse_json
from filecopy.stack.key_filter import key_filter_of
from filecopy.stack.records import MAX_KEYS, TrackingRecord, read_records
from filecopy.stack.stack import Stack
from filecopy.terminal import size

from .reader import Reader

# Bytes that are in memory for each upload. S3 takes 10,000 parts.
PART = 8 * 1024**2
MAX_SIZE = PART * 10_000

# A checksum of the whole file, as filecopy send asks for: each copy gets the same one, and the two are compared.
_CHECKSUM = {"ChecksumAlgorithm": "CRC32"}
_WHOLE = {**_CHECKSUM, "ChecksumType": "FULL_OBJECT"}


def upload(reader: Reader, query: dict[str, str]) -> dict[str, Any]:
    """Read the page: what became of the files with these keys."""
    given = parse_json(query.get("keys"))
    keys = list(dict.fromkeys(key for key in given if isinstance(key, str) and key)) if isinstance(given, list) else []
    keys = keys[:MAX_KEYS]
    records: dict[str, TrackingRecord | None] = read_records(reader.stack, keys) if keys else {}
    return {"keys": keys, "records": records, "bucket": reader.stack.source_bucket, "limit": size(MAX_SIZE)}


async def store(stack: Stack, key: str, length: int | None, body: AsyncIterator[bytes]) -> str:
    """Write a file into the source bucket.

    Args:
        length: bytes, as the browser announced them.

    Returns:
        The result in one sentence.

    Raises:
        StackError: the key is not copied, the file is too large, or the browser did not send all of it. The bucket
            has no part of it.
    """
    if not key:
        raise StackError("The file needs a key.")
    if len(key.encode("utf-8", "surrogatepass")) > 1024:
        raise StackError("A key must be at most 1,024 bytes long. Choose a shorter name.")
    filter_ = await asyncio.to_thread(key_filter_of, stack)
    if filter_ and (problem := filter_.problem_of(key)):
        raise StackError(f"{problem[0].upper()}{problem[1:]}.")
    if length is None or length > MAX_SIZE:
        raise StackError(f"The console takes files of up to {size(MAX_SIZE)}. For larger ones: filecopy send FILE")
    s3 = stack.clients("s3")
    target = {"Bucket": stack.source_bucket, "Key": key}
    type_ = {"ContentType": type_} if (type_ := mimetypes.guess_type(key)[0]) else {}
    if length <= PART:
        content = b"".join([chunk async for chunk in _bounded(body, length)])
        _require_all(len(content), length)
        await asyncio.to_thread(s3.put_object, **target, **type_, **_CHECKSUM, Body=content)
    else:
        await _in_parts(s3, target, type_, length, body)
    return f"{size(length)} are in {stack.source_bucket}."


async def _in_parts(
    s3: Any, target: dict[str, str], type_: dict[str, str], length: int, body: AsyncIterator[bytes]
) -> None:
    created = await asyncio.to_thread(s3.create_multipart_upload, **target, **type_, **_WHOLE)
    upload_id = {"UploadId": created["UploadId"]}
    parts: list[dict[str, Any]] = []
    received, buffer = 0, bytearray()

    async def send() -> None:
        number = len(parts) + 1
        answer = await asyncio.to_thread(
            s3.upload_part, **target, **upload_id, **_CHECKSUM, PartNumber=number, Body=bytes(buffer)
        )
        checksum = {"ChecksumCRC32": answer["ChecksumCRC32"]} if "ChecksumCRC32" in answer else {}
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksum})
        buffer.clear()

    try:
        async for chunk in _bounded(body, length):
            received += len(chunk)
            buffer += chunk
            if len(buffer) >= PART:
                await send()
        if buffer:
            await send()
        _require_all(received, length)
        await asyncio.to_thread(
            s3.complete_multipart_upload,
            **target,
            **upload_id,
            ChecksumType="FULL_OBJECT",
            MultipartUpload={"Parts": parts},
        )
    except BaseException:
        # Also if the browser has gone: shielded, because this task is being cancelled then.
        await asyncio.shield(asyncio.to_thread(s3.abort_multipart_upload, **target, **upload_id))
        raise


async def _bounded(body: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in body:
        received += len(chunk)
        if received > length:
            raise StackError("The browser sent more than it announced. Nothing was written.")
        yield chunk


def _require_all(received: int, length: int) -> None:
    if received < length:
        raise StackError("The browser did not send the whole file. Nothing was written; upload it again.")
