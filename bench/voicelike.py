"""Synthetic sound that passes the checks of speech, for benchmarks and tests without an engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import SAMPLE_RATE

SYLLABLE_S = 0.25
HARMONICS = 50
EDGE_S = 0.12  # of silence before and after


def syllables(seconds: float, seed: list[int]) -> NDArray[np.float32]:
    """Buzzing syllables with different spectra between two short silences: float32 (frames,) at SAMPLE_RATE.

    The same seed gives the same samples.
    """
    generator = np.random.default_rng(seed)
    count, edge = int(seconds * SAMPLE_RATE), int(EDGE_S * SAMPLE_RATE)
    t = np.arange(count - 2 * edge) / SAMPLE_RATE
    pitch, each = 110 + 60 * generator.random(), (t / SYLLABLE_S).astype(int)
    loudness = generator.random((each[-1] + 1, HARMONICS)) ** 3 / np.sqrt(np.arange(1, HARMONICS + 1))
    loudness /= np.sqrt(np.square(loudness).sum(axis=1, keepdims=True))
    buzz = sum(loudness[each, k] * np.sin(2 * np.pi * pitch * (k + 1) * t) for k in range(HARMONICS))
    swell = 0.51 - 0.49 * np.cos(2 * np.pi * t / SYLLABLE_S)
    fade = np.clip((t[-1] - t) / 0.15, 0.0, 1.0)  # speech does not end in mid-word
    samples = 1e-4 * generator.standard_normal(count)
    samples[edge : count - edge] += 0.2 * buzz * swell * fade
    return samples.astype(np.float32)
