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
BEND_GAIN = 0.45
"""No value between two samples is above the higher of them and this times the strongest bend (second difference) within
reach: the sum of what the filter adds to a straight line is 0.41."""
SEGMENT = 1 << 7


def peak_envelope(samples: NDArray[np.floating], above: float = 0.0) -> NDArray[np.float64]:
    """For each sample the highest level at it and up to its neighbours (frames,); beyond the ends lies silence.

    Where no value can be higher than `above`, the level of the sample alone.
    """
    padded = np.pad(samples, REACH + 1)
    levels = np.abs(samples).astype(np.float64)
    for start, stop in _loud_segments(padded, above):
        part = padded[start : stop + 2 * REACH + 2].astype(np.float64)  # REACH + 1 samples more on both sides
        between = np.abs([np.convolve(part, phase, "valid") for phase in PHASES]).max(axis=0)
        levels[start:stop] = np.maximum(levels[start:stop], np.maximum(between[:-1], between[1:])[: stop - start])
    return np.asarray(levels)


def _loud_segments(padded: NDArray[np.floating], above: float) -> list[tuple[int, int]]:
    """Where values between samples may be higher than `above`, from start to stop, without the padding."""
    length = len(padded) - 2 * (REACH + 1)
    if above <= 0:
        return [(0, length)] if length else []
    levels, bends = _highest(np.abs(padded)), _highest(np.abs(np.diff(np.pad(padded, 1), 2)))
    loud = _with_neighbours(levels) + BEND_GAIN * _with_neighbours(bends) > above
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    bounds = np.clip(edges * SEGMENT - (REACH + 1), 0, length)
    return [(start, stop) for start, stop in bounds.reshape(-1, 2).tolist() if start < stop]


def _highest(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Of each segment."""
    count = -(-len(values) // SEGMENT)
    return np.asarray(np.pad(values, (0, count * SEGMENT - len(values))).reshape(count, SEGMENT).max(axis=1))


def _with_neighbours(highest: NDArray[np.floating]) -> NDArray[np.floating]:
    around = np.pad(highest, 1)
    return np.asarray(np.maximum(np.maximum(around[:-2], around[2:]), highest))


class PeakMeter:
    """The true peak of a stream of mono samples, in blocks of any length."""

    def __init__(self, limit_dbtp: float | None = None) -> None:
        """With a limit the places above it are collected."""
        self.limit = 10 ** (limit_dbtp / 20) if limit_dbtp is not None else np.inf
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
        levels = peak_envelope(joined, min(self.peak, self.limit))[inner]
        self.peak = max(self.peak, float(levels.max(initial=0.0)))
        if self.peak > self.limit:
            found = np.flatnonzero(levels > self.limit)
            self.over.append((found + (self.position + REACH + 1), levels[found]))

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
