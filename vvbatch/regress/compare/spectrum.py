"""Log-mel spectra, by which two takes of a line are aligned and compared."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import SAMPLE_RATE

HOP = 240  # samples: 10 ms
WINDOW = 600  # 25 ms
FFT = 1024
BANDS = 40
LOWEST_HZ, HIGHEST_HZ = 60.0, 11_000.0
FLOOR_DB = -60.0  # relative to the loudest bands: quieter counts as silence

Floats = NDArray[np.float64]


def log_mel(samples: NDArray[np.float32]) -> Floats:
    """The log-mel spectrum (frames, BANDS) of float32 (n,) samples at SAMPLE_RATE, HOP samples apart.

    In dB relative to the 99.5th percentile of all bands, clipped to FLOOR_DB..0. A gain or noise below the floor has
    no effect: loudness and noise have measures of their own.
    """
    padded = np.pad(samples.astype(np.float64), (0, max(WINDOW - len(samples), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.empty((len(frames), BANDS))
    for start in range(0, len(frames), 2048):  # bounds the memory of a long take
        part = np.fft.rfft(frames[start : start + 2048] * np.hanning(WINDOW), FFT, axis=1)
        power[start : start + 2048] = np.abs(part) ** 2 @ filters().T
    level = 10 * np.log10(power + 1e-12)
    clipped: Floats = np.clip(level - np.percentile(level, 99.5), FLOOR_DB, 0.0)
    return clipped


@functools.cache
def filters() -> Floats:
    """Triangular filters (BANDS, FFT // 2 + 1), equally wide on the mel scale 2595 log10(1 + f / 700).

    Source of the scale: D. O'Shaughnessy, Speech Communication: Human and Machine, 1987.
    """
    lowest, highest = (2595 * float(np.log10(1 + edge / 700)) for edge in (LOWEST_HZ, HIGHEST_HZ))
    mels = np.linspace(lowest, highest, BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT
    low, middle, high = (edges[first : first + BANDS, None] for first in range(3))
    made: Floats = np.maximum(0.0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))
    return made
