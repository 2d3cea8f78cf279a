"""Ogg (RFC 3533): pages that are whole and in order. No header gives the length; the last page has an end flag."""

from __future__ import annotations

import struct
import zlib

from vvbatch.audio.content import CUT, AudioError, Content

CAPTURE = b"OggS"
HEAD = struct.Struct("<4sBBqIIIB")  # pattern, version, flags, position, stream, number, checksum, count of segments
END = 4  # flag of the last page of a stream
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
NO_END = "no page of it has Ogg's end flag; all its pages are whole, so it was read to its end"


def whole(data: bytes) -> Content:
    """The content of an Ogg file. Raises AudioError for a page that is cut, damaged or missing.

    Without the end flag the content has a note: a recorder that was stopped leaves such a file, as does a copy that
    was cut exactly between two pages.
    """
    at = 0
    next_number: dict[int, int] = {}
    open_streams: set[int] = set()
    while data[at : at + 4] == CAPTURE:
        flags, stream, number, size = _page(data, at)
        if number != next_number.setdefault(stream, number):
            raise AudioError(f"page {next_number[stream]} of an Ogg stream is missing: {CUT}")
        next_number[stream] = number + 1
        if flags & END:
            open_streams.discard(stream)
        else:
            open_streams.add(stream)
        at += size
    if at < len(data) and open_streams:
        raise AudioError(f"the bytes from {at} on are no Ogg page: damaged or {CUT}")
    return Content(note=NO_END if open_streams else "")


def _page(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Flags, stream, number and length of the page at `at`. Raises AudioError unless it is whole."""
    here = data[at : at + HEAD.size]
    if len(here) == HEAD.size:
        _, _, flags, _, stream, number, checksum, segments = HEAD.unpack(here)
        size = HEAD.size + segments + sum(data[at + HEAD.size : at + HEAD.size + segments])
        page = data[at : at + size]
        if len(page) == size and len(page) >= HEAD.size + segments:
            if _checksum(page) != checksum:
                raise AudioError(f"page {number} of an Ogg stream is damaged: copy it again")
            return flags, stream, number, size
    raise AudioError(f"the last Ogg page is not whole: {CUT}")


def _checksum(page: bytes) -> int:
    """CRC-32 of a page with its checksum set to 0, most significant bit first (RFC 3533, section 6).

    zlib's goes from the least significant bit: it gives the reversed value for reversed bytes.
    """
    blank = page[:22] + bytes(4) + page[26:]
    reversed_crc = zlib.crc32(blank.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reversed_crc:032b}"[::-1], 2)
