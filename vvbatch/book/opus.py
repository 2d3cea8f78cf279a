"""Opus files of encoded chapters, with the comments that players read chapters and covers from."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from pathlib import Path

from vvbatch.book.codecs import Codec, require_av
from vvbatch.book.contents import About, Mark
from vvbatch.book.cover import Cover
from vvbatch.book.mux import audio_stream, mux
from vvbatch.book.packets import Packets
from vvbatch.book.tags import chapter_title, tags

FRONT_COVER = 3


def write_opus(
    path: Path,
    codec: Codec,
    chapters: Sequence[Packets],
    marks: Sequence[Mark],
    about: About,
    cover: Cover | None,
    track: str = "",
) -> None:
    """Raises OSError."""
    av = require_av()
    container = av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact"})
    stream = audio_stream(container, codec)
    container.metadata.update(comments(about, marks, cover, track))
    container.start_encoding()
    mux(container, stream, codec, chapters)
    container.close()


def comments(about: About, marks: Sequence[Mark], cover: Cover | None, track: str = "") -> dict[str, str]:
    """Vorbis comments, also for FLAC. Chapters as `CHAPTER000=00:00:00.000` and `CHAPTER000NAME=…`."""
    found = {key.upper().replace("ALBUM_ARTIST", "ALBUMARTIST"): value for key, value in tags(about).items()}
    if about.narrator:
        found["NARRATOR"] = found["COMPOSER"]
    if about.language:
        found["LANGUAGE"] = about.language
    if track:
        number, _, total = track.partition("/")
        found |= {"TRACKNUMBER": number, "TRACKTOTAL": total}
    for index, mark in enumerate(marks):
        found[f"CHAPTER{index:03d}"] = _clock(mark.start_s)
        found[f"CHAPTER{index:03d}NAME"] = chapter_title(mark.number, mark.title)
    if cover:
        found["METADATA_BLOCK_PICTURE"] = base64.b64encode(picture_block(cover)).decode()
    return found


def picture_block(cover: Cover) -> bytes:
    """A FLAC picture block without its header."""
    mime = cover.mime.encode()
    sizes = struct.pack(">IIIII", 0, cover.width, cover.height, 24, 0)
    return struct.pack(">II", FRONT_COVER, len(mime)) + mime + sizes + struct.pack(">I", len(cover.data)) + cover.data


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
