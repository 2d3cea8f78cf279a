"""MP3 files of encoded chapters: an ID3 tag, an Info header with the right delay and padding, the packets."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

from vvbatch.book.codecs import Codec, require_av
from vvbatch.book.contents import About, Mark
from vvbatch.book.cover import Cover
from vvbatch.book.id3 import id3_tag
from vvbatch.book.mux import audio_stream, mux
from vvbatch.book.packets import Packets

LAME_DELAY = 576  # of the encoder; a decoder drops 529 more
TAG_BYTES = 36  # from the encoder's name to the checksum


def write_mp3(
    file: BinaryIO,
    codec: Codec,
    chapters: Sequence[Packets],
    marks: Sequence[Mark],
    about: About,
    cover: Cover | None,
    track: str = "",
) -> None:
    """`file` is empty, and can be read and written. Raises OSError."""
    av = require_av()
    tag = id3_tag(about, marks, cover, track)
    file.write(tag)
    container = av.open(
        _Behind(file, len(tag)),
        "w",
        format="mp3",
        options={"id3v2_version": "0", "write_id3v1": "0", "fflags": "+bitexact"},
    )
    stream = audio_stream(container, codec)
    container.start_encoding()
    mux(container, stream, codec, chapters)
    container.close()
    # The chapters' own padding: all packets but the samples before the first and behind the last are audio.
    _set_padding(file, len(tag), codec.frame - LAME_DELAY - 529 if codec.frame > LAME_DELAY + 529 else 0)


class _Behind:
    """A file from a position on, as PyAV wants it."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self.file, self.start = file, start

    def write(self, data: bytes) -> int:
        return self.file.write(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset + self.start if whence == 0 else offset, whence) - self.start

    def tell(self) -> int:
        return self.file.tell() - self.start


def _set_padding(file: BinaryIO, start: int, padding: int) -> None:
    """Delay and padding in the Info header, and its checksum over what stands before it."""
    file.seek(start)
    header = bytearray(file.read(1024))
    found = max(header.find(b"Info"), header.find(b"Xing"))
    if found < 0:
        raise OSError("the MP3 muxer wrote no Info header")
    lame = found + 120
    header[lame + 21 : lame + 24] = ((LAME_DELAY << 12) | padding).to_bytes(3, "big")
    end = lame + TAG_BYTES - 2
    header[end : end + 2] = struct.pack(">H", crc16(bytes(header[:end])))
    file.seek(start)
    file.write(header[: end + 2])
    file.seek(0, 2)


def crc16(data: bytes) -> int:
    """CRC-16/ARC, as the Info header has it."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value
