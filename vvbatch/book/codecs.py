"""The codecs of a book's files, and PyAV, which has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from vvbatch.book.contents import RATE, BookError, BookExtraMissing
from vvbatch.book.presets import Preset

BITEXACT = 1 << 23  # AV_CODEC_FLAG_BITEXACT: no version strings in the packets


@dataclass(frozen=True)
class Codec:
    name: str
    encoder: str  # PyAV's names; empty for PCM, which is kept as FLAC
    decoder: str
    rate: int  # Hz
    frame: int  # samples a packet
    sample_format: str
    kbps: int = 0
    delay: int = 0
    """Samples at the start of the first packet that a player drops."""

    options: tuple[tuple[str, str], ...] = ()

    @property
    def decoded_delay(self) -> int:
        """Samples before the chapter's first, when its packets are decoded alone: libopus drops them itself."""
        return 0 if self.name == "opus" else self.delay

    @property
    def flush_packets(self) -> int:
        """Packets that come after those of a chapter's own samples, for what the encoder still holds."""
        return 1 if self.encoder else 0


FAST = (("aac_coder", "fast"),)
"""1.6 times as fast as the default, with no more noise on real takes."""


MOST_KBPS_AT_RATE = 96
"""Up to here AAC has the rate of the takes: as good as at 44.1 kHz for half the time, since nothing is above 12 kHz."""


def aac(kbps: int) -> Codec:
    rate = RATE if kbps <= MOST_KBPS_AT_RATE else 44_100
    return Codec("aac", "aac", "aac", rate, 1024, "fltp", kbps, 1024, FAST)


def mp3(kbps: int) -> Codec:
    return Codec("mp3", "libmp3lame", "mp3float", 44_100, 1152, "fltp", kbps, 1105)


def opus(kbps: int) -> Codec:
    return Codec("opus", "libopus", "libopus", 48_000, 960, "flt", kbps, 312)


PCM = Codec("pcm", "", "", RATE, RATE // 10, "s16")


@dataclass(frozen=True)
class Format:
    """A kind of file that a user can ask for."""

    name: str
    suffix: str
    codec: str
    per_chapter: bool

    @property
    def key(self) -> str:
        """In FORMATS."""
        return self.name + ("-chapters" if self.per_chapter else "")


FORMATS = {
    name + suffix: Format(name, f".{name}", codec, bool(suffix))
    for name, codec in (("m4b", "aac"), ("mp3", "mp3"), ("opus", "opus"), ("flac", "pcm"), ("wav", "pcm"))
    for suffix in ("", "-chapters")
}
TEXT_FORMATS = ("srt", "vtt")


def format_named(name: str) -> Format:
    """Raises BookError."""
    if name not in FORMATS:
        names = ", ".join(key for key in FORMATS if not FORMATS[key].per_chapter)
        raise BookError(
            f"book format {name!r} is unknown: choose from {names}, with -chapters after it for one file a chapter "
            "(mp3-chapters), or vtt"
        )
    return FORMATS[name]


def wanted(names: Sequence[str]) -> tuple[list[Format], bool]:
    """The audio formats in order, each once, and whether VTT is wanted besides SRT. Raises BookError."""
    audio = [name for name in dict.fromkeys(names) if name not in TEXT_FORMATS]
    if not audio:
        raise BookError("a book needs an audio format: m4b, mp3, opus, flac or wav")
    return [format_named(name) for name in audio], "vtt" in names


def codec_of(format_: Format, preset: Preset) -> Codec:
    if format_.codec == "aac":
        return aac(preset.aac_kbps)
    if format_.codec == "mp3":
        return mp3(preset.mp3_kbps)
    return opus(preset.opus_kbps) if format_.codec == "opus" else PCM


def require_av() -> ModuleType:
    """PyAV. Raises BookExtraMissing."""
    try:
        import av
    except ImportError as error:
        raise BookExtraMissing(
            "files of a book are encoded by PyAV, which is not installed: pip install 'vvbatch[book]'"
        ) from error
    av.logging.set_level(av.logging.PANIC)  # its messages go to the terminal; errors arrive as exceptions
    module: ModuleType = av
    return module
