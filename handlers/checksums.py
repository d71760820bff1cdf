"""Checksums of an object of which only its parts have some."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import cache

# The generator polynomials, bits reversed.
_POLYNOMIALS = {"CRC32": 0xEDB88320, "CRC32C": 0x82F63B78}
_ONE = 1 << 31


def of_the_whole(algorithm: str, parts: Iterable[tuple[str, int]]) -> str:
    """What S3 would say of an object, by what it says of its parts.

    A CRC is the remainder of a division of polynomials, so that of the first part goes into that of both as if as many
    zero bits followed as the second part has, which is a multiplication.

    Args:
        algorithm: ``CRC32`` or ``CRC32C``.
        parts: each part's checksum, in base64, and its size in bytes, in their order.

    Raises:
        KeyError: no other algorithm has this.
    """
    polynomial, whole = _POLYNOMIALS[algorithm], 0
    for checksum, size in parts:
        shifted = _product(_zeros(size, polynomial), whole, polynomial)
        whole = shifted ^ int.from_bytes(base64.b64decode(checksum), "big")
    return base64.b64encode(whole.to_bytes(4, "big")).decode("ascii")


@cache
def _zeros(size: int, polynomial: int) -> int:
    """What as many zero bytes multiply by: x to the power of the number of their bits."""
    result, power = _ONE, _ONE >> 8
    while size:
        if size & 1:
            result = _product(result, power, polynomial)
        power = _product(power, power, polynomial)
        size >>= 1
    return result


def _product(one: int, other: int, polynomial: int) -> int:
    """Of two polynomials, bits reversed, modulo the third."""
    result, bit = 0, _ONE
    while bit:
        if one & bit:
            result ^= other
        other = other >> 1 ^ (polynomial if other & 1 else 0)
        bit >>= 1
    return result
