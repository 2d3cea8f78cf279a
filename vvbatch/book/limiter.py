"""A limiter of true peaks that touches only the windows around them, and notes each window.

The gain falls before a peak (look-ahead), and recovers linearly in decibels. Where no peak is near it is exactly 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vvbatch.book.contents import RATE
from vvbatch.book.peaks import REACH, peak_envelope

LOOK_AHEAD = RATE // 200  # 5 ms
RECOVERY_DB_PER_S = 200.0
MOST_REDUCTION_DB = 40.0
CONTEXT = round(MOST_REDUCTION_DB / RECOVERY_DB_PER_S * RATE) + 3 * LOOK_AHEAD + 2 * REACH
"""The gain at a sample depends on no sample farther away."""
MARGIN_DB = 0.1  # the gain changes within the reach of the oversampling filter, and four times is not infinitely often

SMOOTHING = np.hanning(2 * LOOK_AHEAD + 3)[1:-1] / np.hanning(2 * LOOK_AHEAD + 3).sum()


class Window(msgspec.Struct, frozen=True, array_like=True):
    """Samples that were limited, counted from the start of the stream."""

    start: int
    stop: int
    reduction_db: float  # the most in it


class Limiter:
    """For one stream. `windows` is complete when the stream has ended.

    `lowered` are places at which the peaks become lower by so many dB than the ceiling asks.
    """

    def __init__(self, ceiling_dbtp: float, lowered: Mapping[int, float] | None = None) -> None:
        self.ceiling = 10 ** ((ceiling_dbtp - MARGIN_DB) / 20)
        self.places = np.array(sorted(lowered or {}), np.intp)
        self.factors = np.array([10 ** ((lowered or {})[place] / 20) for place in self.places.tolist()])
        self.windows: list[Window] = []

    def limited(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """The stream with its peaks under the ceiling, in blocks of other lengths."""
        held: NDArray[np.float32] = np.zeros(0, np.float32)  # context that has gone out already, then what has not
        context, position = 0, 0  # samples of context in `held`; stream position of held[context]
        for block in blocks:
            held = np.concatenate([held, block])
            ready = len(held) - CONTEXT
            if ready <= context:
                continue
            yield self._gained(held, context, ready, position)
            position += ready - context
            dropped = max(0, ready - CONTEXT)
            held, context = held[dropped:], ready - dropped
        if len(held) > context:
            yield self._gained(held, context, len(held), position)

    def _gained(self, held: NDArray[np.float32], start: int, stop: int, position: int) -> NDArray[np.float32]:
        """`held[start:stop]` limited; what lies around it is context."""
        out = held[start:stop]
        origin = position - start
        first, last = np.searchsorted(self.places, [origin, origin + len(held)])
        gain = gain_curve(held, self.ceiling, self.places[first:last] - origin, self.factors[first:last])
        if gain is None:
            return out
        gain = gain[start:stop]
        self._note(gain, position)
        return np.where(gain < 1, out * gain, out).astype(np.float32)

    def _note(self, gain: NDArray[np.float64], position: int) -> None:
        below = np.concatenate([[False], gain < 1, [False]])
        starts, stops = np.flatnonzero(below[1:] & ~below[:-1]), np.flatnonzero(~below[1:] & below[:-1])
        for start, stop in zip(starts, stops, strict=True):
            reduction = -20 * float(np.log10(gain[start:stop].min()))
            window = Window(position + int(start), position + int(stop), round(reduction, 3))
            if self.windows and self.windows[-1].stop == window.start:  # one window, cut by the end of a block
                before = self.windows.pop()
                window = Window(before.start, window.stop, max(before.reduction_db, window.reduction_db))
            self.windows.append(window)


def gain_curve(
    samples: NDArray[np.float32], ceiling: float, places: NDArray[np.intp], factors: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The gain of each sample (frames,), exactly 1 away from peaks; None where all of it would be 1.

    At each of the `places` the gain is lower by its factor than the ceiling asks.
    """
    envelope = peak_envelope(samples, ceiling)
    envelope[places] = np.maximum(envelope[places], ceiling) * factors
    peaks = np.flatnonzero(envelope > ceiling)
    if not len(peaks):
        return None
    gain = np.ones(len(samples))
    for start, stop in _around(peaks, 20 * np.log10(envelope[peaks] / ceiling)):
        first, last = max(0, start), min(len(samples), stop)
        gain[first:last] = _recovering(envelope[first:last], ceiling)
    return gain


def _around(peaks: NDArray[np.intp], reductions_db: NDArray[np.float64]) -> list[tuple[int, int]]:
    """From before the look-ahead of the first of neighbouring peaks to the end of the recovery from the last."""
    lasting = np.minimum(reductions_db, MOST_REDUCTION_DB) * (RATE / RECOVERY_DB_PER_S)
    starts = peaks - 2 * LOOK_AHEAD - 1
    stops = np.maximum.accumulate(peaks + np.ceil(lasting).astype(np.intp) + 2 * LOOK_AHEAD + 2)
    apart = np.flatnonzero(starts[1:] > stops[:-1])
    return list(zip(starts[[0, *(apart + 1)]].tolist(), stops[[*apart, -1]].tolist(), strict=True))


def _recovering(envelope: NDArray[np.float64], ceiling: float) -> NDArray[np.float64]:
    width = 2 * LOOK_AHEAD + 1
    needed = 20 * np.log10(np.minimum(1.0, ceiling / np.maximum(envelope, ceiling)))
    needed = np.maximum(ndimage.minimum_filter1d(needed, width, mode="nearest"), -MOST_REDUCTION_DB)
    rise = np.arange(len(needed)) * (RECOVERY_DB_PER_S / RATE)
    recovering = np.minimum(np.minimum.accumulate(needed - rise) + rise, 0.0)
    recovering[recovering > -1e-9] = 0.0
    around = np.pad(10 ** (recovering / 20), LOOK_AHEAD, mode="edge")
    gain = np.minimum(np.convolve(around, SMOOTHING, "valid"), 1.0)
    touched = ndimage.minimum_filter1d(recovering, width, mode="nearest") < 0
    return np.where(touched, np.minimum(gain, 1.0 - 1e-12), 1.0)
