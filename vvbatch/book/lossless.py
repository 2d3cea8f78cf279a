"""FLAC files with a cue sheet, and WAV files with cue points: mono PCM16 at the rate of the takes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from vvbatch.book.codecs import PCM
from vvbatch.book.contents import RATE, About, Mark
from vvbatch.book.cover import Cover
from vvbatch.book.encode import decode_packets
from vvbatch.book.opus import comments, picture_block
from vvbatch.book.packets import Packets
from vvbatch.book.tags import chapter_title, tags

STREAM_INFO = 4 + 4 + 34  # bytes: the marker, and the first block with its header
MOST_TRACKS = 254  # of a cue sheet, besides the track that ends it
COMMENTS, CUE_SHEET, PICTURE = 4, 5, 6
LARGEST_BLOCK = (1 << 24) - 1
LARGEST_RIFF = (1 << 32) - 1


def write_flac(
    path: Path, chapters: Sequence[Packets], marks: Sequence[Mark], about: About, cover: Cover | None, track: str = ""
) -> None:
    """Encoded again, since FLAC numbers its frames. Raises OSError."""
    bare = path.with_name(path.name + ".audio")
    try:
        _encode(bare, chapters)
        with bare.open("rb") as source, path.open("wb") as file:
            start = bytearray(source.read(STREAM_INFO))
            start[4] &= 0x7F  # STREAMINFO is not the last block
            file.write(start)
            for block in _blocks(chapters, marks, about, cover, track):
                file.write(block)
            source.seek(_audio_start(source))
            while data := source.read(1 << 20):
                file.write(data)
    finally:
        bare.unlink(missing_ok=True)


def write_wav(
    path: Path, chapters: Sequence[Packets], marks: Sequence[Mark], about: About, cover: Cover | None, track: str = ""
) -> None:
    """RIFF, or RF64 beyond 4 GiB; with cue points, their labels and what INFO can say. Raises OSError."""
    frames = sum(chapter.header.source_samples for chapter in chapters)
    after = _cue_points(marks) + _info(about)
    size = 2 * frames
    total = 4 + 8 + 28 + 8 + 16 + 8 + size + len(after)
    large = total > LARGEST_RIFF
    with path.open("wb") as file:
        file.write((b"RF64" if large else b"RIFF") + struct.pack("<I", LARGEST_RIFF if large else total) + b"WAVE")
        sizes = struct.pack("<QQQI", total, size, frames, 0) if large else bytes(28)
        file.write((b"ds64" if large else b"JUNK") + struct.pack("<I", 28) + sizes)
        file.write(b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16))
        file.write(b"data" + struct.pack("<I", LARGEST_RIFF if large else size))
        for block in _pcm(chapters):
            file.write(block.astype("<i2").tobytes())
        file.write(after)


def _encode(path: Path, chapters: Sequence[Packets]) -> None:
    """libsndfile hides what the system said; a file that it cannot write is an OSError all the same."""
    try:
        with path.open("wb") as file, soundfile.SoundFile(file, "w", RATE, 1, "PCM_16", format="FLAC") as sound:
            for block in _pcm(chapters):
                sound.write(block)
    except soundfile.SoundFileError as error:
        raise OSError(f"{path.name} cannot be written: {error}") from error


def cue_sheet(starts: Sequence[int], total: int) -> bytes:
    """A FLAC cue sheet block without its header. Offsets in samples."""
    tracks = [(start, index + 1) for index, start in enumerate(starts[:MOST_TRACKS])]
    block = bytearray(128 + 8 + 259 + 1)
    block[-1] = len(tracks) + 1
    for start, number in tracks:
        block += struct.pack(">QB", start, number) + bytes(12 + 14) + b"\x01" + struct.pack(">QB", 0, 1) + bytes(3)
    return bytes(block + struct.pack(">QB", total, 255) + bytes(12 + 14 + 1))


def _pcm(chapters: Sequence[Packets]) -> Iterator[NDArray[np.int16]]:
    for chapter in chapters:
        for block in decode_packets(PCM, chapter):
            yield (block * np.float32(32768)).astype(np.int16)


def _blocks(
    chapters: Sequence[Packets], marks: Sequence[Mark], about: About, cover: Cover | None, track: str
) -> list[bytes]:
    total = sum(chapter.header.source_samples for chapter in chapters)
    vendor = b"vvbatch"
    texts = [f"{key}={value}".encode() for key, value in comments(about, marks, None, track).items()]
    written = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(texts))
    written += b"".join(struct.pack("<I", len(text)) + text for text in texts)
    blocks = [(COMMENTS, written[:LARGEST_BLOCK])]
    if marks:
        blocks.append((CUE_SHEET, cue_sheet([round(mark.start_s * RATE) for mark in marks], total)))
    if cover:
        blocks.append((PICTURE, picture_block(cover)))
    last = len(blocks) - 1
    return [
        bytes([kind | (0x80 if index == last else 0)]) + len(data).to_bytes(3, "big") + data
        for index, (kind, data) in enumerate(blocks)
    ]


def _audio_start(file: BinaryIO) -> int:
    """Where the frames begin, behind the last block."""
    position, last = 4, False
    while not last:
        file.seek(position)
        header = file.read(4)
        if len(header) < 4:
            raise OSError("the FLAC encoder wrote no frames")
        last = bool(header[0] & 0x80)
        position += 4 + int.from_bytes(header[1:], "big")
    return position


def _cue_points(marks: Sequence[Mark]) -> bytes:
    points = b"".join(
        struct.pack("<II4sIII", index + 1, round(mark.start_s * RATE), b"data", 0, 0, round(mark.start_s * RATE))
        for index, mark in enumerate(marks)
    )
    labels = b"adtl" + b"".join(
        _chunk(b"labl", struct.pack("<I", index + 1) + chapter_title(mark.number, mark.title).encode() + b"\0")
        for index, mark in enumerate(marks)
    )
    return _chunk(b"cue ", struct.pack("<I", len(marks)) + points) + _chunk(b"LIST", labels) if marks else b""


def _info(about: About) -> bytes:
    names = {"title": b"INAM", "artist": b"IART", "genre": b"IGNR", "date": b"ICRD", "copyright": b"ICOP"}
    found = tags(about)
    listed = [_chunk(names[key], found[key].encode() + b"\0") for key in names if key in found]
    return _chunk(b"LIST", b"INFO" + b"".join(listed)) if listed else b""


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
