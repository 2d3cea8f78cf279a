"""Sounds and voice files for tests, and a measure of pitch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 24_000


def speechlike(seconds: float, pitch_hz: float = 120.0, rate: int = RATE, seed: int = 0) -> NDArray[np.float64]:
    """Harmonics of a wavering pitch in bursts of a syllable's length, over faint noise; (n,) with peaks under 0.5."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(size=len(time))
    phase = 2 * np.pi * pitch_hz * (time + 0.002 * np.sin(2 * np.pi * 0.7 * time))
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time) + 0.3, 0.0, 1.0)
    voiced: NDArray[np.float64] = 0.2 * tone * syllables + 0.0005 * noise
    return voiced


def write_wav(path: Path, samples: NDArray[np.floating], rate: int = RATE, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def pitch_of(samples: NDArray[np.floating], rate: int = RATE) -> float:
    """Median fundamental frequency in Hz of the voiced 60 ms windows, by autocorrelation."""
    size, found = 3 * rate // 50, []
    overlap = 1.0 - np.arange(size) / size
    for start in range(0, len(samples) - size, rate // 50):
        window = np.asarray(samples[start : start + size], dtype=np.float64)
        window = window - window.mean()
        if np.sqrt(np.mean(window**2)) < 0.02:
            continue
        likeness = np.correlate(window, window, "full")[size - 1 :] / overlap
        lag = rate // 400 + int(np.argmax(likeness[rate // 400 : rate // 60]))
        if likeness[lag] > 0.5 * likeness[0]:
            found.append(rate / lag)
    return float(np.median(found))
