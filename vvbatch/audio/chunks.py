"""WAV, RF64, Wave64, AIFF, CAF and AU: how many bytes of samples the header declares, and how many there are.

A writer that cannot seek back, as in a pipe, leaves a placeholder for the size; the samples then go to the end of the
file. libsndfile reads a cut file as a shorter one without an error, and some placeholders as no samples at all.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vvbatch.audio.content import CUT, NO_LENGTH, AudioError, Content

W64_GUID = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # ends each name of a Wave64 chunk but the first
NEAR = 1 << 16
PLACEHOLDERS = (1 << 31, 1 << 32, 1 << 63, 1 << 64)
"""Writers use the largest value of a field, signed or not. Less a header, or rounded to whole blocks, it is NEAR it."""


@dataclass(frozen=True)
class Format:
    """Where a format's chunks begin, and how each of them states its name and its size."""

    first: int  # byte offset of the first chunk
    head: str  # of `struct`: name and size
    samples: bytes  # name of the chunk with the samples
    unit: int = 1  # chunks begin at multiples of it
    own: int = 0  # bytes of the head that the size counts too
    empty: int = 0  # size of a chunk without samples, `own` left out


FORMATS = {
    b"RIFF": Format(12, "<4sI", b"data", unit=2),
    b"RF64": Format(12, "<4sI", b"data", unit=2),
    b"FORM": Format(12, ">4sI", b"SSND", unit=2, empty=8),  # offset and block size come first
    b"caff": Format(8, ">4sQ", b"data", empty=4),  # the number of edits comes first
    b"riff": Format(40, "<16sQ", b"data" + W64_GUID, unit=8, own=24),
}
DS64_SIZES = 20  # offset in RF64 of the sizes of the file and of the samples, 8 bytes each
AU = b".snd"


def whole(data: bytes) -> Content:
    """The content of a file of one of FORMATS or AU. Raises AudioError if samples are missing at its end."""
    if data[:4] == AU:
        return _whole_au(data)
    layout = FORMATS[data[:4]]
    head = struct.calcsize(layout.head)
    at = layout.first
    while at + head <= len(data):
        name, size = struct.unpack_from(layout.head, data, at)
        if name == layout.samples:
            return _whole_chunk(data, at, size)
        size = max(size - layout.own, 0)
        at += head + size + -size % layout.unit
    return Content()  # no samples: the decoder says what is wrong


def _whole_chunk(data: bytes, at: int, size: int) -> Content:
    layout = FORMATS[data[:4]]
    start = at + struct.calcsize(layout.head)
    here = len(data) - start
    is_rf64 = data[:4] == b"RF64" and data[12:16] == b"ds64" and len(data) >= DS64_SIZES + 16
    if is_rf64 and size == 0xFFFFFFFF:
        (size,) = struct.unpack_from("<Q", data, DS64_SIZES + 8)
    declared = max(size - layout.own, 0)
    is_empty = declared in (0, layout.empty)
    if is_empty and (here <= layout.empty or _are_chunks(data, start + declared, layout)):
        return Content()
    if not is_empty and not _is_placeholder(size):
        if declared > here:
            raise AudioError(f"its header declares {declared} bytes of samples, it holds {here}: {CUT}")
        return Content()
    patched = bytearray(data)
    struct.pack_into(layout.head, patched, at, layout.samples, here + layout.own)
    if is_rf64:
        struct.pack_into("<QQ", patched, DS64_SIZES, len(data) - 8, here)
    if data[:4] == b"riff":
        struct.pack_into("<Q", patched, 16, len(data))
    return Content(bytes(patched), NO_LENGTH, here - layout.empty)


def _whole_au(data: bytes) -> Content:
    if len(data) < 24:
        return Content()
    start, size = struct.unpack_from(">II", data, 4)
    here = len(data) - start
    if here <= 0 or not (size == 0 or _is_placeholder(size)):
        if size > here:
            raise AudioError(f"its header declares {size} bytes of samples, it holds {max(here, 0)}: {CUT}")
        return Content()
    return Content(data[:8] + struct.pack(">I", here) + data[12:], NO_LENGTH, here)


def _is_placeholder(size: int) -> bool:
    return any(abs(size - value) <= NEAR for value in PLACEHOLDERS)


def _are_chunks(data: bytes, at: int, layout: Format) -> bool:
    """Whether chunks and nothing else follow from `at` on: then a size of 0 is no placeholder."""
    head = struct.calcsize(layout.head)
    while at + head <= len(data):
        name, size = struct.unpack_from(layout.head, data, at)
        size -= layout.own
        if size < 0 or not name[:4].isascii() or not name[:4].decode("ascii").isprintable():
            return False
        at += head + size + -size % layout.unit
    return 0 <= at - len(data) < layout.unit
