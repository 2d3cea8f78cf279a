"""Align two takes in time: dynamic time warping over log-mel frames, with open ends.

Sakoe and Chiba's symmetric form (IEEE Trans. ASSP 26, 1978): a step in both takes counts twice, so that a path's cost
over the sum of the two lengths is a mean distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.regress.compare.spectrum import HOP

LONGEST = 3000  # frames of one take; longer takes are compared in longer frames
BETTER = 0.9  # an end is left open only if that brings the mean distance under this share of the closed one's

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """The common part of two takes. `…_s` is its length in each take in seconds, `…_left_s` the rest after it.

    One of the two rests is 0. `distance_db` is the mean absolute difference of the bands over the common part.
    """

    distance_db: float
    before_s: float
    after_s: float
    before_left_s: float
    after_left_s: float


def align(before: Floats, after: Floats) -> Alignment:
    """Align two log-mel spectra, (frames, bands) in dB each, from their beginnings to the earlier of the two ends."""
    joined = -(-max(len(before), len(after)) // LONGEST)
    rows, columns = shortened(before, joined), shortened(after, joined)
    frame_s = joined * HOP / SAMPLE_RATE
    costs = accumulated(distances(rows, columns))
    count, other = costs.shape
    lengths = np.arange(1, max(count, other) + 1)
    last_column = costs[:, -1] / (lengths[:count] + other)  # all of `after` against a beginning of `before`
    last_row = costs[-1] / (lengths[:other] + count)
    closed = float(costs[-1, -1]) / (count + other)
    row, column, mean = count - 1, other - 1, closed
    for candidate, means in ((True, last_column), (False, last_row)):
        # At least half of a take must match: similar openings alone must not pass for a whole take.
        half = len(means) // 2
        best = half + int(means[half:].argmin())
        if means[best] < BETTER * closed and means[best] < mean:
            mean = float(means[best])
            row, column = (best, other - 1) if candidate else (count - 1, best)
    left = (count - 1 - row) * frame_s, (other - 1 - column) * frame_s
    return Alignment(mean, (row + 1) * frame_s, (column + 1) * frame_s, *left)


def shortened(frames: Floats, joined: int) -> Floats:
    """The means of each `joined` frames. An incomplete last group is dropped, unless it is the only one."""
    if joined == 1 or len(frames) < joined:
        return frames
    count = len(frames) // joined
    means: Floats = frames[: count * joined].reshape(count, joined, -1).mean(axis=1)
    return means


def distances(rows: Floats, columns: Floats) -> NDArray[np.float32]:
    """The mean absolute difference of the bands, (rows, columns), a few rows at a time to bound memory."""
    found = np.empty((len(rows), len(columns)), np.float32)
    first, second = rows.astype(np.float32), columns.astype(np.float32)
    for start in range(0, len(rows), 16):
        found[start : start + 16] = np.abs(first[start : start + 16, None] - second[None]).mean(axis=2)
    return found


def accumulated(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cost of the cheapest path to each cell, one antidiagonal at a time: its cells are independent."""
    rows, columns = distance.shape
    cost = np.full((rows + 1, columns + 1), np.inf, np.float32)
    cost[0, 0] = 0.0
    for diagonal in range(rows + columns - 1):
        row = np.arange(max(0, diagonal - columns + 1), min(diagonal, rows - 1) + 1)
        column = diagonal - row
        here = distance[row, column]
        straight = np.minimum(cost[row, column + 1], cost[row + 1, column]) + here
        cost[row + 1, column + 1] = np.minimum(straight, cost[row, column] + 2 * here)
    return cost[1:, 1:]
