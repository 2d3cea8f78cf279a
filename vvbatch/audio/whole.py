"""What a look at a file's own headers finds: that it is whole, or what is missing."""

from __future__ import annotations

import functools
from dataclasses import dataclass


class Cut(ValueError):
    """The file is shorter than it should be; the message says what is missing."""


@dataclass(frozen=True)
class Checked:
    """A whole file: `data` is what libsndfile should read, `notes` what its header got wrong."""

    data: bytes
    notes: tuple[str, ...] = ()


def crc(data: bytes | bytearray, polynomial: int, bits: int) -> int:
    """The remainder of `data` by a CRC without reflection that begins at 0; 0 where `data` ends with its own CRC."""
    table, mask, value = _table(polynomial, bits), (1 << bits) - 1, 0
    for byte in data:
        value = (value << 8 & mask) ^ table[(value >> (bits - 8)) ^ byte]
    return value


@functools.lru_cache(maxsize=2)
def _table(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        entry = byte << (bits - 8)
        for _ in range(8):
            entry = (entry << 1 ^ (polynomial if entry >> (bits - 1) & 1 else 0)) & (1 << bits) - 1
        table.append(entry)
    return table
