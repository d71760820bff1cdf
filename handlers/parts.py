"""Parts of a large file: their sizes and ranges, and the calls that copy them, several at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from . import checksums, clients, log
from .copying import Copy, Environment, s3

# S3 user guide, "Amazon S3 multipart upload limits".
MIN_PART_BYTES = 5 * 1024**2
MAX_PART_BYTES = 5 * 1024**3
MAX_PARTS = 10_000

# Enough parts to copy several at a time, but few requests: a part of 512 MiB takes some seconds.
_PARTS_WANTED = 64
_LARGEST_PART_WANTED = 512 * 1024**2
_MIB = 1024**2

# Seconds between two reports of the progress, each of which writes the record.
_REPORT_INTERVAL = 10.0

# Checksums of a whole object that S3 can compute from those of its parts (S3 user guide, "Checking object integrity").
_COMBINABLE = ("CRC64NVME", "CRC32C", "CRC32")


def part_size(size: int) -> int:
    """The size of each part but the last, in bytes, for an object of ``size`` bytes: a multiple of 1 MiB.

    Raises:
        ValueError: S3 has no object so large.
    """
    wanted = max(MIN_PART_BYTES, size / MAX_PARTS, min(size / _PARTS_WANTED, _LARGEST_PART_WANTED))
    chosen = min(math.ceil(wanted / _MIB) * _MIB, MAX_PART_BYTES)
    if chosen * MAX_PARTS < size:
        raise ValueError(f"{size} bytes do not fit into {MAX_PARTS} parts of {MAX_PART_BYTES} bytes")
    return chosen


def part_size_for(copy: Copy) -> int:
    """The part size for a copy.

    If the source has only an ETag made of its parts to compare, the copy gets the same parts: then its ETag is the same
    if its bytes are.
    """
    count = copy.etag.rpartition("-")[2]
    if checksum_algorithm(copy) is None and "-" in copy.etag and count.isdecimal() and int(count) <= MAX_PARTS:
        first = clients.s3().head_object(**copy.source, PartNumber=1)["ContentLength"]
        has_equal_parts = math.ceil(copy.size / first) == int(count)
        if has_equal_parts and MIN_PART_BYTES <= first <= MAX_PART_BYTES:
            return first
    return part_size(copy.size)


def checksum_algorithm(copy: Copy) -> str | None:
    """The checksum by which a copy in parts can be compared with the source."""
    return next((name for name in _COMBINABLE if f"Checksum{name}" in copy.checksums), None)


def whole_checksums(copy: Copy, algorithm: str) -> dict[str, str]:
    """The source's checksum, computed from those of its parts, by its name; empty if S3 does not list them all."""
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


def ranges(size: int, part_size: int) -> Iterator[tuple[int, str]]:
    """The number and the byte range of each part, as S3 takes them."""
    for number, start in enumerate(range(0, size, part_size), start=1):
        yield number, f"bytes={start}-{min(start + part_size, size) - 1}"


def copy_parts(
    copy: Copy, upload_id: str, part_size: int, done: dict[int, str], deadline: float, report: Callable[[int], None]
) -> bool:
    """Copies the parts that are missing in ``done``, and adds them to it. Begins no part that would end after
    ``deadline``, but one round of parts in any case. The slowest part so far tells how long a part takes.

    Args:
        part_size: bytes of each part except the last.
        done: ETags of parts by number.
        deadline: by the monotonic clock.
        report: is called with the bytes copied so far, every 10 s and at the end.

    Returns:
        True if all parts are done.
    """
    at_once = Environment.read().parts_at_once
    missing = [(number, byte_range) for number, byte_range in ranges(copy.size, part_size) if number not in done]
    log.info("Copying parts", uploadId=upload_id, done=len(done), missing=len(missing))
    reported, slowest = time.monotonic(), 0.0

    def copy_part(number: int, byte_range: str) -> tuple[int, str, float]:
        began = time.monotonic()
        answer = s3(copy).upload_part_copy(
            **copy.target,
            UploadId=upload_id,
            PartNumber=number,
            CopySource=copy.source,
            CopySourceRange=byte_range,
            CopySourceIfMatch=copy.quoted_etag,
        )
        return number, answer["CopyPartResult"]["ETag"], time.monotonic() - began

    with ThreadPoolExecutor(at_once) as pool:
        running: set[Future[tuple[int, str, float]]] = {pool.submit(copy_part, *begun) for begun in missing[:at_once]}
        waiting = iter(missing[at_once:])
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                number, etag, took = future.result()
                done[number], slowest = etag, max(slowest, took)
                if time.monotonic() + slowest < deadline and (following := next(waiting, None)):
                    running.add(pool.submit(copy_part, *following))
            if time.monotonic() > reported + _REPORT_INTERVAL or not running:
                report(min(len(done) * part_size, copy.size))
                reported = time.monotonic()
    return len(done) == math.ceil(copy.size / part_size)
