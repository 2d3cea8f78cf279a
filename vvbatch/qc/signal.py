"""Levels, silences and clipping of mono float32 samples (frames,)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME_S = 0.01
LOUD_PERCENTILE = 95
CLIPPED_RUN = 3  # samples; at its crest even a 60 Hz wave at 24 kHz changes by more than FLAT over so many
FLAT = 1e-4  # of the peak


@dataclass(frozen=True)
class Activity:
    """Where a take has speech, by level. Levels in dBFS, times in seconds."""

    loud_dbfs: float  # level of the loud parts of the speech
    leading_s: float
    trailing_s: float
    inner_s: float  # the longest silence between two sounds
    speech_s: float  # from the first sound to the last
    share: float  # of the take that is not silent
    start_db: float  # the first 20 ms relative to the loud parts; near 0 if the start is cut off
    floor_dbfs: float  # level of the quietest 5 %
    end_db: float  # the last 20 ms relative to the loud parts; near 0 if the end is cut off
    length_s: float = 0.0

    def speech_share(self, silence_s: float) -> float:
        """The share of the take that is not silent, 0 to 1, when up to `silence_s` seconds of silence are left out."""
        sounding_s = self.share * self.length_s
        return sounding_s / max(self.length_s - silence_s, sounding_s) if sounding_s else 0.0


def activity(samples: NDArray[np.float32], sample_rate: int, silence_dbfs: float) -> Activity:
    """Measure 10 ms frames, each without its DC offset.

    A frame is silent below the lower of `silence_dbfs` and 25 dB under the loud parts (the 95th percentile).
    """
    size = round(FRAME_S * sample_rate)
    count = max(len(samples) // size, 1)
    frames = np.resize(samples, size) if len(samples) < size else samples[: count * size]
    frames = frames.reshape(count, size).astype(np.float64)  # the squares of extreme samples overflow float32
    frames = frames - frames.mean(axis=1, keepdims=True)
    levels = 10 * np.log10(np.einsum("ij,ij->i", frames, frames) / size + 1e-12)
    loud = float(np.percentile(levels, LOUD_PERCENTILE))
    active = np.flatnonzero(levels > min(silence_dbfs, loud - 25))
    if not len(active) or loud <= silence_dbfs:
        length = count * FRAME_S
        return Activity(loud, length, length, 0.0, 0.0, 0.0, -120.0, -120.0, -120.0, length)
    return Activity(
        loud_dbfs=loud,
        leading_s=int(active[0]) * FRAME_S,
        trailing_s=(count - 1 - int(active[-1])) * FRAME_S,
        inner_s=(int(np.diff(active).max(initial=1)) - 1) * FRAME_S,
        speech_s=int(active[-1] - active[0] + 1) * FRAME_S,
        share=len(active) / count,
        start_db=float(levels[:2].max()) - loud,
        floor_dbfs=float(np.percentile(levels, 5)),
        end_db=float(levels[-2:].max()) - loud,
        length_s=count * FRAME_S,
    )


def clipped_share(samples: NDArray[np.float32]) -> float:
    """The share of samples, 0 to 1, in flat runs of at least CLIPPED_RUN at the highest or lowest level of the take."""
    return _flat_share(samples, float(samples.max())) + _flat_share(-samples, float(-samples.min()))


def _flat_share(samples: NDArray[np.float32], top: float) -> float:
    if top <= 0:
        return 0.0
    near = np.flatnonzero(samples >= top * (1 - FLAT))
    runs = np.split(near, np.flatnonzero(np.diff(near) > 1) + 1)
    return sum(len(run) for run in runs if len(run) >= CLIPPED_RUN) / len(samples)
