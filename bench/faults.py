"""What goes wrong with a take, made on purpose: each takes clean speech, mono float32 at 24 kHz, and spoils a copy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import FRAME, SAMPLE_RATE

Samples = NDArray[np.float32]
Fault = Callable[[Samples, str, np.random.Generator], Samples]


def noise(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """White noise, 10 to 20 dB under the speech."""
    return mixed(speech, rng.standard_normal(len(speech)), rng.uniform(-20, -10))


def clipping(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """Cut off at 0.3 to 0.5 of the peak."""
    top = np.abs(speech).max() * rng.uniform(0.3, 0.5)
    return np.clip(speech, -top, top) / np.float32(top)


def dropouts(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """Three holes of 20 to 60 ms where somebody speaks."""
    spoilt = speech.copy()
    for start in rng.choice(loud_places(speech), 3):
        spoilt[start : start + int(rng.uniform(0.02, 0.06) * SAMPLE_RATE)] = 0
    return spoilt


def clicks(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """The wave jumps at three joins of chunks."""
    spoilt = speech.copy()
    joins = np.arange(FRAME, len(speech) - FRAME, FRAME)
    for join in rng.choice(joins, min(3, len(joins)), replace=False):
        spoilt[join:] += np.float32(rng.choice([-1, 1]) * rng.uniform(0.1, 0.2)) * fade_out(len(spoilt) - join)
    return spoilt


def truncated(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """Ends at 50 to 80 % of the speech, wherever that is."""
    first, last = edges(speech)
    return speech[: first + int(rng.uniform(0.5, 0.8) * (last - first))]


def last_word_cut(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """Without its last word, faded out and followed by silence as if it were the end.

    Cut where it is quietest: the last word of a sentence is up to twice as long as its letters say.
    """
    first, last = edges(speech)
    share = (len(text.split()[-1]) + 0.5) / len(text) * (last - first)
    window = speech[last - int(2.0 * share) : last - int(0.9 * share)]
    levels = np.convolve(np.square(window), np.ones(SAMPLE_RATE // 50), "same")
    kept = speech[: last - int(2.0 * share) + int(np.argmin(levels))].copy()
    kept[-480:] *= np.linspace(1, 0, 480, dtype=np.float32)
    return np.concatenate([kept, speech[last:]])


def repeated(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """A phrase of 0.9 to 1.5 s comes twice."""
    first, last = edges(speech)
    length = min(int(rng.uniform(0.9, 1.5) * SAMPLE_RATE), (last - first) // 2)
    start = int(rng.uniform(first, last - length))
    return np.concatenate([speech[: start + length], speech[start:]])


def music(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """Chords of a plucked instrument under the speech, 8 to 16 dB quieter."""
    return mixed(speech, chords(len(speech), rng), rng.uniform(-16, -8))


def jingle(speech: Samples, text: str, rng: np.random.Generator) -> Samples:
    """1.2 to 2 s of music before the speech, as loud as it."""
    tune = chords(int(rng.uniform(1.2, 2.0) * SAMPLE_RATE), rng)
    return np.concatenate([mixed(np.zeros(len(tune), np.float32), tune, 0.0, rms_of(speech)), speech])


SPOILT: dict[str, Fault] = {
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
    """`other` at `level_db` against the speech's root mean square."""
    wanted = (rms or rms_of(speech)) * 10 ** (level_db / 20)
    scaled: Samples = (speech + other * wanted / np.sqrt(np.mean(np.square(other)))).astype(np.float32)
    return scaled


def rms_of(speech: Samples) -> float:
    first, last = edges(speech)
    return float(np.sqrt(np.mean(np.square(speech[first:last], dtype=np.float64))))


def edges(speech: Samples) -> tuple[int, int]:
    """Where the speech begins and ends: the samples above -30 dB of the peak."""
    (loud,) = np.nonzero(np.abs(speech) > 0.03 * np.abs(speech).max())
    return int(loud[0]), int(loud[-1])


def loud_places(speech: Samples) -> NDArray[np.intp]:
    size = SAMPLE_RATE // 50
    levels = np.square(speech[: len(speech) // size * size].reshape(-1, size)).mean(axis=1)
    return np.flatnonzero(levels > 0.1 * levels.max()) * size


def fade_out(count: int) -> Samples:
    """A step that decays in 20 ms."""
    return np.exp(-np.arange(count) / (0.02 * SAMPLE_RATE)).astype(np.float32)


def chords(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    time, tune = np.arange(count) / SAMPLE_RATE, np.zeros(count)
    root = 220 * 2 ** (rng.integers(0, 12) / 12)
    for beat in np.arange(0, count / SAMPLE_RATE, 0.4):
        for interval in rng.permutation([0, 3, 4, 7, 12])[:3]:
            since = time - beat
            ringing = np.where(since >= 0, np.exp(-3 * np.maximum(since, 0)), 0.0)
            hertz = root * 2 ** (interval / 12)
            tune += ringing * sum(np.sin(2 * np.pi * hertz * k * since) / k**1.5 for k in range(1, 6))
    return tune
