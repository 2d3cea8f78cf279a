"""Whether a file of nested boxes, MP4 (ISO 14496-12) or Matroska and WebM (RFC 8794, 9559), is whole."""

from __future__ import annotations

import struct

from vvbatch.audio.whole import Cut


def refuse_cut_mp4(data: bytes) -> None:
    """Raise Cut if a box of the file is longer than what is left of it."""
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size == 1 and len(data) >= at + 16:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size == 0:  # to the end of the file
            return
        if size < 8:
            raise Cut(f"its box at byte {at:,} is damaged")
        if at + size > len(data):
            shown = name.decode("ascii", "replace")
            raise Cut(f"its box {shown!r} has {size:,} bytes, {len(data) - at:,} are there")
        at += size
    if data[at:].strip(b"\0"):
        raise Cut("its last box is not whole")


SEGMENT, CLUSTER = 0x18538067, 0x1F43B675


def refuse_cut_matroska(data: bytes) -> None:
    """Raise Cut if an element is longer than what is left of the file.

    A segment and a cluster without a size, as streams have them, consist of the elements that follow.
    """
    at = 0
    while at < len(data):
        begin = at
        identity, at = _number(data, at, marked=True)
        size, at = _number(data, at, marked=False)
        if size is None and identity in (SEGMENT, CLUSTER):
            continue
        if identity is None or size is None or at > len(data) or at + size > len(data):
            raise Cut(f"its element at byte {begin:,} is not whole")
        at += size


def _number(data: bytes, at: int, *, marked: bool) -> tuple[int | None, int]:
    """A variable-length number and the index behind it: with its marker bit, as an id has it, or without.

    None for a size that is not known, and where the data end.
    """
    if at >= len(data) or not data[at]:
        return None, len(data) + 1
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length], "big")
    if at + length > len(data):
        return None, len(data) + 1
    if marked:
        return value, at + length
    value &= (1 << 7 * length) - 1
    return (None if value == (1 << 7 * length) - 1 else value), at + length
