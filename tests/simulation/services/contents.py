"""Contents of objects: real bytes, followed by any number of zero bytes. So a file of 10 GiB costs nothing, and its
checksums are nevertheless those that S3 would compute.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate

_KEPT = 4_096

# A smaller content is hashed as it is. For the hash of a larger one, its runs stand for its bytes.
HASHED = 64 * 1024


@dataclass(frozen=True)
class Content:
    """Bytes as runs: each is some bytes, followed by a number of zero bytes."""

    runs: tuple[tuple[bytes, int], ...]

    @cached_property
    def size(self) -> int:
        return sum(len(data) + zeros for data, zeros in self.runs)

    def slice(self, start: int, end: int) -> Content:
        """The bytes from ``start`` to before ``end``."""
        found, at = [], 0
        for data, zeros in self.runs:
            low, high = max(start - at, 0), min(end - at, len(data) + zeros)
            if low < high:
                kept = data[low:high]
                found.append((kept, high - low - len(kept)))
            at += len(data) + zeros
        return joined(found)

    @property
    def data(self) -> bytes:
        return b"".join(data + bytes(zeros) for data, zeros in self.runs)

    def checksum(self, algorithm: str) -> bytes:
        """What S3 stores before it is written as base64: ``CRC32``, ``CRC32C``, ``CRC64NVME``, ``SHA1``, ``SHA256`` or
        ``MD5``."""
        return _checksum(self, algorithm, self.size <= HASHED)


def content(data: bytes, size: int | None = None) -> Content:
    """``data``, and zero bytes up to ``size``."""
    zeros = 0 if size is None else size - len(data)
    if zeros < 0:
        raise ValueError(f"{len(data)} bytes do not fit into {size}.")
    return joined([(data, zeros)])


def concatenated(parts: Iterable[Content]) -> Content:
    return joined(run for part in parts for run in part.runs)


def joined(runs: Iterable[tuple[bytes, int]]) -> Content:
    """The runs as one content. Equal bytes have equal runs, unless they hold zero bytes between others."""
    merged: list[tuple[bytes, int]] = []
    for data, zeros in runs:
        shown = data.rstrip(b"\0")
        after = zeros + len(data) - len(shown)
        if merged and not shown:
            merged[-1] = merged[-1][0], merged[-1][1] + after
        elif merged and merged[-1][1] == 0:
            merged[-1] = merged[-1][0] + shown, after
        elif shown or after:
            merged.append((shown, after))
    return Content(tuple(merged))


@lru_cache(_KEPT)
def _checksum(of: Content, algorithm: str, of_all_bytes: bool) -> bytes:
    if algorithm in _CRCS:
        crc = _CRCS[algorithm]
        return crc.of(of.runs).to_bytes(crc.width // 8, "big")
    shown = of.data if of_all_bytes else repr(of.runs).encode()
    return hashlib.new(algorithm, shown, usedforsecurity=False).digest()


def base64_of(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


# --- CRCs -------------------------------------------------------------------------------------------------------


class _Crc:
    """A CRC with reflected bits, which begins and ends with all bits inverted."""

    def __init__(self, width: int, polynomial: int) -> None:
        """
        Args:
            polynomial: with its bits reversed.
        """
        self.width, self.polynomial = width, polynomial
        self.mask = (1 << width) - 1
        self.one = 1 << (width - 1)
        self.table = tuple(self._after_bits(byte, 8) for byte in range(256))
        # The factors for 1, 2, 4, … zero bytes.
        factor = self._after_bits(self.one, 8)
        self.powers: Sequence[int] = list(
            accumulate(range(48), lambda power, _: self._product(power, power), initial=factor)
        )
        self.after_zeros = lru_cache(_KEPT)(self._after_zeros)

    def _after_bits(self, state: int, bits: int) -> int:
        for _ in range(bits):
            state = state >> 1 ^ (self.polynomial if state & 1 else 0)
        return state

    def of(self, runs: Iterable[tuple[bytes, int]]) -> int:
        state = self.mask
        for data, zeros in runs:
            if self.polynomial == 0xEDB88320:
                state = zlib.crc32(data, state ^ self.mask) ^ self.mask
            else:
                for byte in data:
                    state = self.table[(state ^ byte) & 0xFF] ^ state >> 8
            state = self.after_zeros(state, zeros)
        return state ^ self.mask

    def _after_zeros(self, state: int, zeros: int) -> int:
        for power in self.powers:
            if zeros & 1:
                state = self._product(state, power)
            zeros >>= 1
            if not zeros:
                break
        return state

    def _product(self, one: int, other: int) -> int:
        """The product of two polynomials modulo the CRC's."""
        result, bit = 0, self.one
        while bit:
            if one & bit:
                result ^= other
            other = other >> 1 ^ (self.polynomial if other & 1 else 0)
            bit >>= 1
        return result


_CRCS = {
    "CRC32": _Crc(32, 0xEDB88320),
    "CRC32C": _Crc(32, 0x82F63B78),
    "CRC64NVME": _Crc(64, 0x9A6C9329AC4BC9B5),
}
