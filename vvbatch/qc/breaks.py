"""Clicks, dropouts, and peaks between the samples. Samples are mono float32 (frames,), full scale 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import FRAME, SAMPLE_RATE

CLICK = 30.0  # ratio of a curvature to its surroundings from which it is a click, anywhere …
CLICK_AT_JOIN = 15.0  # … and at the join of two frames of the engine
AROUND = 192  # samples on each side that a curvature is compared with
BETWEEN = 6  # nearest samples that the comparison leaves out, because a click rings
INAUDIBLE = 1e-4  # curvature
SLOT_S = 0.0025
FALL_DB = 25.0  # how much quieter than its surroundings a dropout is
LONGEST_S = 1.5  # of a dropout; a longer hole is a pause, which `inner_silence` limits
SURROUNDINGS = 4  # slots on each side of a dropout
LOUD_DB = -30.0  # relative to the loud parts of the speech
OVERSAMPLING = 4  # ITU-R BS.1770-4, annex 2


def true_peak(samples: NDArray[np.float32]) -> float:
    """The highest absolute value of the waveform, also between the samples (ITU-R BS.1770-4, annex 2)."""
    import soxr

    peak = float(np.abs(samples).max(initial=0.0))
    # The waveform exceeds its samples by a few decibels at most, so only blocks near the peak are resampled.
    size = 1024
    padded = np.pad(np.abs(samples), (0, -len(samples) % size)).reshape(-1, size)
    near = np.flatnonzero(padded.max(axis=1) > 0.6 * peak)
    for first, last in _runs(near):
        part = samples[max(first * size - size // 4, 0) : (last + 1) * size + size // 4]
        peak = max(peak, float(np.abs(soxr.resample(part, 1, OVERSAMPLING, "MQ")).max(initial=0.0)))
    return peak


def clicks(samples: NDArray[np.float32], sample_rate: int = SAMPLE_RATE) -> list[float]:
    """The time of each click, in seconds from the start: a sample where the waveform curves far more than around it.

    Curvature is the second difference; it is compared with the root mean square of the AROUND samples on each side.
    """
    if len(samples) < 4 * AROUND:
        return []
    curvature = np.diff(samples, 2)
    blocks = curvature[: len(curvature) // AROUND * AROUND].reshape(-1, AROUND)
    sharpest = np.abs(blocks).argmax(axis=1) + AROUND * np.arange(len(blocks))
    loud = np.abs(curvature[sharpest]) > CLICK * INAUDIBLE
    joins = np.arange(FRAME, len(curvature), FRAME)[:, None] + np.arange(-3, 2)
    at_join = joins[np.arange(len(joins)), np.abs(curvature[np.minimum(joins, len(curvature) - 1)]).argmax(axis=1)]
    at_join = at_join[at_join < len(curvature)]
    indices = np.concatenate(
        [
            sharpest[loud][_is_outlier(curvature, sharpest[loud], CLICK)],
            at_join[_is_outlier(curvature, at_join, CLICK_AT_JOIN)],
        ]
    )
    indices = np.unique(indices)
    apart = indices[np.diff(indices, prepend=-SAMPLE_RATE) > AROUND]
    return [round(float(each) / sample_rate, 3) for each in apart]


def _is_outlier(curvature: NDArray[np.float32], indices: NDArray[np.intp], ratio: float) -> NDArray[np.bool_]:
    energy = np.concatenate([[0.0], np.cumsum(np.square(curvature), dtype=np.float64)])
    total, count = np.zeros(len(indices)), np.zeros(len(indices))
    for first, end in ((-AROUND, -BETWEEN), (BETWEEN + 1, AROUND + 1)):
        starts, ends = (np.clip(indices + offset, 0, len(curvature)) for offset in (first, end))
        total += energy[ends] - energy[starts]
        count += ends - starts
    around = np.sqrt(np.maximum(total, 0.0) / np.maximum(count, 1))
    is_outlier: NDArray[np.bool_] = np.abs(curvature[indices]) > ratio * (around + INAUDIBLE)
    return is_outlier


def dropouts(samples: NDArray[np.float32], sample_rate: int, loud_dbfs: float) -> list[float]:
    """The time of each dropout, in seconds from the start: two or more slots far below their loud neighbours.

    `loud_dbfs` is the level of the loud parts of the speech (`Activity.loud_dbfs`).
    """
    size = max(round(SLOT_S * sample_rate), 1)
    slots = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    levels = 10 * np.log10(np.square(slots - slots.mean(axis=1, keepdims=True)).mean(axis=1) + 1e-12)
    holes = np.flatnonzero(levels < loud_dbfs + LOUD_DB - FALL_DB)
    found = []
    for first, last in _runs(holes):
        before, after = levels[max(first - SURROUNDINGS, 0) : first], levels[last + 1 : last + 1 + SURROUNDINGS]
        if (
            last == first
            or (last - first) * SLOT_S > LONGEST_S
            or len(before) < SURROUNDINGS
            or len(after) < SURROUNDINGS
        ):
            continue
        edges = min(float(before[-2:].max()), float(after[:2].max()))
        if edges > loud_dbfs + LOUD_DB and edges - levels[first : last + 1].max() > FALL_DB:
            found.append(round(int(first) * SLOT_S, 3))
    return found


def _runs(indices: NDArray[np.intp]) -> list[tuple[int, int]]:
    """The first and last index of each run of consecutive indices."""
    if not len(indices):
        return []
    ends = np.flatnonzero(np.diff(indices) > 1)
    firsts, lasts = indices[np.concatenate([[0], ends + 1])], indices[np.concatenate([ends, [len(indices) - 1]])]
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]
