"""Whether an audio file is whole, from its own headers: libsndfile reads many cut files as shorter ones.

Also what programs that write to a pipe leave behind, because they cannot go back to the header: no length, or a
placeholder. That means "to the end of the file"; the length is then filled in before libsndfile reads the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from vvbatch.audio.mpeg import checked_mp3
from vvbatch.audio.whole import Checked, Cut, crc

UNKNOWN_LENGTH = "its header does not say how long it is: read to its end"
LONGEST_FLAC_FRAME = 1 << 22  # 65,535 samples, 8 channels, 32 bits, with its header


def checked(data: bytes) -> Checked:
    """Look at a file's headers. Raises Cut. `data` is returned as it is unless a length had to be filled in."""
    kind = data[:4]
    if kind in (b"RIFF", b"RIFX", b"RF64"):
        return _wav(data)
    if kind == b"FORM":
        return _aiff(data)
    if kind == b"fLaC":
        return _flac(data)
    if kind == b"OggS":
        return _ogg(data)
    if kind in (b".snd", b"dns."):
        return _au(data)
    if kind == b"caff":
        return _caf(data)
    if data.startswith(W64):
        return _w64(data)
    return checked_mp3(data)


# WAV, RIFX, RF64 and AIFF


def is_placeholder(size: int) -> bool:
    """Whether a 32-bit size is one that programs write when they do not know it: close to 2 GiB or 4 GiB.

    Seen: 0xFFFFFFFF (FFmpeg), 0x7FFFFFFF and 0x80000000 (arecord), 0x7FFFF000 (SoX), and these less a header; and
    2,000,000,000 in the headers of streams.
    """
    near = any(abs(size - seen) <= 0x1_0000 for seen in (0x8000_0000, 2_000_000_000))
    return near or size >= 0xFFFF_0000


def _chunks(data: bytes, layout: str, start: int = 12) -> Iterator[tuple[bytes, int, int]]:
    """Name, position of the content and declared size of each chunk."""
    at = start
    while at + 8 <= len(data):
        name, size = struct.unpack_from(layout, data, at)
        content = at + struct.calcsize(layout)
        yield name, content, size
        at = content + max(size, 0) + (size % 2 if layout[-1] == "I" else 0)


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
    order = ">" if data[:4] == b"RIFX" else "<"
    found = _sample_chunk(data, f"{order}4sI", b"data")
    if found is None or not found[2]:
        return Checked(data)
    at, size, _ = found
    _refuse_half_frame(data, size, order)
    whole = bytearray(data)
    struct.pack_into(f"{order}I", whole, 4, len(data) - 8)
    struct.pack_into(f"{order}I", whole, at - 4, size)
    return Checked(bytes(whole), (UNKNOWN_LENGTH,))


def _refuse_half_frame(data: bytes, size: int, order: str = "<") -> None:
    """Raise Cut if samples up to the end of a WAV file end within a frame; an odd chunk may have one padding byte."""
    sizes = (
        struct.unpack_from(f"{order}H", data, at + 12)
        for name, at, _ in _chunks(data, f"{order}4sI")
        if name == b"fmt "
    )
    (frame,) = next(sizes, (1,))
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
    return Checked(bytes(whole), (UNKNOWN_LENGTH,))


def _aiff(data: bytes) -> Checked:
    if data[8:12] in (b"8SVX", b"16SV"):  # of the Amiga
        _sample_chunk(data, ">4sI", b"BODY")
        return Checked(data)
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
    return Checked(bytes(whole), (UNKNOWN_LENGTH,))


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
    return Checked(bytes(whole), (UNKNOWN_LENGTH,))


def _flac_length(data: bytes, first_block: int) -> int:
    """Samples up to the end of the last frame, which must end where the file does. Raises Cut."""
    earliest = max(42, len(data) - LONGEST_FLAC_FRAME)
    at = len(data)
    while (at := data.rfind(b"\xff", earliest, at)) >= 0:
        header = _flac_header(data, at, first_block)
        if header is not None and crc(data[at:], 0x8005, 16) == 0:
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
    if len(head) <= end or crc(head[: end + 1], 0x07, 8) != 0:
        return None
    variable = head[1] & 1
    return (number if variable else number * first_block) + block


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
    if crc(whole[last:], 0x04C1_1DB7, 32) != int.from_bytes(data[last + 22 : last + 26], "little"):
        raise Cut(f"page {pages} is damaged")  # the checksum that is made below would hide it
    whole[last + 5] |= 4
    struct.pack_into("<I", whole, last + 22, crc(whole[last:], 0x04C1_1DB7, 32))
    return Checked(bytes(whole), (f"its end is not marked, and all {pages} pages are whole: read to its end",))


# AU, CAF and Wave64


def _au(data: bytes) -> Checked:
    """Sun's and NeXT's format: a header that gives where the samples begin, and their size."""
    order = ">" if data[:4] == b".snd" else "<"
    if len(data) < 24:
        raise Cut("its header is not whole")
    at, size = struct.unpack_from(f"{order}II", data, 4)
    here = max(len(data) - at, 0)
    if is_placeholder(size) or (size == 0 and here):
        whole = bytearray(data)
        struct.pack_into(f"{order}I", whole, 8, here)
        return Checked(bytes(whole), (UNKNOWN_LENGTH,))
    if size > here:
        raise Cut(f"its header declares {size} bytes of samples, it holds {here}")
    return Checked(data)


def _caf(data: bytes) -> Checked:
    """Apple's Core Audio Format. The size of the last chunk may be -1."""
    for name, at, size in _chunks(data, ">4sq", 8):
        here = len(data) - at
        if name == b"data" and size < 0:
            whole = bytearray(data)
            struct.pack_into(">q", whole, at - 8, here)
            return Checked(bytes(whole), (UNKNOWN_LENGTH,))
        if size > here:
            raise Cut(f"its header declares {size} bytes of samples, it holds {here}")
        if name == b"data":
            break
    return Checked(data)


W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")


def _w64(data: bytes) -> Checked:
    """Sony's Wave64: chunks with a GUID, and a size of 64 bits that counts both and is rounded up to 8."""
    at = 40
    while at + 24 <= len(data):
        name = data[at : at + 16]
        (size,) = struct.unpack_from("<Q", data, at + 16)
        here = len(data) - at
        if name == W64_DATA:
            if size <= 24 < here or size >= 1 << 62 or is_placeholder(size):
                whole = bytearray(data)
                struct.pack_into("<Q", whole, 16, len(data))
                struct.pack_into("<Q", whole, at + 16, here)
                return Checked(bytes(whole), (UNKNOWN_LENGTH,))
            if size > here:
                raise Cut(f"its header declares {size - 24} bytes of samples, it holds {here - 24}")
            break
        at += max(size + -size % 8, 24)
    return Checked(data)
