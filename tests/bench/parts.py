"""A large file copied in parts by copy-worker, beside one CopyObject of the same object.

A threshold of 5 MiB stands for 512 MiB, so that a file fits into the emulator's memory.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from dataclasses import dataclass

from handlers.parts import part_size
from tests.e2e.system import System, stack_up

KEY = "large"
MIB = 1024**2
LIMIT_MIB = 5

ROUNDS = 3


@dataclass(frozen=True)
class Large:
    """Seconds are medians of ROUNDS, taken in turns."""

    bytes: int
    parts: int
    seconds: float
    """From the start of an execution to its end, of which one copy in parts is all but some milliseconds."""
    small_seconds: float
    """The same of a file of one byte, which needs no parts: what the execution itself takes."""
    plain_copy: float
    """Seconds of one copy_object of the large file."""


def measure(size: int) -> Large:
    """
    Args:
        size: bytes, more than LIMIT_MIB.
    """
    one = json.dumps([{"bucket": "destination"}])
    with stack_up("-c", f"destinations={one}", "-c", f"multipartThresholdMiB={LIMIT_MIB}") as system:
        for key, content in ((KEY, os.urandom(size)), ("small", b"x")):
            system.upload(key, content)
        rounds = [(_execution(system, KEY), _execution(system, "small"), _plain_copy(system)) for _ in range(ROUNDS)]
        large, small, plain = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
        etag = system.s3.head_object(Bucket="destination", Key=KEY)["ETag"]
    parts = int(etag.strip('"').partition("-")[2])
    assert parts == -(-size // part_size(size)), etag
    return Large(size, parts, large, small, plain)


def _execution(system: System, key: str) -> float:
    started = time.perf_counter()
    ended = system.run(system.job(key))
    assert ended["status"] == "SUCCEEDED", ended
    return time.perf_counter() - started


def _plain_copy(system: System) -> float:
    source = {"Bucket": system.source, "Key": KEY}
    started = time.perf_counter()
    system.s3.copy_object(Bucket="destination", Key="plain", CopySource=source)
    return time.perf_counter() - started
