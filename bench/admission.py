"""`python -m bench.admission`: what the order of a batch's tail is worth, simulated.

Workers take lines from one queue, and speak a frame of each line in a step. A step costs what all its lines share and
something for each (measured: 1.5B in bfloat16 on 2 cores), or as much as with every slot busy. Prints the efficiency:
the speed over that of slots that are always busy.
"""

from __future__ import annotations

import heapq
import random
import statistics
from collections import deque
from unittest import mock

from vvbatch.batch import admission
from vvbatch.batch.admission import WaitingLine, admission_order

SHARED_S, OWN_S = 0.105, 0.024  # of a step; the latter for each line
MEAN_FRAMES, SHORTEST_FRAMES, LONGEST_FRAMES = 58, 8, 234
CHARACTERS_A_FRAME, SPREAD = 2.05, 0.2  # a text's length says only about how long its line is
SEEDS = range(12)
TAILS = (0, 1, 2, 3, 4, 6)  # lines for each slot


def step_s(lines: int, slots: int, *, following: bool) -> float:
    return SHARED_S + OWN_S * (lines if following else slots)


def efficiency(lines: int, slots: int, workers: int, seed: int, *, following: bool) -> float:
    generator = random.Random(seed)
    drawn = [generator.expovariate(1 / MEAN_FRAMES) for _ in range(lines)]
    frames = [int(min(max(each, SHORTEST_FRAMES), LONGEST_FRAMES)) for each in drawn]
    waiting = [
        WaitingLine(
            str(number),
            "b",
            "p",
            "normal",
            round(each * CHARACTERS_A_FRAME * generator.uniform(1 - SPREAD, 1 + SPREAD)),
        )
        for number, each in enumerate(frames)
    ]
    queue = deque(frames[int(line.id)] for line in admission_order(waiting, lambda _: slots))
    speaking: list[list[int]] = [[] for _ in range(workers)]
    for _ in range(slots):  # they begin at the same time
        for theirs in speaking:
            theirs += [queue.popleft()] if queue else []
    clocks, last = [(0.0, worker) for worker in range(workers)], 0.0
    while clocks:
        now, worker = heapq.heappop(clocks)
        mine = speaking[worker]
        while queue and len(mine) < slots:
            mine.append(queue.popleft())
        if mine:
            ended = now + step_s(len(mine), slots, following=following)
            speaking[worker] = [left - 1 for left in mine if left > 1]
            last = max(last, ended)
            heapq.heappush(clocks, (ended, worker))
    return sum(frames) / (slots * workers) * step_s(slots, slots, following=following) / last


def main() -> None:
    print("shape      slots workers  lines  " + "  ".join(f"tail {tail}" for tail in TAILS))
    for following in (False, True):
        for slots, workers in ((16, 1), (32, 1), (48, 1), (16, 2)):
            for lines in (48, 100, 300):
                found = []
                for tail in TAILS:
                    with mock.patch.object(admission, "TAIL_LINES_A_SLOT", tail):
                        each = [efficiency(lines, slots, workers, seed, following=following) for seed in SEEDS]
                    found.append(statistics.mean(each))
                shape = "following" if following else "fixed"
                print(f"{shape:10} {slots:5} {workers:7} {lines:6}  " + "  ".join(f"{share:6.3f}" for share in found))


if __name__ == "__main__":
    main()
