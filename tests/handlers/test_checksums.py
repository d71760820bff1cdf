"""Checksums of an object, made of those of its parts."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.checksums import of_the_whole


def crc32(content: bytes) -> int:
    return zlib.crc32(content)


def crc32c(content: bytes) -> int:
    """Bit by bit, as RFC 3720, appendix B.4, has it."""
    rest = 0xFFFFFFFF
    for byte in content:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF


def as_s3_has_it(checksum: int) -> str:
    return base64.b64encode(checksum.to_bytes(4, "big")).decode()


@pytest.mark.parametrize(("algorithm", "made", "check"), [("CRC32", crc32, 0xCBF43926), ("CRC32C", crc32c, 0xE3069283)])
@given(parts=st.lists(st.binary(max_size=300), max_size=6))
def test_the_parts_checksums_make_that_of_the_whole(
    algorithm: str, made: object, check: int, parts: list[bytes]
) -> None:
    """However a file was cut into parts."""
    assert callable(made)
    assert made(b"123456789") == check
    of_parts = [(as_s3_has_it(made(part)), len(part)) for part in parts]
    assert of_the_whole(algorithm, of_parts) == as_s3_has_it(made(b"".join(parts)))


def test_parts_may_be_as_large_as_s3_has_them() -> None:
    """A size is a number of bytes up to 5 GiB; zlib itself tells what zeros in between come to."""
    zeros = bytes(64 * 1024**2)
    whole = zlib.crc32(b"end", zlib.crc32(zeros, zlib.crc32(b"begin")))
    parts = [(as_s3_has_it(zlib.crc32(part)), len(part)) for part in (b"begin", zeros, b"end")]
    assert of_the_whole("CRC32", parts) == as_s3_has_it(whole)


def test_other_checksums_say_nothing_of_the_whole() -> None:
    with pytest.raises(KeyError, match="SHA256"):
        of_the_whole("SHA256", [])
