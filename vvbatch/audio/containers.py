"""Whether an audio file is whole, from its own headers: libsndfile reads many cut files as shorter ones.

Also what programs that write to a pipe leave behind, because they cannot go back to the header: no length, or a
placeholder. That means "to the end of the file"; the length is then filled in before libsndfile reads the file.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_FLAC_FRAME = 1 << 22  # 65,535 samples, 8 channels, 32 bits, with its header


class Cut(ValueError):
    """The file is shorter than it should be; the message says what is missing."""


@dataclass(frozen=True)
class Checked:
    """A whole file: `data` is what libsndfile should read, `notes` what its header got wrong."""

    data: bytes
    notes: tuple[str, ...] = ()


def checked(data: bytes) -> Checked:
    """Look at a file's headers. Raises Cut. `data` is returned as it is unless a length had to be filled in."""
    kind = data[:4]
    if kind in (b"RIFF", b"RF64"):
        return _wav(data)
    if kind == b"FORM":
        return _aiff(data)
    if kind == b"fLaC":
        return _flac(data)
    if kind == b"OggS":
        return _ogg(data)
    return _mp3(data)


# WAV, RF64 and AIFF


def is_placeholder(size: int) -> bool:
    """Whether a 32-bit size is one that programs write when they do not know it: close to 2 GiB or 4 GiB.

    Seen: 0xFFFFFFFF (FFmpeg), 0x7FFFFFFF and 0x80000000 (arecord), 0x7FFFF000 (SoX), and these less a header.
    """
    return abs(size - 0x8000_0000) <= 0x1_0000 or size >= 0xFFFF_0000


def _chunks(data: bytes, layout: str, start: int = 12) -> Iterator[tuple[bytes, int, int]]:
    """Name, position of the content and declared size of each chunk."""
    at = start
    while at + 8 <= len(data):
        name, size = struct.unpack_from(layout, data, at)
        yield name, at + 8, size
        at += 8 + size + size % 2


def _only_chunks(data: bytes, layout: str, start: int) -> bool:
    """Whether chunks fill the rest of the file exactly: then an empty one before them is really empty."""
    end = start
    for name, at, size in _chunks(data, layout, start):
        if not all(32 <= letter < 127 for letter in name):
            return False
        end = at + size + size % 2
    return end in (len(data), len(data) + 1)


def _sample_chunk(data: bytes, layout: str, wanted: bytes) -> tuple[int, int, bool] | None:
    """Position and size of the samples' chunk, and whether the size had to be found. Raises Cut."""
    for name, at, size in _chunks(data, layout):
        if name != wanted:
            continue
        here = len(data) - at
        if is_placeholder(size) or (size == 0 and here and not _only_chunks(data, layout, at)):
            return at, here, True
        if size > here:
            raise Cut(f"its header declares {size} bytes of samples, it holds {here}")
        return at, size, False
    return None


def _wav(data: bytes) -> Checked:
    if data[:4] == b"RF64":
        return _rf64(data)
    found = _sample_chunk(data, "<4sI", b"data")
    if found is None or not found[2]:
        return Checked(data)
    at, size, _ = found
    _refuse_half_frame(data, size)
    whole = bytearray(data)
    struct.pack_into("<I", whole, 4, len(data) - 8)
    struct.pack_into("<I", whole, at - 4, size)
    return Checked(bytes(whole), ("its header does not say how long it is: read to its end",))


def _refuse_half_frame(data: bytes, size: int) -> None:
    """Raise Cut if samples up to the end of a WAV file end within a frame; an odd chunk may have one padding byte."""
    (frame,) = next(
        (struct.unpack_from("<H", data, at + 12) for name, at, _ in _chunks(data, "<4sI") if name == b"fmt "), (1,)
    )
    rest = size % frame if frame else 0
    is_padding = rest == 1 and size % 2 == 0
    if rest and not is_padding:
        raise Cut(f"its last frame has {rest} of {frame} bytes")


def _rf64(data: bytes) -> Checked:
    """EBU Tech 3306: 64-bit sizes in a chunk `ds64`, which is the first; that of the data chunk is a placeholder."""
    if data[12:16] != b"ds64" or len(data) < 44:
        return Checked(data)
    (size,) = struct.unpack_from("<Q", data, 28)
    place = next((at for name, at, _ in _chunks(data, "<4sI") if name == b"data"), None)
    if place is None:
        return Checked(data)
    here = len(data) - place
    unknown = size == 0 or size >= 1 << 62 or is_placeholder(size)
    if not unknown and size > here:
        raise Cut(f"its header declares {size} bytes of samples, it holds {here}")
    if not unknown or (size == 0 and not here):
        return Checked(data)
    _refuse_half_frame(data, here)
    whole = bytearray(data)
    struct.pack_into("<QQ", whole, 20, len(data) - 8, here)
    return Checked(bytes(whole), ("its header does not say how long it is: read to its end",))


def _aiff(data: bytes) -> Checked:
    found = _sample_chunk(data, ">4sI", b"SSND")
    if found is None or not found[2]:
        return Checked(data)
    at, size, _ = found
    whole = bytearray(data)
    struct.pack_into(">I", whole, 4, len(data) - 8)
    struct.pack_into(">I", whole, at - 4, size)
    for name, place, length in _chunks(data, ">4sI"):
        if name == b"COMM" and length >= 18:
            channels, bits = struct.unpack_from(">H4xH", data, place)
            frame = channels * -(-bits // 8)
            struct.pack_into(">I", whole, place + 2, (size - 8) // frame if frame else 0)
            break
    return Checked(bytes(whole), ("its header does not say how long it is: read to its end",))


# FLAC (RFC 9639)


def _flac(data: bytes) -> Checked:
    """Without a length in STREAMINFO, the last frame gives it; its checksum proves that it is whole."""
    if len(data) < 42:
        raise Cut("its header is not whole")
    (fields,) = struct.unpack_from(">Q", data, 18)
    if fields & ((1 << 36) - 1):
        return Checked(data)
    total = _flac_length(data, first_block=int.from_bytes(data[8:10], "big"))
    whole = bytearray(data)
    struct.pack_into(">Q", whole, 18, fields | total)
    return Checked(bytes(whole), ("its header does not say how long it is: read to its end",))


def _flac_length(data: bytes, first_block: int) -> int:
    """Samples up to the end of the last frame, which must end where the file does. Raises Cut."""
    earliest = max(42, len(data) - LONGEST_FLAC_FRAME)
    at = len(data)
    while (at := data.rfind(b"\xff", earliest, at)) >= 0:
        header = _flac_header(data, at, first_block)
        if header is not None and _crc(data[at:], 0x8005, 16) == 0:
            return header
    raise Cut("its last frame is not whole")


def _flac_header(data: bytes, at: int, first_block: int) -> int | None:
    """The number of samples up to the end of the frame whose header begins at `at`; None where none does."""
    head = data[at : at + 16]
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[2] >> 4 == 0 or head[2] & 15 == 15:
        return None
    ones = 8 - (head[4] ^ 0xFF).bit_length()  # how an extended UTF-8 number begins: 0, or its length in bytes
    more = max(ones - 1, 0)
    if ones == 1 or ones == 8:
        return None
    number = head[4] & 0xFF >> ones + 1
    for byte in head[5 : 5 + more]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    end, code, rate = 5 + more, head[2] >> 4, head[2] & 15
    if code in (6, 7):
        block = int.from_bytes(head[end : end + code - 5], "big") + 1
        end += code - 5
    else:
        block = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    end += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if len(head) <= end or _crc(head[: end + 1], 0x07, 8) != 0:
        return None
    variable = head[1] & 1
    return (number if variable else number * first_block) + block


def _crc(data: bytes | bytearray, polynomial: int, bits: int) -> int:
    """The remainder of `data` by a CRC without reflection that begins at 0; 0 where `data` ends with its own CRC."""
    table, mask, value = _crc_table(polynomial, bits), (1 << bits) - 1, 0
    for byte in data:
        value = (value << 8 & mask) ^ table[(value >> (bits - 8)) ^ byte]
    return value


@functools.lru_cache(maxsize=2)
def _crc_table(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        entry = byte << (bits - 8)
        for _ in range(8):
            entry = (entry << 1 ^ (polynomial if entry >> (bits - 1) & 1 else 0)) & (1 << bits) - 1
        table.append(entry)
    return table


# Ogg (RFC 3533)


def _ogg(data: bytes) -> Checked:
    """Whole if every page is: no header gives the file's length. The last page should have the end flag.

    Where it has not, the flag is set: libsndfile refuses Opus without it.
    """
    at, last, pages, ended = 0, 0, 0, False
    while at < len(data):
        head = data[at : at + 27]
        if not b"OggS".startswith(head[:4]):
            if ended:  # what follows the end of a stream is none of it
                break
            raise Cut(f"page {pages} is followed by other data")
        sizes = data[at + 27 : at + 27 + head[26]] if len(head) == 27 else b""
        end = at + 27 + len(sizes) + sum(sizes)
        if len(head) < 27 or len(sizes) < head[26] or end > len(data):
            raise Cut(f"page {pages + 1} is not whole")
        at, last, pages, ended = end, at, pages + 1, bool(head[5] & 4)
    if ended:
        return Checked(data)
    whole = bytearray(data)
    whole[last + 22 : last + 26] = bytes(4)
    if _crc(whole[last:], 0x04C1_1DB7, 32) != int.from_bytes(data[last + 22 : last + 26], "little"):
        raise Cut(f"page {pages} is damaged")  # the checksum that is made below would hide it
    whole[last + 5] |= 4
    struct.pack_into("<I", whole, last + 22, _crc(whole[last:], 0x04C1_1DB7, 32))
    return Checked(bytes(whole), (f"its end is not marked, and all {pages} pages are whole: read to its end",))


# MPEG audio (ISO 11172-3, 13818-3)


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


def _mp3(data: bytes) -> Checked:
    """Whole if the last frame is, and if there are as many as a Xing header counts.

    Where there is no such header, one is put in front: libsndfile would estimate the length, and read less or report
    more than there is.
    """
    start = at = mpeg_start(data) or 0
    while data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        size = data[at + 6 : at + 10]
        at += 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3]) + (10 if data[at + 5] & 16 else 0)
    at += len(data[at:]) - len(data[at:].lstrip(b"\0"))  # padding of the tag
    notes = (f"{start:,} zero bytes before the first frame are skipped",) if start else ()
    first, begin, frames = mpeg_frame(data[at : at + 4]), at, 0
    if first is None or first.size is None:
        return Checked(data[start:] if start else data, notes)
    while (frame := mpeg_frame(data[at : at + 4])) and frame.stream == first.stream and frame.size:
        if at + frame.size > len(data):
            raise Cut(f"frame {frames + 1} is not whole")
        at, frames = at + frame.size, frames + 1
    rest = data[at:]
    if 0 < len(rest) < 4 and rest[0] == 0xFF:
        raise Cut(f"frame {frames + 1} is not whole")
    counted = _xing_frames(data[begin : begin + first.size])
    if counted is None and first.stream[1] == 3:
        return Checked(_xing_frame(data[begin : begin + 4], frames) + data[begin:at], notes)
    if counted and frames - 1 < counted and (not rest or rest.startswith(TAGS)):
        raise Cut(f"its header counts {counted} frames, it holds {frames - 1}")
    return Checked(data[start:] if start else data, notes)


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
