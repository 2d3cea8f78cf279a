"""Where speech begins and ends in a take, and the silence that is left around it.

Most takes of VibeVoice begin or end within speech. Nothing is cut or faded there: what is kept of the edge may be
nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vvbatch.book.contents import RATE

EDGE_S = 0.06  # the silence that is kept before and after speech
FRAME = RATE // 200
LOWEST_DBFS = -65.0  # below this nothing is speech
SILENCE_DB = -160.0


@dataclass(frozen=True)
class Edges:
    """Positions in a take, in samples: kept from `start` to `stop`, speech from `speech_start` to `speech_stop`."""

    start: int
    speech_start: int
    speech_stop: int
    stop: int

    @property
    def before(self) -> int:
        """Samples that are kept before speech."""
        return self.speech_start - self.start

    @property
    def after(self) -> int:
        return self.stop - self.speech_stop


def find_edges(samples: NDArray[np.float32]) -> Edges:
    """Of mono samples (frames,) at RATE. Speech is what lies above a level between the take's floor and its speech."""
    count = len(samples) // FRAME
    if not count:
        return Edges(0, 0, len(samples), len(samples))
    levels = frame_levels(samples, FRAME)
    audible = levels[levels > LOWEST_DBFS + 5]
    speech = float(np.percentile(audible, 90)) if len(audible) else SILENCE_DB
    floor = float(np.percentile(levels, 5))
    threshold = max(min(floor + 12, speech - 30), speech - 45, LOWEST_DBFS)
    loud = levels > threshold
    # A single frame of 5 ms is a click; speech has neighbours.
    neighbours = np.convolve(loud, [1, 1, 1], "same") >= 2
    found = np.flatnonzero(loud & neighbours)
    if not len(found):
        return Edges(0, 0, len(samples), len(samples))
    first, last = int(found[0]) * FRAME, (int(found[-1]) + 1) * FRAME
    if last + FRAME > len(samples):
        last = len(samples)  # the rest is shorter than a frame and was not measured
    edge = round(EDGE_S * RATE)
    return Edges(max(0, first - edge), first, last, min(len(samples), last + edge))


def frame_levels(samples: NDArray[np.float32], frame: int) -> NDArray[np.float64]:
    """The RMS of each whole frame in dBFS."""
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    return np.asarray(10 * np.log10(np.maximum(np.einsum("ij,ij->i", whole, whole) / frame, 10 ** (SILENCE_DB / 10))))


def long_silences(samples: NDArray[np.float32], edges: Edges, longest_s: float) -> list[tuple[int, int]]:
    """What to take out within speech so that no silence is longer than `longest_s`: (start, stop) in samples.

    The cut lies in the middle of a silence, with at least half of `longest_s` kept on both sides.
    """
    inside = samples[edges.speech_start : edges.speech_stop]
    levels = frame_levels(inside, FRAME)
    if not len(levels):
        return []
    speech = float(np.percentile(levels, 90))
    quiet = np.concatenate([[False], levels < max(speech - 40, LOWEST_DBFS), [False]])
    starts, stops = np.flatnonzero(quiet[1:] & ~quiet[:-1]), np.flatnonzero(~quiet[1:] & quiet[:-1])
    half = round(longest_s * RATE) // 2
    cuts = []
    for first, last in zip(starts * FRAME, stops * FRAME, strict=True):
        if last - first > 2 * half:
            cuts.append((edges.speech_start + int(first) + half, edges.speech_start + int(last) - half))
    return cuts
