"""M4B files of encoded chapters: chapters for QuickTime and Nero players, cover, tags."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from vvbatch.book.codecs import Codec, require_av
from vvbatch.book.contents import About, Mark
from vvbatch.book.cover import Cover
from vvbatch.book.mux import audio_stream, mux
from vvbatch.book.packets import Packets
from vvbatch.book.tags import chapter_title, language_code, tags

NERO_CHAPTERS = 255
"""A Nero list ends there; the QuickTime track of the same file has all."""
AUDIOBOOK = "2"  # the media type of iTunes


def write_m4b(
    path: Path,
    codec: Codec,
    chapters: Sequence[Packets],
    marks: Sequence[Mark],
    about: About,
    cover: Cover | None,
    track: str = "",
) -> None:
    """`path` has any ending. Raises OSError."""
    av = require_av()
    options = {"brand": "M4B ", "movflags": "+faststart", "fflags": "+bitexact"}
    container = av.open(str(path), "w", format="mp4", options=options)
    container.metadata.update({**tags(about), "media_type": AUDIOBOOK, **({"track": track} if track else {})})
    stream = audio_stream(container, codec)
    stream.metadata["language"] = language_code(about.language)
    picture = _picture_stream(av, container, cover) if cover else None
    time_base = Fraction(1, codec.rate)
    container.set_chapters(
        [
            {
                "id": index,
                "start": round(mark.start_s * codec.rate),
                "end": round(mark.stop_s * codec.rate),
                "time_base": time_base,
                "metadata": {"title": chapter_title(mark.number, mark.title)},
            }
            for index, mark in enumerate(marks)
        ]
    )
    container.start_encoding()
    if cover and picture:
        packet = av.Packet(cover.data)
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = picture, 0, 0, True
        packet.time_base = picture.time_base
        container.mux(packet)
    mux(container, stream, codec, chapters)
    container.close()


def _picture_stream(av: Any, container: Any, cover: Cover) -> Any:
    from av.stream import Disposition

    stream = container.add_mux_stream(cover.codec, width=cover.width, height=cover.height)
    stream.disposition = Disposition.attached_pic
    stream.time_base = Fraction(1, 90_000)
    return stream
