"""The order in which a batch's lines enter the queue: as in the script, its tail longest first.

While lines wait, every slot of an engine is filled, and the order costs nothing. A long line that begins last keeps the
engine at work alone after all others have ended. So the last lines of a batch begin with the longest. The order is that
of the queue: it holds for any number of workers, and no line waits for one that was submitted after its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import NamedTuple

TAIL_LINES_A_SLOT = 4
"""Lines of the tail for each slot of the profile. With 3 or fewer a worker's last long line ends later; 6 gain nothing
(`bench/RESULTS.md`)."""


class WaitingLine(NamedTuple):
    """A queued line; `characters` of its text, once for each of its takes."""

    id: str
    batch: str
    profile: str
    priority: str
    characters: int


def admission_order(waiting: Iterable[WaitingLine], slots: Callable[[str], int]) -> list[WaitingLine]:
    """Lines, each batch's together and in the order of its script, in the order in which they are queued.

    `slots` gives a profile's slots. Batches stay in their order, and so do lines of equal length.
    """
    ordered: list[WaitingLine] = []
    for _, batch in groupby(waiting, key=lambda line: line.batch):
        by_profile: dict[str, list[WaitingLine]] = {}
        for line in batch:
            by_profile.setdefault(line.profile, []).append(line)
        for profile, lines in by_profile.items():
            begin = max(0, len(lines) - TAIL_LINES_A_SLOT * slots(profile))
            ordered += lines[:begin] + sorted(lines[begin:], key=lambda line: -line.characters)
    return ordered
