"""Cached packets into a container, chapter after chapter."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from vvbatch.book.codecs import Codec, require_av
from vvbatch.book.packets import Packets


def audio_stream(container: Any, codec: Codec) -> Any:
    """A mono stream of the codec in a container of PyAV."""
    stream = container.add_stream(codec.encoder, rate=codec.rate, layout="mono")
    stream.bit_rate = codec.kbps * 1000
    return stream


def mux(container: Any, stream: Any, codec: Codec, chapters: Sequence[Packets]) -> None:
    """Write the packets of all chapters, as if they were encoded in one. `start_encoding` was called before."""
    packet_of, time_base = require_av().Packet, Fraction(1, codec.rate)
    position = -codec.delay
    for chapter in chapters:
        for data in chapter:
            packet = packet_of(data)
            packet.stream, packet.pts, packet.dts, packet.duration = stream, position, position, codec.frame
            packet.time_base, packet.is_keyframe = time_base, True
            container.mux_one(packet)
            position += codec.frame
