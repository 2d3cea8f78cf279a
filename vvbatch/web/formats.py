"""Audio formats of answers: PCM16 chunks in, bytes of a file out as soon as they are encoded."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from vvbatch.book.codecs import FAST, require_av
from vvbatch.book.contents import BookExtraMissing
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.transport.stream import wav_header

MP3_KBPS, AAC_KBPS, OPUS_KBPS = 64, 64, 48
OGG_PAGE_US = 100_000
"""The length of a page of Ogg. The default, a second, would delay the first bytes."""


class FormatMissing(Exception):
    """The format needs a package that is not installed; the message names the extra."""


class Encoder(Protocol):
    """One file, from its first sample to its last. Mono, 24 kHz."""

    def add(self, pcm: bytes) -> bytes:
        """What the file has more with these samples (PCM16, little endian); may be empty."""

    def end(self) -> bytes:
        """The rest of the file."""

    def close(self) -> None:
        """Give its memory back, also in the middle of a file."""


class Pcm:
    """Raw samples, after a header."""

    def __init__(self, header: bytes = b"") -> None:
        self.header = header

    def add(self, pcm: bytes) -> bytes:
        header, self.header = self.header, b""
        return header + pcm

    def end(self) -> bytes:
        return self.add(b"")

    def close(self) -> None:
        pass


class Sink(io.RawIOBase):
    """Takes what is appended; what is written over earlier bytes (lengths and sums of a header) cannot be sent again.

    A FLAC file without them is whole: its header says that they are unknown.
    """

    def __init__(self) -> None:
        self.new = bytearray()
        self.position = self.size = 0

    def write(self, data: Any) -> int:
        data = bytes(data)
        if self.position == self.size:
            self.new += data
            self.size += len(data)
        self.position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        self.position = start + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def taken(self) -> bytes:
        new, self.new = bytes(self.new), bytearray()
        return new


class Flac:
    def __init__(self) -> None:
        self.sink = Sink()
        self.file = soundfile.SoundFile(self.sink, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC")

    def add(self, pcm: bytes) -> bytes:
        self.file.write(np.frombuffer(pcm, "<i2"))
        return self.sink.taken()

    def end(self) -> bytes:
        self.close()
        return self.sink.taken()

    def close(self) -> None:
        self.file.close()


class Appended:
    """What PyAV writes to: it has no `seek`, so that nothing is written twice."""

    def __init__(self) -> None:
        self.new = bytearray()

    def write(self, data: bytes) -> int:
        self.new += data
        return len(data)

    def taken(self) -> bytes:
        new = bytes(self.new)
        self.new.clear()
        return new


class Lossy:
    """MP3, AAC in ADTS, Opus in Ogg. Raises BookExtraMissing without PyAV."""

    def __init__(self, container: str, codec: str, kbps: int, sample_format: str, options: dict[str, str]) -> None:
        self.av = require_av()
        self.sink = Appended()
        self.container = self.av.open(self.sink, "w", format=container, options={"flush_packets": "1", **options})
        self.stream = self.container.add_stream(codec, rate=SAMPLE_RATE, layout="mono")
        self.stream.bit_rate, self.sample_format = kbps * 1000, sample_format
        self.stream.codec_context.format = sample_format
        self.container.start_encoding()
        self.frame = self.stream.codec_context.frame_size
        self.rest: NDArray[np.float32] = np.zeros(0, np.float32)
        self.position = 0

    def add(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
        self.rest = np.concatenate([self.rest, samples])
        whole = len(self.rest) // self.frame * self.frame
        for start in range(0, whole, self.frame):
            self.encode(self.rest[start : start + self.frame])
        self.rest = self.rest[whole:]
        return self.sink.taken()

    def end(self) -> bytes:
        if len(self.rest):
            self.encode(np.pad(self.rest, (0, self.frame - len(self.rest))))
        for packet in self.stream.encode(None):
            self.container.mux(packet)
        self.close()
        return self.sink.taken()

    def close(self) -> None:
        # It and its streams refer to each other: else they stay in memory until a garbage collection.
        self.container.close()

    def encode(self, samples: NDArray[np.float32]) -> None:
        frame = self.av.AudioFrame.from_ndarray(samples[None], format=self.sample_format, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self.position, Fraction(1, SAMPLE_RATE)
        self.position += self.frame
        for packet in self.stream.encode(frame):
            self.container.mux(packet)


class Format(NamedTuple):
    """`library` encodes it; None: the samples are sent as they are."""

    media_type: str
    encoder: Callable[[], Encoder]
    library: Literal["PyAV", "libsndfile"] | None = None


FORMATS = {
    "mp3": Format(
        "audio/mpeg",
        lambda: Lossy("mp3", "libmp3lame", MP3_KBPS, "fltp", {"write_xing": "0", "id3v2_version": "0"}),
        "PyAV",
    ),
    "opus": Format(
        "audio/ogg",
        lambda: Lossy("ogg", "libopus", OPUS_KBPS, "flt", {"page_duration": str(OGG_PAGE_US)}),
        "PyAV",
    ),
    "aac": Format("audio/aac", lambda: Lossy("adts", "aac", AAC_KBPS, "fltp", dict(FAST)), "PyAV"),
    "flac": Format("audio/flac", Flac, "libsndfile"),
    "wav": Format("audio/wav", lambda: Pcm(wav_header())),
    "pcm": Format("audio/pcm", Pcm),
}
"""By their names in requests."""


def require_format(name: str) -> None:
    """Raises FormatMissing."""
    if FORMATS[name].library != "PyAV":
        return
    try:
        require_av()
    except BookExtraMissing as error:
        raise FormatMissing(
            f"{name} is encoded by PyAV, which is not installed: pip install 'vvbatch[book]', or ask for flac, wav, pcm"
        ) from error
