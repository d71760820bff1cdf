"""Uploads from a page: streamed into the source bucket, a part at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import islice
from typing import Any

from filecopy.errors import StackError
from filecopy.executions.inputs import parse_json
from filecopy.sending.upload import content_type
from filecopy.stack.key_filter import key_filter_of
from filecopy.stack.records import MAX_KEYS, TrackingRecord, read_records
from filecopy.terminal import size
from handlers.keys import problem_of_key

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
    valid = (key for key in given if not problem_of_key(key)) if isinstance(given, list) else ()
    keys = list(islice(dict.fromkeys(valid), MAX_KEYS))
    records: dict[str, TrackingRecord | None] = read_records(reader.stack, keys) if keys else {}
    return {"keys": keys, "records": records, "bucket": reader.stack.source_bucket, "limit": size(MAX_SIZE)}


async def store(reader: Reader, key: str, length: int | None, body: AsyncIterator[bytes]) -> str:
    """Write a file into the source bucket.

    Args:
        length: bytes, as the browser announced them.

    Returns:
        The result in one sentence.

    Raises:
        StackError: the key is not copied, the file is too large, or the browser did not send all of it. The bucket
            has no part of it.
    """
    stack = reader.stack
    if problem := problem_of_key(key):
        raise StackError(f"The key {problem}.")
    filter_ = await asyncio.to_thread(key_filter_of, stack)
    if filter_ and (left_out := filter_.problem_of(key)):
        raise StackError(f"{left_out[0].upper()}{left_out[1:]}.")
    if length is None or length > MAX_SIZE:
        raise StackError(f"The console takes files of up to {size(MAX_SIZE)}. For larger ones: filecopy send FILE")
    s3 = reader.s3
    target = {"Bucket": stack.source_bucket, "Key": key}
    type_ = {"ContentType": type_} if (type_ := content_type(key.rpartition("/")[2])) else {}
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
