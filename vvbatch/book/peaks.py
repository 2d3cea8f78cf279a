"""True peaks: the highest level between samples too, by four times oversampling (ITU-R BS.1770-4, annex 2)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import signal

TIMES = 4
REACH = 12  # samples on both sides that a value between two samples depends on
FILTER = signal.firwin(2 * REACH * TIMES + 1, 1 / TIMES, window=("kaiser", 7)) * TIMES
PHASES = [np.append(FILTER[phase::TIMES], [0.0] * (phase == 0))[: 2 * REACH] for phase in range(1, TIMES)]
"""The values at 1/4, 2/4 and 3/4 of the way from a sample to the next."""
HIGHEST_GAIN = max(float(np.abs(phase).sum()) for phase in PHASES)
"""No value between samples is above the highest of those within reach times this."""
SEGMENT = 1 << 9


def peak_envelope(samples: NDArray[np.floating], above: float = 0.0) -> NDArray[np.float64]:
    """For each sample the highest level at it and up to its neighbours (frames,); beyond the ends lies silence.

    Where no value can be higher than `above`, the level of the sample alone.
    """
    levels = np.abs(samples).astype(np.float64)
    padded = np.pad(np.asarray(samples, np.float64), REACH + 1)
    for start, stop in _loud_segments(levels, above):
        part = padded[start : stop + 2 * REACH + 2]  # from REACH + 1 samples before `start` to as many behind `stop`
        between = np.abs([np.convolve(part, phase, "valid") for phase in PHASES]).max(axis=0)
        levels[start:stop] = np.maximum(levels[start:stop], np.maximum(between[:-1], between[1:])[: stop - start])
    return np.asarray(levels)


def _loud_segments(levels: NDArray[np.float64], above: float) -> list[tuple[int, int]]:
    """Where values between samples may be higher than `above`, from start to stop."""
    if above <= 0:
        return [(0, len(levels))] if len(levels) else []
    count = -(-len(levels) // SEGMENT)
    highest = np.pad(levels, (0, count * SEGMENT - len(levels))).reshape(count, SEGMENT).max(axis=1)
    loud = highest * HIGHEST_GAIN > above
    wide = np.concatenate([[False], loud | np.append(loud[1:], False) | np.insert(loud[:-1], 0, False), [False]])
    starts, stops = np.flatnonzero(wide[1:] & ~wide[:-1]), np.flatnonzero(~wide[1:] & wide[:-1])
    ends = np.minimum(stops * SEGMENT, len(levels))
    return list(zip((starts * SEGMENT).tolist(), ends.tolist(), strict=True))


class PeakMeter:
    """The true peak of a stream of mono samples, in blocks of any length."""

    def __init__(self, limit_dbtp: float | None = None) -> None:
        """With a limit the places above it are collected."""
        self.limit = 10 ** (limit_dbtp / 20) if limit_dbtp is not None else None
        self.over: list[tuple[NDArray[np.intp], NDArray[np.float64]]] = []
        self.position = -2 * REACH  # of the first of the known samples
        self.peak = 0.0  # linear
        self.known: NDArray[np.float32] = np.zeros(2 * REACH, np.float32)  # before the first sample lies silence
        """The last samples: those whose neighbours were not known yet, and the neighbours before them."""

    def add(self, samples: NDArray[np.float32]) -> None:
        joined = np.concatenate([self.known, samples])
        self._look_at(joined)
        self.known = joined[-2 * REACH - 2 :]
        self.position += len(joined) - len(self.known)

    def _look_at(self, joined: NDArray[np.float32]) -> None:
        """At all but the first and the last samples, whose neighbours are missing."""
        inner = slice(REACH + 1, len(joined) - REACH - 1)
        self.peak = max(self.peak, float(np.abs(joined[inner]).max(initial=0.0)))
        if self.limit is not None and self.peak * HIGHEST_GAIN > self.limit:
            levels = peak_envelope(joined, self.limit)[inner]
            found = np.flatnonzero(levels > self.limit)
            self.over.append((found + (self.position + REACH + 1), levels[found]))
            self.peak = max(self.peak, float(levels.max(initial=0.0)))
        self.peak = max(self.peak, float(peak_envelope(joined, self.peak * (1 + 1e-6))[inner].max(initial=0.0)))

    @property
    def dbtp(self) -> float:
        """With silence after the last sample."""
        self._look_at(np.concatenate([self.known, np.zeros(2 * REACH, np.float32)]))
        return 20 * float(np.log10(max(self.peak, 1e-6)))


def true_peak_dbtp(blocks: Iterable[NDArray[np.float32]]) -> float:
    meter = PeakMeter()
    for block in blocks:
        meter.add(block)
    return meter.dbtp
