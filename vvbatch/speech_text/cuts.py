"""Where a long text is cut, decided by the text near each cut: an edit moves no cut that is far from it.

A rule that counts from the start, "cut after every 80 words", moves all cuts behind an edit, and every part behind it
would be rendered again. Here each place at which the text may be cut has a mark, a hash of the characters before it.
It becomes a cut when its mark is the lowest among the places around it. This is content-defined chunking by local
minima (Bjørner, Blass, Gurevich: Content-dependent chunking for differential compression, the local maximum approach,
2010). What is still too long is cut again at its lowest mark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

NEAR, FAR = 12, 60
"""Characters before a place that its mark depends on; the second number decides between equal marks of the first."""

Mark = tuple[bytes, bytes]


@dataclass(frozen=True)
class Sizes:
    """Of a part, in any unit: no part is smaller than `least` or larger than `most`, if there are places for it."""

    least: float
    best: float
    most: float

    @property
    def apart(self) -> float:
        """How far cuts stay apart where they can. The lowest marks within this distance are about `best` apart."""
        return max(self.least, self.best / 2)


def mark_of(text: str) -> Mark:
    """Of the place behind a text."""
    return _digest(text[-NEAR:]), _digest(text[-FAR:])


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def cuts(units: Sequence[float], marks: Sequence[Mark], sizes: Sizes) -> list[int]:
    """The indexes of the units that begin a part, but the first; none if all fit into one.

    `units` are the sizes of the pieces between the places where the text may be cut, `marks` those of the places behind
    each unit; the last one is not used. A part may be larger than `sizes.most` where no place is left for a cut.
    """
    starts = [0.0, *accumulate(units)]
    if starts[-1] <= sizes.most:
        return []
    found = _lowest(starts, marks, sizes.apart)
    for begin, end in pairwise([0, *found, len(units)]):
        found += _within(starts, marks, sizes, begin, end)
    return sorted(found)


def _lowest(starts: Sequence[float], marks: Sequence[Mark], apart: float) -> list[int]:
    """The places with the lowest mark of all that are less than `apart` away; of equal ones the first."""
    last = len(starts) - 1
    found = []
    for place in range(1, last):
        at, mark = starts[place], marks[place - 1]
        if at < apart or starts[last] - at < apart:
            continue
        before, after = place - 1, place + 1
        while before > 0 and at - starts[before] < apart and marks[before - 1] > mark:
            before -= 1
        while after < last and starts[after] - at < apart and marks[after - 1] >= mark:
            after += 1
        if (before == 0 or at - starts[before] >= apart) and (after == last or starts[after] - at >= apart):
            found.append(place)
    return found


def _within(starts: Sequence[float], marks: Sequence[Mark], sizes: Sizes, begin: int, end: int) -> list[int]:
    """More cuts between two, until no part is too large."""
    found = []
    left = [(begin, end)]
    while left:
        begin, end = left.pop()
        if starts[end] - starts[begin] <= sizes.most:
            continue
        middle = (starts[begin] + starts[end]) / 2
        for apart in (sizes.apart, sizes.least):
            places = [
                place
                for place in range(begin + 1, end)
                if starts[place] - starts[begin] >= apart and starts[end] - starts[place] >= apart
            ]
            if places:
                break
        else:
            continue
        # The middle one of equal marks: a text that repeats itself is halved, and not cut again and again at its start.
        cut = min(places, key=lambda place: (marks[place - 1], abs(starts[place] - middle)))
        found.append(cut)
        left += [(begin, cut), (cut, end)]
    return found
