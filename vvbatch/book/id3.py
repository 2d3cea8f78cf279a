"""An ID3v2.3 tag with chapters (CHAP and CTOC, as https://id3.org/id3v2-chapters-1.0 defines them) and a cover."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from vvbatch.book.contents import About, Mark
from vvbatch.book.cover import Cover
from vvbatch.book.tags import chapter_title, language_code, tags

MOST_ENTRIES = 255  # of one table of contents; its count is one byte
TEXT_FRAMES = {
    "title": "TIT2", "album": "TALB", "artist": "TPE1", "album_artist": "TPE2", "composer": "TCOM", "genre": "TCON",
    "date": "TYER", "copyright": "TCOP",
}  # fmt: skip
UNKNOWN_OFFSET = b"\xff" * 4


def id3_tag(about: About, marks: Sequence[Mark], cover: Cover | None, track: str = "") -> bytes:
    """`marks` count from the start of the file. More than 255 chapters get tables of contents below the first."""
    frames = []
    found = tags(about)
    for key, name in TEXT_FRAMES.items():
        if value := found.get(key):
            frames.append(_text_frame(name, value[:4] if name == "TYER" else value))
    if track:
        frames.append(_text_frame("TRCK", track))
    if about.language:
        frames.append(_text_frame("TLAN", language_code(about.language)))
    if about.narrator:
        frames.append(_frame("TXXX", b"\x01" + _utf16("NARRATOR") + b"\0\0" + _utf16(found["composer"])))
    if "description" in found:
        language = language_code(about.language).encode()
        frames.append(_frame("COMM", b"\x01" + language + b"\xff\xfe\0\0" + _utf16(found["description"])))
    frames += _tables(marks)
    for index, mark in enumerate(marks):
        title = _text_frame("TIT2", chapter_title(mark.number, mark.title))
        times = struct.pack(">II", _milliseconds(mark.start_s), _milliseconds(mark.stop_s))
        frames.append(_frame("CHAP", _chapter_id(index) + times + UNKNOWN_OFFSET * 2 + title))
    if cover:
        frames.append(_frame("APIC", b"\0" + cover.mime.encode() + b"\0\x03\0" + cover.data))
    body = b"".join(frames)
    return b"ID3\x03\0\0" + _synchsafe(len(body)) + body


def _tables(marks: Sequence[Mark]) -> list[bytes]:
    if not marks:
        return []
    names = [_chapter_id(index) for index in range(len(marks))]
    if len(names) <= MOST_ENTRIES:
        return [_table(b"toc\0", 3, names)]
    groups = [names[start : start + MOST_ENTRIES] for start in range(0, len(names), MOST_ENTRIES)]
    below = [f"toc{index}".encode() + b"\0" for index in range(len(groups))]
    return [_table(b"toc\0", 3, below), *(_table(name, 1, group) for name, group in zip(below, groups, strict=True))]


def _table(name: bytes, flags: int, entries: Sequence[bytes]) -> bytes:
    """Flags: 1 ordered, 2 the top one."""
    return _frame("CTOC", name + bytes([flags, len(entries)]) + b"".join(entries))


def _chapter_id(index: int) -> bytes:
    return f"ch{index}".encode() + b"\0"


def _text_frame(name: str, text: str) -> bytes:
    return _frame(name, b"\x01" + _utf16(text))


def _frame(name: str, data: bytes) -> bytes:
    return name.encode() + struct.pack(">IH", len(data), 0) + data


def _utf16(text: str) -> bytes:
    return b"\xff\xfe" + text.encode("utf-16-le", "replace")


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), 0xFFFFFFFE)


def _synchsafe(size: int) -> bytes:
    """Four bytes of 7 bits each."""
    return bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
