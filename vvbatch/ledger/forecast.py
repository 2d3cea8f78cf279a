"""How long lines will take, by the takes before them.

A step of an engine costs what all its lines share, and something for each of them. So a take needs, for each character
of its text, `shared_s + own_s * lines` seconds while a worker renders so many lines at once. Where a step always costs
the same, `own_s` is 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

SPREAD_LINES = 0.5
"""Standard deviation of the lines at once below which the shared and the own part cannot be separated."""


class Work(NamedTuple):
    """A take from `begun` to `ended` (or now), in seconds since the epoch."""

    worker: str
    begun: float
    ended: float
    characters: int
    good: bool | None  # None: still in work


class InWork(NamedTuple):
    """A line that is being rendered."""

    characters: int
    elapsed_s: float


@dataclass(frozen=True)
class Throughput:
    shared_s: float  # seconds a character, whatever the number of lines
    own_s: float  # seconds a character for each line of the same worker
    lines: float  # the most that a worker was seen to render at once
    workers: float  # that work at the same time
    tries: float  # characters rendered for each that was good

    def seconds_left(self, queued: int, longest: int, in_work: Sequence[InWork] = ()) -> float:
        """Until `queued` characters, the `longest` line's among them, and the lines in work are rendered.

        The lines share the workers' slots evenly, but no line is over before its own last character.
        """
        among_others = self.shared_s + self.own_s * self.lines
        rest = [max(0.0, line.characters - line.elapsed_s / among_others) for line in in_work]
        total = queued * self.tries + sum(rest)
        span = max(longest, *rest, total / (self.workers * self.lines), 0.0)
        return self.shared_s * span + self.own_s * total / self.workers


def throughput_of(takes: Iterable[Work]) -> Throughput | None:
    """None when none of them was good."""
    by_worker: dict[str, list[Work]] = defaultdict(list)
    for take in takes:
        if take.ended > take.begun and take.characters:
            by_worker[take.worker].append(take)
    everything = [take for theirs in by_worker.values() for take in theirs]
    ended = [take for take in everything if take.good is not None]
    good = sum(take.characters for take in ended if take.good)
    if not good:
        return None
    lines_seen = [lines for theirs in by_worker.values() for lines in lines_at_once(theirs)]
    known = [(take, lines) for take, lines in zip(everything, lines_seen, strict=True) if take.good is not None]
    shared_s, own_s = fitted(known)
    busy_s = sum(covered_s((take.begun, take.ended) for take in theirs) for theirs in by_worker.values())
    return Throughput(
        shared_s=shared_s,
        own_s=own_s,
        lines=max(lines_seen),
        workers=busy_s / covered_s((take.begun, take.ended) for take in everything),
        tries=sum(take.characters for take in ended) / good,
    )


def fitted(takes: Sequence[tuple[Work, float]]) -> tuple[float, float]:
    """`shared_s` and `own_s` by least squares over (take, lines at once), weighted by characters; neither below 0.

    If all takes were rendered among about as many lines, the parts cannot be separated: all of it counts as shared.
    """
    total = sum(take.characters for take, _ in takes)
    mean_lines = sum(take.characters * lines for take, lines in takes) / total
    mean_s = sum(take.ended - take.begun for take, _ in takes) / total
    spread = sum(take.characters * (lines - mean_lines) ** 2 for take, lines in takes) / total
    if spread < SPREAD_LINES**2:
        return mean_s, 0.0
    together = sum((take.ended - take.begun) * (lines - mean_lines) for take, lines in takes) / total
    own_s = min(max(0.0, together / spread), mean_s / mean_lines)
    return mean_s - own_s * mean_lines, own_s


def lines_at_once(takes: Sequence[Work]) -> list[float]:
    """For each of a worker's takes, how many of them were in work while it was, itself included, on average."""
    moves = sorted([(take.begun, 1) for take in takes] + [(take.ended, -1) for take in takes])
    times = [at for at, _ in moves]
    counts = list(accumulate(change for _, change in moves))
    areas = [0.0, *accumulate(count * (b - a) for count, (a, b) in zip(counts, pairwise(times), strict=False))]

    def area(at: float) -> float:
        """Line-seconds up to then."""
        place = bisect_right(times, at) - 1
        return areas[place] + counts[place] * (at - times[place])

    return [(area(take.ended) - area(take.begun)) / (take.ended - take.begun) for take in takes]


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds that at least one of these spans (begin, end) covers."""
    busy, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return busy
