"""The checksum of a whole object, from those of its parts."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import cache

# The generator polynomials, with their bits reversed.
_POLYNOMIALS = {"CRC32": 0xEDB88320, "CRC32C": 0x82F63B78}
_ONE = 1 << 31


def of_the_whole(algorithm: str, parts: Iterable[tuple[str, int]]) -> str:
    """The checksum that S3 would compute for the whole object.

    A CRC is the remainder of a division of polynomials. To append a part, the CRC so far is multiplied as if as many
    zero bits followed as the part has, and then the CRC of the part is added.

    Args:
        algorithm: ``CRC32`` or ``CRC32C``.
        parts: the checksum in base64 and the size in bytes of each part, in their order.

    Raises:
        KeyError: the algorithm is another one, whose checksums cannot be combined.
    """
    polynomial, whole = _POLYNOMIALS[algorithm], 0
    for checksum, size in parts:
        shifted = _product(_zeros(size, polynomial), whole, polynomial)
        whole = shifted ^ int.from_bytes(base64.b64decode(checksum), "big")
    return base64.b64encode(whole.to_bytes(4, "big")).decode("ascii")


@cache
def _zeros(size: int, polynomial: int) -> int:
    """The factor for ``size`` zero bytes: x to the power of the number of their bits."""
    result, power = _ONE, _ONE >> 8
    while size:
        if size & 1:
            result = _product(result, power, polynomial)
        power = _product(power, power, polynomial)
        size >>= 1
    return result


def _product(one: int, other: int, polynomial: int) -> int:
    """The product of two polynomials, with their bits reversed, modulo the third."""
    result, bit = 0, _ONE
    while bit:
        if one & bit:
            result ^= other
        other = other >> 1 ^ (polynomial if other & 1 else 0)
        bit >>= 1
    return result
