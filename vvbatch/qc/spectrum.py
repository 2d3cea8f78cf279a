"""Checks on the spectrum of a take: its bandwidth, and passages that occur twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW_S, STEP_S = 0.04, 0.02
BAND_HZ = 200.0
WITHIN = 1e-6  # power relative to the strongest band: -60 dB
BANDS = 24  # mel bands, for the similarity of passages
HIGHEST_HZ = 7_600.0
SEGMENT = 40  # steps (0.8 s) that are compared at a time
SOUNDING = 28  # of them, steps in which both passages sound; pauses do not count
FURTHEST = 1_500  # steps (30 s) between the two passages


@dataclass(frozen=True)
class Repeat:
    """The longest passage that occurs twice, in seconds; 0 if none does."""

    length_s: float = 0.0
    first_s: float = 0.0
    second_s: float = 0.0


def power(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Power spectra, float32 (steps, bins), of Hann windows of WINDOW_S, STEP_S apart; `samples` is mono (frames,)."""
    size, step = round(WINDOW_S * sample_rate), max(round(STEP_S * sample_rate), 1)
    padded = np.pad(samples, (0, max(size - len(samples), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]
    spectra: NDArray[np.float32] = np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32), axis=1)) ** 2
    return spectra


def bandwidth_hz(spectra: NDArray[np.float32], sample_rate: int) -> float:
    """The upper edge in Hz of the highest 200 Hz band that is within 60 dB of the strongest.

    Measured on the mean spectrum of the louder half of the steps; `spectra` as `power` returns them.
    """
    totals = spectra.sum(axis=1)
    mean = spectra[totals >= np.median(totals)].mean(axis=0, dtype=np.float64)
    width = max(round(BAND_HZ * WINDOW_S), 1)
    if len(mean) < width:
        return 0.0
    bands = mean[: len(mean) // width * width].reshape(-1, width).mean(axis=1)
    (within,) = np.nonzero(bands > bands.max() * WITHIN)
    return float(min((within[-1] + 1) * width / WINDOW_S, sample_rate / 2)) if len(within) else 0.0


def repeat(spectra: NDArray[np.float32], sample_rate: int, likeness_limit: float) -> Repeat:
    """The longest passage of at least 0.8 s that occurs twice.

    Found in the self-similarity matrix of the mel spectra (Foote 1999): a repetition is a diagonal of high correlation.
    `likeness_limit` is the least mean correlation, 0 to 1; `spectra` as `power` returns them.
    """
    shape, sounds = _shape(spectra, sample_rate)
    longest = 0, 0, 0
    for lag in range(SEGMENT, min(len(shape) - SEGMENT, FURTHEST) + 1):
        likeness = _over_segments(np.einsum("ij,ij->i", shape[lag:], shape[:-lag]))
        if likeness.max() <= likeness_limit * SOUNDING:
            continue
        one, other = sounds[lag:], sounds[:-lag]
        either, both = _over_segments(one | other), _over_segments(one & other)
        alike = np.flatnonzero((likeness > likeness_limit * either) & (both >= SOUNDING))
        for run in np.split(alike, np.flatnonzero(np.diff(alike) > 1) + 1) if len(alike) else ():
            # A passage must not overlap its own repetition, so it is at most as long as the lag.
            longest = max(longest, (min(len(run) - 1 + SEGMENT, lag), int(run[0]), int(run[0]) + lag))
    return Repeat(*(round(steps * STEP_S, 2) for steps in longest))


def _over_segments(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """The sums over every SEGMENT consecutive values (values - SEGMENT + 1,)."""
    totals = np.cumsum(values, dtype=np.float64)
    totals[SEGMENT:] -= totals[:-SEGMENT].copy()
    return totals[SEGMENT - 1 :]


def _shape(spectra: NDArray[np.float32], sample_rate: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Log mel bands (steps - 1, BANDS), the mean of the take removed, each of norm 1; and which steps sound.

    Silent steps are 0.
    """
    bands = spectra @ _mel(spectra.shape[1], sample_rate)
    bands = bands[1:] + bands[:-1]  # a repetition is not aligned to the same steps
    totals = bands.sum(axis=1)
    logs = np.log(bands + max(float(bands.max(initial=0.0)) * 1e-5, 1e-30))
    sounds = totals > (np.percentile(totals, 95) * 1e-4 if len(totals) else 0.0)
    logs -= logs[sounds].mean(axis=0) if sounds.any() else 0.0
    logs -= logs.mean(axis=1, keepdims=True)  # loudness must not count
    logs /= np.linalg.norm(logs, axis=1, keepdims=True) + 1e-9
    shape: NDArray[np.float32] = (logs * sounds[:, None]).astype(np.float32)
    return shape, sounds


def _mel(bins: int, sample_rate: int) -> NDArray[np.float32]:
    """Triangular filters (bins, BANDS), evenly spaced in mel = 2595 log10(1 + f / 700) (O'Shaughnessy 1987)."""
    top = 2595 * np.log10(1 + min(HIGHEST_HZ, sample_rate / 2) / 700)
    centres = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    hertz = np.arange(bins)[:, None] / WINDOW_S
    rising = (hertz - centres[:-2]) / (centres[1:-1] - centres[:-2])
    falling = (centres[2:] - hertz) / (centres[2:] - centres[1:-1])
    mel: NDArray[np.float32] = np.clip(np.minimum(rising, falling), 0.0, None).astype(np.float32)
    return mel
