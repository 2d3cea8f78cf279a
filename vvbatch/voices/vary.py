"""Variants of a voice: another excerpt, gain, speed or pitch; each is a separate voice."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import SAMPLE_RATE, Manner
from vvbatch.voices.decode import excerpt
from vvbatch.voices.errors import MissingExtra
from vvbatch.voices.prepare import prepare

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Change:
    """What makes a variant of a voice; the defaults change nothing."""

    start_s: float = 0.0
    length_s: float | None = None  # None: to the end
    gain_db: float = 0.0  # over the level that every voice has
    speed: float = 1.0  # the pitch stays
    pitch: float = 0.0  # semitones; the speed stays

    def as_provenance(self) -> dict[str, float]:
        """The changes that were made."""
        plain = Change()
        return {name: value for name, value in vars(self).items() if value != getattr(plain, name)}

    def manner(self, base: Manner) -> Manner:
        """How the draft profile speaks as the variant."""
        rate = min(max(base.rate * self.speed, 0.5), 2.0)
        return Manner(round(rate, 3), round(min(max(base.pitch + self.pitch, -12.0), 12.0), 3))


def vary(samples: NDArray[np.float64], change: Change) -> Samples:
    """The changed voice of samples (n,) at 24 kHz, prepared again: (k * FRAME,). Raises InvalidVoice, MissingExtra."""
    import soxr

    from vvbatch.audio import bring_to_peak

    signal = excerpt(samples, SAMPLE_RATE, change.start_s, change.length_s).astype(np.float32)
    higher = 2.0 ** (change.pitch / 12.0)
    if higher != 1.0:
        signal = soxr.resample(signal, SAMPLE_RATE * higher, SAMPLE_RATE, "VHQ")
    tempo = change.speed / higher
    if tempo != 1.0:
        signal = at_tempo(signal, tempo)
    louder = prepare(signal, SAMPLE_RATE) * np.float32(10 ** (change.gain_db / 20))
    return bring_to_peak(louder)[0]


def at_tempo(samples: Samples, tempo: float) -> Samples:
    """Speech `tempo` times as fast with its pitch kept, by FFmpeg's `atempo` filter. Raises MissingExtra."""
    try:
        import av
    except ImportError as error:
        raise MissingExtra("another speed or pitch needs PyAV: pip install 'vvbatch[voices]'") from error
    graph = av.filter.Graph()
    clock = Fraction(1, SAMPLE_RATE)
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono", time_base=clock)
    stretch, sink = graph.add("atempo", f"{tempo:.6f}"), graph.add("abuffersink")
    source.link_to(stretch)
    stretch.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    graph.push(frame)
    graph.push(None)
    parts = []
    while True:
        try:
            parts.append(graph.pull().to_ndarray()[0])
        except (av.error.EOFError, av.error.BlockingIOError):
            return np.concatenate(parts) if parts else np.zeros(0, np.float32)
