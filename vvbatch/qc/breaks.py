"""Where a signal breaks: clicks, dropouts, and peaks between the samples. Mono samples (frames,), full scale 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import FRAME, SAMPLE_RATE

CLICK = 30.0  # how far a bend stands out of those around it, anywhere …
CLICK_AT_JOIN = 15.0  # … and where two chunks meet
AROUND = 192  # samples on each side that a bend is compared with
BETWEEN = 6  # nearest samples that are left out of it: a click rings
QUIETEST = 1e-4  # a bend that nobody hears
SLOT_S = 0.0025
FALL_DB = 50.0  # how much quieter than its surroundings a dropout is
BESIDE = 4  # slots on each side of a dropout that are loud
LOUD_DB = -30.0  # against the loud parts of the speech
OVERSAMPLING = 4  # ITU-R BS.1770-4, annex 2


def true_peak(samples: NDArray[np.float32]) -> float:
    """The highest point of the wave between the samples too, by resampling to four times the rate."""
    import soxr

    peak = float(np.abs(samples).max(initial=0.0))
    # The wave rises above its samples by some decibels at most: only what comes near the peak is resampled.
    size = 1024
    padded = np.pad(np.abs(samples), (0, -len(samples) % size)).reshape(-1, size)
    near = np.flatnonzero(padded.max(axis=1) > 0.6 * peak)
    for first, last in _runs(near):
        part = samples[max(first * size - size // 4, 0) : (last + 1) * size + size // 4]
        peak = max(peak, float(np.abs(soxr.resample(part, 1, OVERSAMPLING, "MQ")).max(initial=0.0)))
    return peak


def clicks(samples: NDArray[np.float32], sample_rate: int = SAMPLE_RATE) -> list[float]:
    """Seconds from the start of each click: a sample where the wave bends much more sharply than around it.

    The bend is the second difference; it is compared with the root mean square of the bends AROUND it.
    """
    if len(samples) < 4 * AROUND:
        return []
    bend = np.diff(samples, 2)
    blocks = bend[: len(bend) // AROUND * AROUND].reshape(-1, AROUND)
    sharpest = np.abs(blocks).argmax(axis=1) + AROUND * np.arange(len(blocks))
    loud = np.abs(bend[sharpest]) > CLICK * QUIETEST
    joins = np.arange(FRAME, len(bend), FRAME)[:, None] + np.arange(-3, 2)
    at_join = joins[np.arange(len(joins)), np.abs(bend[np.minimum(joins, len(bend) - 1)]).argmax(axis=1)]
    at_join = at_join[at_join < len(bend)]
    places = np.concatenate(
        [
            sharpest[loud][_stand_out(bend, sharpest[loud], CLICK)],
            at_join[_stand_out(bend, at_join, CLICK_AT_JOIN)],
        ]
    )
    places = np.unique(places)
    apart = places[np.diff(places, prepend=-SAMPLE_RATE) > AROUND]
    return [round(float(each) / sample_rate, 3) for each in apart]


def _stand_out(bend: NDArray[np.float32], places: NDArray[np.intp], ratio: float) -> NDArray[np.bool_]:
    energy = np.concatenate([[0.0], np.cumsum(np.square(bend), dtype=np.float64)])
    total, count = np.zeros(len(places)), np.zeros(len(places))
    for first, end in ((-AROUND, -BETWEEN), (BETWEEN + 1, AROUND + 1)):
        starts, ends = (np.clip(places + offset, 0, len(bend)) for offset in (first, end))
        total += energy[ends] - energy[starts]
        count += ends - starts
    around = np.sqrt(np.maximum(total, 0.0) / np.maximum(count, 1))
    stand_out: NDArray[np.bool_] = np.abs(bend[places]) > ratio * (around + QUIETEST)
    return stand_out


def dropouts(samples: NDArray[np.float32], sample_rate: int, loud_dbfs: float) -> list[float]:
    """Seconds from the start of each hole: at least two slots that fall out of loud surroundings at once."""
    size = max(round(SLOT_S * sample_rate), 1)
    slots = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    levels = 10 * np.log10(np.square(slots - slots.mean(axis=1, keepdims=True)).mean(axis=1) + 1e-12)
    holes = np.flatnonzero(levels < loud_dbfs + LOUD_DB - FALL_DB / 2)
    found = []
    for first, last in _runs(holes):
        before, after = levels[max(first - BESIDE, 0) : first], levels[last + 1 : last + 1 + BESIDE]
        if last == first or len(before) < BESIDE or len(after) < BESIDE:
            continue
        edges = min(float(before[-2:].max()), float(after[:2].max()))
        if edges > loud_dbfs + LOUD_DB and edges - levels[first : last + 1].max() > FALL_DB / 2:
            found.append(round(int(first) * SLOT_S, 3))
    return found


def _runs(places: NDArray[np.intp]) -> list[tuple[int, int]]:
    """First and last of each run of neighbours."""
    if not len(places):
        return []
    ends = np.flatnonzero(np.diff(places) > 1)
    firsts, lasts = places[np.concatenate([[0], ends + 1])], places[np.concatenate([ends, [len(places) - 1]])]
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]
