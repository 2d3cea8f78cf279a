"""Defects of audio, made on purpose. Each function takes clean speech, its text and a random generator, and returns a
damaged copy. Samples are mono float32 (frames,) at 24 kHz."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import FRAME, SAMPLE_RATE

Samples = NDArray[np.float32]
Defect = Callable[[Samples, str, np.random.Generator], Samples]


def noise(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """White noise, 10 to 20 dB under the speech."""
    return mixed(speech, rng.standard_normal(len(speech)), rng.uniform(-20, -10))


def clipping(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """Clipping at 0.3 to 0.5 of the peak."""
    top = np.abs(speech).max() * rng.uniform(0.3, 0.5)
    return np.clip(speech, -top, top) / np.float32(top)


def dropouts(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """Three dropouts of 20 to 60 ms within the speech."""
    damaged = speech.copy()
    for start in rng.choice(loud_indices(speech), 3):
        damaged[start : start + int(rng.uniform(0.02, 0.06) * SAMPLE_RATE)] = 0
    return damaged


def clicks(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """Steps in the waveform at three joins of chunks."""
    damaged = speech.copy()
    joins = np.arange(FRAME, len(speech) - FRAME, FRAME)
    for join in rng.choice(joins, min(3, len(joins)), replace=False):
        damaged[join:] += np.float32(rng.choice([-1, 1]) * rng.uniform(0.1, 0.2)) * fade_out(len(damaged) - join)
    return damaged


def truncated(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """Cut at 50 to 80 % of the speech, at any point."""
    first, last = edges(speech)
    return speech[: first + int(rng.uniform(0.5, 0.8) * (last - first))]


def last_word_cut(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """The last word is removed, with a fade-out and the original silence after it.

    Cut at the quietest point in a window, because the last word of a sentence lasts up to twice as long as its share of
    the letters.
    """
    first, last = edges(speech)
    share = (len(text.split()[-1]) + 0.5) / len(text) * (last - first)
    window = speech[last - int(2.0 * share) : last - int(0.9 * share)]
    levels = np.convolve(np.square(window), np.ones(SAMPLE_RATE // 50), "same")
    kept = speech[: last - int(2.0 * share) + int(np.argmin(levels))].copy()
    kept[-480:] *= np.linspace(1, 0, 480, dtype=np.float32)
    return np.concatenate([kept, speech[last:]])


def repeated(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """A passage of 0.9 to 1.5 s occurs twice."""
    first, last = edges(speech)
    length = min(int(rng.uniform(0.9, 1.5) * SAMPLE_RATE), (last - first) // 2)
    start = int(rng.uniform(first, last - length))
    return np.concatenate([speech[: start + length], speech[start:]])


def music(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """Chords of a plucked instrument under the speech, 8 to 16 dB quieter."""
    return mixed(speech, chords(len(speech), rng), rng.uniform(-16, -8))


def jingle(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """1.2 to 2 s of music before the speech, equally loud."""
    tune = chords(int(rng.uniform(1.2, 2.0) * SAMPLE_RATE), rng)
    return np.concatenate([mixed(np.zeros(len(tune), np.float32), tune, 0.0, rms_of(speech)), speech])


DEFECTS: dict[str, Defect] = {
    "noise": noise,
    "clipping": clipping,
    "dropouts": dropouts,
    "clicks at joins": clicks,
    "truncated end": truncated,
    "last word cut": last_word_cut,
    "repeated phrase": repeated,
    "music under it": music,
    "music before it": jingle,
}


def mixed(speech: Samples, other: NDArray[np.floating], level_db: float, rms: float | None = None) -> Samples:
    """The speech with `other` at `level_db` relative to the root mean square of the speech, or to `rms`."""
    target = (rms or rms_of(speech)) * 10 ** (level_db / 20)
    mix: Samples = (speech + other * target / np.sqrt(np.mean(np.square(other)))).astype(np.float32)
    return mix


def rms_of(speech: Samples) -> float:
    first, last = edges(speech)
    return float(np.sqrt(np.mean(np.square(speech[first:last], dtype=np.float64))))


def edges(speech: Samples) -> tuple[int, int]:
    """The first and last sample above -30 dB of the peak."""
    (loud,) = np.nonzero(np.abs(speech) > 0.03 * np.abs(speech).max())
    return int(loud[0]), int(loud[-1])


def loud_indices(speech: Samples) -> NDArray[np.intp]:
    """The start of each loud 20 ms frame."""
    size = SAMPLE_RATE // 50
    levels = np.square(speech[: len(speech) // size * size].reshape(-1, size)).mean(axis=1)
    return np.flatnonzero(levels > 0.1 * levels.max()) * size


def fade_out(count: int) -> Samples:
    """A step (count,) that decays with a time constant of 20 ms."""
    return np.exp(-np.arange(count) / (0.02 * SAMPLE_RATE)).astype(np.float32)


def chords(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Plucked chords (count,) of random notes, one every 0.4 s."""
    time, tune = np.arange(count) / SAMPLE_RATE, np.zeros(count)
    root = 220 * 2 ** (rng.integers(0, 12) / 12)
    for beat in np.arange(0, count / SAMPLE_RATE, 0.4):
        for interval in rng.permutation([0, 3, 4, 7, 12])[:3]:
            since = time - beat
            ringing = np.where(since >= 0, np.exp(-3 * np.maximum(since, 0)), 0.0)
            hertz = root * 2 ** (interval / 12)
            tune += ringing * sum(np.sin(2 * np.pi * hertz * k * since) / k**1.5 for k in range(1, 6))
    return tune
