"""MP3, and the other layers of MPEG audio (ISO/IEC 11172-3, 13818-3): frames one after another, with no file header.

Only some files begin with a frame that gives their length (Xing, Info). libsndfile guesses the others' from the first
frame, and refuses bytes before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from vvbatch.audio.content import CUT, AudioError, Content

# kbit/s by version (1, or 2 and 2.5) and layer
BIT_RATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = (44_100, 48_000, 32_000)  # Hz of version 1; 2 has half of it, 2.5 a quarter
SEARCHED = 1 << 16  # bytes after a tag in which the first frame is looked for
TAGS_AT_END = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"3DI")
NO_CHECKSUM = 1  # bit of a header's second byte


@dataclass(frozen=True)
class Frame:
    at: int  # offset in the file
    size: int  # bytes
    layer: int
    kind: tuple[int, int, int]  # version bits, layer, rate: the same in all frames of a recording
    side: int  # bytes of layer III's side information


def is_start(data: bytes) -> bool:
    """Whether MPEG audio begins here, after any number of zero bytes: with an ID3 tag, or with two frames."""
    at = _after_zeros(data, 0)
    return data[at : at + 3] == b"ID3" or _pair_at(data, at) is not None


def whole(data: bytes) -> Content:
    """The content from the first frame on, with its length. Raises AudioError if it ends within a frame."""
    first = _first_frame(data)
    if first is None:
        return Content()  # the decoder says what is wrong
    count = sum(1 for _ in _frames(data, first))
    declared = _declared(data, first)
    if declared is not None:
        if count - 1 < declared:
            raise AudioError(f"its header declares {declared} frames, it holds {count - 1}: {CUT}")
        if count - 1 == declared:
            return Content(data[first.at :] if data[0] == 0 else None)
    if first.layer != 3:
        return Content(data[first.at :], length_is_exact=False)
    rest = data[first.at + first.size if declared is not None else first.at :]
    return Content(_info_frame(data, first, count - (declared is not None)) + rest)


def _first_frame(data: bytes) -> Frame | None:
    at = _after_zeros(data, 0)
    has_tag = data[at : at + 3] == b"ID3"
    at = _after_tags(data, at)
    for place in range(at, min(at + SEARCHED, len(data)) if has_tag else at + 1):
        if found := _pair_at(data, place):
            return found
    return None


def _frames(data: bytes, first: Frame) -> Iterator[Frame]:
    """Every frame from the first on. Raises AudioError if the last one is cut."""
    frame: Frame | None = first
    while frame:
        at = frame.at + frame.size
        if at > len(data):
            raise AudioError(f"its last frame has {frame.size} bytes, {len(data) - frame.at} are there: {CUT}")
        yield frame
        if data[at : at + 1] == b"\0":
            at = _after_zeros(data, at)
        at = _after_tags(data, at)
        if data.startswith(TAGS_AT_END, at):
            return
        frame = _header_at(data, at)
        if frame is None or frame.kind != first.kind:
            frame = next((found for place in _syncs(data, at) if (found := _pair_at(data, place))), None)


def _syncs(data: bytes, at: int) -> Iterator[int]:
    while (at := data.find(b"\xff", at)) >= 0:
        yield at
        at += 1


def _pair_at(data: bytes, at: int) -> Frame | None:
    """The frame at `at`, if another one of its kind follows, or the file ends with it."""
    frame = _header_at(data, at)
    if frame is None:
        return None
    end = frame.at + frame.size
    follower = _header_at(data, end)
    return frame if end >= len(data) or (follower and follower.kind == frame.kind) else None


def _header_at(data: bytes, at: int) -> Frame | None:
    """The frame whose header is at `at`; None for what is no header, and for a free bit rate, which gives no length."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bit_rate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bit_rate in (0, 15) or rate == 3:
        return None
    is_first_version = version == 3
    hertz = RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    bits = 1_000 * BIT_RATES[1 if is_first_version else 2, layer][bit_rate - 1]
    if layer == 1:
        size = (12 * bits // hertz + padding) * 4
    else:
        size = (72 if layer == 3 and not is_first_version else 144) * bits // hertz + padding
    is_mono = head[3] >> 6 == 3
    side = (17 if is_mono else 32) if is_first_version else (9 if is_mono else 17)
    return Frame(at, size, layer, (version, layer, rate), side)


def _declared(data: bytes, first: Frame) -> int | None:
    """The number of frames that the first one declares, itself not counted; None without such a frame."""
    at = first.at + 4 + first.side
    if data[at : at + 4] in (b"Xing", b"Info") and len(data) >= at + 12:
        flags, count = struct.unpack_from(">II", data, at + 4)
        return int(count) if flags & 1 else None
    return None


def _info_frame(data: bytes, first: Frame, count: int) -> bytes:
    """A frame like the first that declares `count` frames; a decoder plays nothing of it."""
    start, second, *others = data[first.at : first.at + 4]
    head = bytes([start, second | NO_CHECKSUM, *others]) + bytes(first.side)
    return (head + b"Info" + struct.pack(">II", 1, count)).ljust(first.size, b"\0")


def _after_zeros(data: bytes, at: int) -> int:
    while data.startswith(bytes(4096), at):
        at += 4096
    while data.startswith(b"\0", at):
        at += 1
    return at


def _after_tags(data: bytes, at: int) -> int:
    """After ID3v2 tags, whose size has 7 bits a byte, and the zeros behind them."""
    while data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(data[at + 6 : at + 10], (21, 14, 7, 0), strict=True))
        at = _after_zeros(data, at + 10 + size + (10 if data[at + 5] & 0x10 else 0))
    return at
