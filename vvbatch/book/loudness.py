"""Loudness as energies of blocks of 0.1 s, which are stored and combined: a book is never read again to measure it.

Integrated loudness is that of ITU-R BS.1770-4 (gated). pyloudnorm is the judge in the tests: ±0.1 LU.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

BLOCKS_PER_S = 10
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = 10.0
SILENCE_DB = -120.0

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Energies:
    """Mean squares of each whole block of 0.1 s: K-weighted, and of the samples as they are. Both (blocks,)."""

    weighted: NDArray[np.float32]
    plain: NDArray[np.float32]

    def scaled(self, gain_db: float) -> Energies:
        factor = np.float32(10 ** (gain_db / 10))
        return Energies(self.weighted * factor, self.plain * factor)

    @property
    def lufs(self) -> float | None:
        """None if there are fewer than 0.4 s, or nothing is above the absolute gate."""
        return _integrated(self.weighted)

    @property
    def rms_db(self) -> float:
        return decibels(float(self.plain.mean(dtype=np.float64))) if len(self.plain) else SILENCE_DB

    @property
    def floor_db(self) -> float:
        """The RMS of the quietest half second, as ACX measures noise."""
        if len(self.plain) < 5:
            return self.rms_db
        return decibels(float(np.convolve(self.plain.astype(np.float64), np.full(5, 0.2), "valid").min()))


def combined(parts: Iterable[Energies]) -> Energies:
    """Of audio whose parts follow each other, each a whole number of blocks long."""
    listed = [Energies(np.zeros(0, np.float32), np.zeros(0, np.float32)), *parts]
    return Energies(np.concatenate([part.weighted for part in listed]), np.concatenate([part.plain for part in listed]))


class LoudnessMeter:
    """Measures a stream of mono samples, in blocks of any length, without its first `skip` samples."""

    def __init__(self, rate: int, skip: int = 0) -> None:
        self.skip = skip
        self.block = rate // BLOCKS_PER_S
        self.filters = k_weighting(rate)
        self.state = np.zeros((2, 2))
        self.rest = [np.zeros(0, np.float32), np.zeros(0, np.float32)]  # of the block that is not full yet
        self.weighted: list[NDArray[np.float32]] = []
        self.plain: list[NDArray[np.float32]] = []

    def add(self, samples: NDArray[np.float32]) -> None:
        samples, self.skip = samples[self.skip :], max(0, self.skip - len(samples))
        if not len(samples):
            return
        weighted, self.state = signal.sosfilt(self.filters, samples.astype(np.float64), zi=self.state)
        self.weighted.append(self._means(0, weighted.astype(np.float32)))
        self.plain.append(self._means(1, samples))

    def _means(self, index: int, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        joined = np.concatenate([self.rest[index], samples])
        whole = len(joined) // self.block * self.block
        self.rest[index] = joined[whole:]
        blocks = joined[:whole].reshape(whole // self.block, self.block)
        return np.asarray(np.einsum("ij,ij->i", blocks, blocks) / np.float32(self.block))

    @property
    def energies(self) -> Energies:
        """Of the whole blocks so far."""
        empty = np.zeros(0, np.float32)
        return Energies(np.concatenate([empty, *self.weighted]), np.concatenate([empty, *self.plain]))


def measured(samples: NDArray[np.float32], rate: int) -> Energies:
    meter = LoudnessMeter(rate)
    meter.add(samples)
    return meter.energies


def k_weighting(rate: int) -> Float:
    """The two filters of BS.1770-4 as second-order sections (2, 6), at any rate.

    The standard has coefficients for 48 kHz only; these are the analogue filters behind them (B. De Man, "Evaluation of
    implementations of the EBU R128 loudness measurement", AES 2018).
    """
    k, q, gain = np.tan(np.pi * 1681.974450955533 / rate), 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band, norm = gain**0.4996667741545416, 1 + k / q + k * k
    shelf = [gain + band * k / q + k * k, 2 * (k * k - gain), gain - band * k / q + k * k]
    first = [*(value / norm for value in shelf), 1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]
    k, q = np.tan(np.pi * 38.13547087602444 / rate), 0.5003270373238773
    norm = 1 + k / q + k * k
    # Without its norm, as in the standard: what that adds at 48 kHz (0.04 dB) counts at every rate.
    k48 = np.tan(np.pi * 38.13547087602444 / 48_000)
    over = (1 + k48 / q + k48 * k48) / norm
    second = [over, -2 * over, over, 1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]
    return np.array([first, second])


def decibels(mean_square: float) -> float:
    return max(10 * float(np.log10(mean_square)), SILENCE_DB) if mean_square > 0 else SILENCE_DB


def _integrated(weighted: NDArray[np.float32]) -> float | None:
    if len(weighted) < 4:
        return None
    blocks = np.convolve(weighted.astype(np.float64), np.full(4, 0.25), "valid")  # 0.4 s long, overlapping by 75 %
    blocks = blocks[blocks > 10 ** ((ABSOLUTE_GATE_LUFS + 0.691) / 10)]
    if not len(blocks):
        return None
    relative = blocks.mean() * 10 ** (-RELATIVE_GATE_LU / 10)
    return float(-0.691 + 10 * np.log10(blocks[blocks > relative].mean()))
