"""What a WAV file's header says, held against the bytes that are there: a half-copied file reads without an error."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from vvbatch.voices.errors import UnusableVoice

UNKNOWN = 0xFFFF_FFFF  # the data size that a program writes when it cannot go back to the header
EXTENSIBLE = 0xFFFE
FORMATS = {1: "PCM", 3: "float"}


@dataclass(frozen=True)
class WavFacts:
    rate: int  # Hz
    channels: int
    bits: int  # per sample
    encoding: str  # "PCM", "float" or the format's number
    declared: int | None  # frames (one sample of each channel) by the header; None: the header does not know
    actual: int  # frames by the file's size


def wav_facts(path: Path) -> WavFacts:
    """Read the chunks' headers. Raises UnusableVoice for a file that is no WAV, has no data, or was cut short."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if size < 12 or not _is_wave(file.read(12)):
                raise UnusableVoice(f"{path} is not a WAV file")
            layout: bytes | None = None
            place = 12
            while place + 8 <= size:
                file.seek(place)
                name, length = struct.unpack("<4sI", file.read(8))
                place += 8
                if name == b"fmt ":
                    layout = file.read(min(length, 40))
                elif name == b"data":
                    return _judged(path, layout, length, size - place)
                place += length + length % 2
    except OSError as error:
        raise UnusableVoice(f"{path} cannot be read: {error.strerror}") from error
    raise UnusableVoice(f"{path} holds a WAV header and no audio: copy it again from its source")


def _is_wave(start: bytes) -> bool:
    return start[:4] == b"RIFF" and start[8:12] == b"WAVE"


def _judged(path: Path, layout: bytes | None, declared: int, there: int) -> WavFacts:
    if layout is None or len(layout) < 16:
        raise UnusableVoice(f"{path} is a WAV file without a format header: copy it again from its source")
    encoding, channels, rate, _, block, bits = struct.unpack("<HHIIHH", layout[:16])
    if encoding == EXTENSIBLE and len(layout) >= 26:
        (encoding,) = struct.unpack("<H", layout[24:26])
    if not (channels and rate and block):
        raise UnusableVoice(f"{path} has a WAV header without a sample rate or channels: it is damaged")
    open_ended = declared == UNKNOWN
    facts = WavFacts(
        rate=rate,
        channels=channels,
        bits=bits,
        encoding=FORMATS.get(encoding, str(encoding)),
        declared=None if open_ended else declared // block,
        actual=(there if open_ended else min(declared, there)) // block,
    )
    if facts.actual == 0:
        raise UnusableVoice(f"{path} holds a WAV header and no audio: copy it again from its source")
    if facts.declared is not None and facts.actual < facts.declared:
        raise UnusableVoice(
            f"{path} is cut short: its header declares {facts.declared:,} frames ({facts.declared / rate:.2f} s), "
            f"{facts.actual:,} are there: copy it again from its source"
        )
    return facts
