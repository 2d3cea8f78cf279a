"""MPEG audio (ISO 11172-3, 13818-3) and AAC in ADTS (ISO 13818-7): frames behind one another, without a header that
gives the length of the file."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vvbatch.audio.whole import Checked, Cut


@dataclass(frozen=True)
class MpegFrame:
    stream: tuple[int, int, int]  # version, layer and sample rate code: the same in all frames
    size: int | None  # bytes; None where the bit rate is free


BIT_RATES = {  # kbit/s by (MPEG 1, layer) and code 1 to 14
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # MPEG 1, 2, 2.5
TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")


def mpeg_frame(head: bytes) -> MpegFrame | None:
    """The frame whose 4 bytes of header these are, or None."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    code, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or code == 15 or rate == 3:
        return None
    stream = (version, layer, rate)
    if code == 0:
        return MpegFrame(stream, None)
    bits, hertz = 1000 * BIT_RATES[version == 3, layer][code - 1], RATES[version][rate]
    if layer == 1:
        return MpegFrame(stream, (12 * bits // hertz + padding) * 4)
    per_frame = 72 if layer == 3 and version != 3 else 144
    return MpegFrame(stream, per_frame * bits // hertz + padding)


def mpeg_start(data: bytes) -> int | None:
    """Where the first frame or ID3 tag begins: at the start, or after zeros only. None where there is neither."""
    at = len(data) - len(data.lstrip(b"\0"))
    found = data[at : at + 3] == b"ID3" or mpeg_frame(data[at : at + 4])
    return at if found else None


def checked_mp3(data: bytes) -> Checked:
    """Whole if the last frame is, and if there are as many as a Xing header counts.

    Where there is no such header, one is put in front: libsndfile would estimate the length, and read less or report
    more than there is. So is one where several files were joined, whose first header counts only its own frames.
    """
    start = mpeg_start(data) or 0
    notes = [f"{start:,} zero bytes before the first frame are skipped"] if start else []
    begin = behind_tags(data, start)
    first = mpeg_frame(data[begin : begin + 4])
    if first is None or first.size is None:
        return Checked(data[start:] if start else data, tuple(notes))
    spans: list[tuple[int, int]] = []
    at, frames = begin, 0
    while True:
        span = at
        while (frame := mpeg_frame(data[at : at + 4])) and frame.stream == first.stream and frame.size:
            if at + frame.size > len(data):
                raise Cut(f"frame {frames + 1} is not whole")
            at, frames = at + frame.size, frames + 1
        spans.append((span, at))
        following = behind_tags(data, at)
        if following == at or not _same_stream(data, following, first):
            break
        at = following
    rest = data[at:]
    if 0 < len(rest) < 4 and rest[0] == 0xFF:
        raise Cut(f"frame {frames + 1} is not whole")
    if _resumes(rest, first):
        raise Cut(f"frame {frames + 1} is damaged")
    if (other := mpeg_frame(data[following : following + 4])) and other.size:
        notes.append(f"another kind of MPEG audio begins after frame {frames:,}: it is left out")
    counted = _xing_frames(data[begin : begin + first.size])
    if counted and frames - 1 < counted and (not rest or rest.startswith(TAGS)):
        raise Cut(f"its header counts {counted} frames, it holds {frames - 1}")
    joined = len(spans) > 1 or (counted is not None and frames - 1 > counted + 1)
    if first.stream[1] != 3 or not (joined or counted is None):
        return Checked(data[start:] if start else data, tuple(notes))
    if counted is not None:
        notes.append(f"its header counts {counted:,} frames, it holds {frames - 1:,}: read to its end")
        spans[0], frames = (begin + first.size, spans[0][1]), frames - 1
    samples = b"".join(data[span:end] for span, end in spans)
    return Checked(_xing_frame(data[begin : begin + 4], frames) + samples, tuple(notes))


def behind_tags(data: bytes, at: int) -> int:
    """Where the tags that begin at `at`, and the zeros between them, end."""
    while True:
        begin = at
        if data[at : at + 3] == b"ID3" and len(data) >= at + 10:
            at += id3_length(data[at : at + 10])
        elif data[at : at + 3] == b"TAG":
            at += 128
        elif data[at : at + 8] == b"APETAGEX" and len(data) >= at + 32:
            size, _, flags = struct.unpack_from("<III", data, at + 12)
            at += 32 + (size if flags & 1 << 29 else 0)  # a header, whose size counts what follows; or a footer
        elif data[at : at + 1] == b"\0":
            at += len(data[at:]) - len(data[at:].lstrip(b"\0"))
        if at == begin or at >= len(data):
            return min(at, len(data))


def id3_length(head: bytes) -> int:
    """The bytes of an ID3v2 tag with these first 10, which it counts in its own way: 7 bits of each of 4 bytes."""
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 16 else 0)  # a footer


def _same_stream(data: bytes, at: int, first: MpegFrame) -> bool:
    frame = mpeg_frame(data[at : at + 4])
    return frame is not None and frame.stream == first.stream


LONGEST_GAP = 1 << 16


def _resumes(rest: bytes, first: MpegFrame) -> bool:
    """Whether two frames of the stream in a row come later, after something that is none."""
    if rest.startswith(TAGS):
        return False
    at = 0
    while 0 <= (at := rest.find(b"\xff", at + 1)) < LONGEST_GAP:
        frame = mpeg_frame(rest[at : at + 4])
        if frame and frame.stream == first.stream and frame.size and _same_stream(rest, at + frame.size, first):
            return True
    return False


# AAC


def is_adts(data: bytes, at: int = 0) -> bool:
    return data[at : at + 1] == b"\xff" and len(data) > at + 1 and data[at + 1] & 0xF6 == 0xF0


def refuse_cut_adts(data: bytes) -> None:
    """Raise Cut unless the frames of AAC in ADTS fill the file, tags apart."""
    at, frames = behind_tags(data, 0), 0
    while is_adts(data, at):
        size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5 if len(data) >= at + 7 else 0
        if size < 7 or at + size > len(data):
            raise Cut(f"frame {frames + 1} is not whole")
        at, frames = at + size, frames + 1
    if data[at : at + 1] == b"\xff":
        raise Cut(f"frame {frames + 1} is not whole")


def _xing_frame(header: bytes, frames: int) -> bytes:
    """A silent first frame that gives the number of frames, for a layer III stream whose frames have this header."""
    head = bytes([0xFF, header[1] | 1, 14 << 4 | header[2] & 0x0C, header[3]])  # no checksum; the highest bit rate
    frame = mpeg_frame(head)
    assert frame is not None and frame.size is not None
    mono, mpeg_1 = header[3] >> 6 == 3, frame.stream[0] == 3
    side = (17 if mono else 32) if mpeg_1 else (9 if mono else 17)
    return (head + bytes(side) + b"Info" + struct.pack(">II", 1, frames)).ljust(frame.size, b"\0")


def _xing_frames(frame: bytes) -> int | None:
    """The number of frames that a Xing, Info or VBRI header in the first frame gives."""
    for mark in (b"Xing", b"Info"):
        at = frame.find(mark, 4, 64)
        if at >= 0 and len(frame) >= at + 12:
            return int.from_bytes(frame[at + 8 : at + 12], "big") if frame[at + 7] & 1 else None
    at = 36
    return int.from_bytes(frame[at + 14 : at + 18], "big") if frame[at : at + 4] == b"VBRI" else None
