"""Room tone: noise that sounds like a voice's own quiet moments, for the pauses between its takes.

Seeded noise with the average spectrum of the quiet frames; a loop of a recorded moment repeats audibly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from vvbatch.book.contents import RATE

FRAME = 512
BANDS = FRAME // 2 + 1
QUIETEST_DBFS = -75.0  # quiet frames below this are silence, and silence fits to them
LOUDEST_DBFS = -65.0  # of the tone
FEWEST_FRAMES = 20  # for a spectrum that is an average


class Tone(msgspec.Struct, frozen=True):
    """A voice's noise before any gain: its level in dBFS, and the shape of its spectrum in whole dB (BANDS,)."""

    level_dbfs: float
    shape_db: tuple[int, ...]

    def at(self, gain_db: float) -> float:
        """The level in the book, where the voice has this gain."""
        return min(self.level_dbfs + gain_db, LOUDEST_DBFS)


class ToneMeter:
    """Collects the quiet frames of a voice's takes."""

    def __init__(self) -> None:
        self.power = np.zeros(BANDS)
        self.frames = 0

    def add(self, power: NDArray[np.float64], frames: int) -> None:
        self.power += power * frames
        self.frames += frames

    @property
    def tone(self) -> Tone | None:
        """None where the quiet frames are silence, or too few."""
        if self.frames < FEWEST_FRAMES:
            return None
        power = self.power / self.frames
        level = 10 * float(np.log10(max(power.sum(), 1e-16)))
        if level <= QUIETEST_DBFS:
            return None
        shape = np.round(10 * np.log10(np.maximum(power / power.sum(), 1e-9))).astype(int)
        return Tone(round(level, 1), tuple(int(value) for value in shape))


def quiet_power(samples: NDArray[np.float32], speech_db: float) -> tuple[NDArray[np.float64], int]:
    """The average power spectrum (BANDS,) of a take's quiet frames, summing to their mean square; and their number.

    Quiet is 35 dB below speech: breaths and soft consonants are louder. Digital silence is left out.
    """
    count = len(samples) // FRAME
    frames = samples[: count * FRAME].reshape(count, FRAME).astype(np.float64)
    levels = 10 * np.log10(np.maximum(np.einsum("ij,ij->i", frames, frames) / FRAME, 1e-16))
    quiet = frames[(levels < speech_db - 35) & (levels > -95)]
    if not len(quiet):
        return np.zeros(BANDS), 0
    window = np.hanning(FRAME)
    power = np.square(np.abs(np.fft.rfft(quiet * window, axis=1))).mean(axis=0) / (np.square(window).sum() * FRAME)
    power[1:-1] *= 2  # the negative frequencies
    return power, len(quiet)


def tone_samples(tone: Tone, level_dbfs: float, length: int, seed: str) -> NDArray[np.float32]:
    """Noise of `length` samples; the same seed gives the same samples."""
    if length <= 0:
        return np.zeros(0, np.float32)
    size = _quick_length(length)
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    frequencies = np.arange(size // 2 + 1) * (FRAME / size)
    shape = np.interp(frequencies, np.arange(BANDS), np.asarray(tone.shape_db, np.float64))
    amplitude = 10 ** (shape / 20)
    amplitude[0] = 0.0
    noise = random.standard_normal((2, len(amplitude)))
    samples = np.fft.irfft((noise[0] + 1j * noise[1]) * amplitude, size)
    samples *= 10 ** (level_dbfs / 20) / np.sqrt(np.mean(np.square(samples)))
    return samples[:length].astype(np.float32)


def tones(meters: Iterable[tuple[str, ToneMeter]]) -> dict[str, Tone]:
    return {voice: tone for voice, meter in meters if (tone := meter.tone) is not None}


def _quick_length(length: int) -> int:
    """The next length that transforms quickly: a small multiple of a power of two."""
    power = 1 << max(8, (length - 1).bit_length() - 3)
    return -(-length // power) * power


assert BANDS * 2 - 2 == FRAME and RATE == 24_000  # the shape of a stored tone depends on both
