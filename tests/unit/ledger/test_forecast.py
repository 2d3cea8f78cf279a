"""How long lines will take: by example, and in a simulated worker whose step costs the same or follows its lines."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import given

from vvbatch.ledger.forecast import InWork, Throughput, Work, covered_s, lines_at_once, throughput_of

FRAME_CHARACTERS = 2.05
FIXED = (0.489, 0.0)
FOLLOWING = (0.105, 0.024)
"""Seconds of a step: what all its lines share, and for each of them (1.5B in bfloat16 on 2 cores, 16 slots)."""


def test_takes_one_after_the_other_share_nothing() -> None:
    found = throughput_of([Work("w", 0, 10, 100, True), Work("w", 20, 30, 100, True)])
    assert found == Throughput(shared_s=0.1, own_s=0.0, lines=1.0, workers=1.0, tries=1.0)
    assert found.seconds_left(350, 200) == pytest.approx(35)


def test_a_long_line_is_not_over_before_its_own_end() -> None:
    found = Throughput(shared_s=0.1, own_s=0.0, lines=16, workers=1, tries=1)
    assert found.seconds_left(1600, 100) == pytest.approx(10)
    assert found.seconds_left(1600, 900) == pytest.approx(90)


def test_lines_in_work_have_what_is_left_of_them() -> None:
    found = Throughput(shared_s=0.1, own_s=0.0, lines=16, workers=1, tries=1)
    assert found.seconds_left(0, 0, [InWork(100, 4.0), InWork(50, 1.0)]) == pytest.approx(6)
    assert found.seconds_left(0, 0, [InWork(100, 40.0)]) == 0


def test_few_lines_are_faster_where_a_step_follows_its_lines() -> None:
    found = Throughput(shared_s=0.01, own_s=0.01, lines=16, workers=1, tries=1)
    assert found.seconds_left(100, 100) == pytest.approx(2)
    assert found.seconds_left(1600, 100) == pytest.approx(17)


def test_failed_takes_are_expected_to_fail_again_at_the_same_rate() -> None:
    works = [Work("w", 0, 10, 100, True), Work("w", 10, 20, 100, False)]
    found = throughput_of(works)
    assert found is not None and found.seconds_left(100, 100) == pytest.approx(20)
    assert throughput_of([works[1]]) is None


def test_workers_that_work_at_the_same_time_share_the_lines() -> None:
    works = [Work(name, 0, 10, 100, True) for name in ("a", "b")]
    found = throughput_of(works)
    assert found is not None and (found.workers, found.lines) == (2, 1)
    assert found.seconds_left(400, 100) == pytest.approx(20)
    restarted = throughput_of([works[0], works[1]._replace(begun=20, ended=30)])
    assert restarted is not None and restarted.workers == 1


def test_a_line_in_work_counts_as_company() -> None:
    works = [Work("w", 0, 10, 100, True), *[Work("w", 0, 10, 400, None)] * 3]
    assert lines_at_once(works) == [4] * 4
    found = throughput_of(works)
    assert found is not None and found.lines == 4


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 100)), min_size=1, max_size=30))
def test_lines_at_once_fill_the_time_in_work(spans: list[tuple[float, float]]) -> None:
    works = [Work("w", begin, begin + long, 10, True) for begin, long in spans]
    company = lines_at_once(works)
    assert all(1 - 1e-6 <= lines <= len(works) + 1e-6 for lines in company)
    assert covered_s((take.begun, take.ended) for take in works) <= sum(long for _, long in spans) + 1e-6


@dataclass
class Worker:
    """Steps cost `shared` seconds and `own` for each line; a line speaks a frame a step, and is known by its text."""

    shared: float
    own: float
    slots: int
    queue: deque[tuple[int, int]]  # frames, characters
    now: float = 0.0
    speaking: list[tuple[int, int, float]] = field(default_factory=list)  # frames left, characters, begun
    ended: list[Work] = field(default_factory=list)

    def step(self) -> None:
        while self.queue and len(self.speaking) < self.slots:
            self.speaking.append((*self.queue.popleft(), self.now))
        self.now += self.shared + self.own * len(self.speaking)
        lines = [(frames - 1, characters, begun) for frames, characters, begun in self.speaking]
        self.ended += [Work("w", begun, self.now, size, True) for frames, size, begun in lines if not frames]
        self.speaking = [line for line in lines if line[0]]

    def forecast(self) -> float | None:
        works = [*self.ended, *(Work("w", begun, self.now, size, None) for _, size, begun in self.speaking)]
        found = throughput_of(works[-200:])
        sizes = [size for _, size in self.queue]
        in_work = [InWork(size, self.now - begun) for _, size, begun in self.speaking]
        return found.seconds_left(sum(sizes), max(sizes, default=0), in_work) if found else None


@pytest.mark.parametrize("cost", [FIXED, FOLLOWING], ids=["fixed", "following"])
@pytest.mark.parametrize("lines", [48, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", range(4))
def test_the_forecast_is_near_from_the_first_takes_to_the_last_line(
    cost: tuple[float, float], lines: int, seed: int
) -> None:
    """Never off by more than 0.4 of the whole time. The characters over the time so far are off by four times it."""
    generator = random.Random(seed)
    frames = [min(234, 8 + int(generator.expovariate(1 / 50))) for _ in range(lines)]
    drawn = [(each, max(1, round(each * FRAME_CHARACTERS * generator.uniform(0.85, 1.15)))) for each in frames]
    drawn[4 * -16 :] = sorted(drawn[4 * -16 :], key=lambda line: -line[1])  # as they are admitted
    worker, forecasts = Worker(*cost, 16, deque(drawn)), list[tuple[float, float]]()
    while worker.queue or worker.speaking:
        worker.step()
        if len(worker.ended) >= 3 and (left := worker.forecast()) is not None:
            forecasts.append((worker.now, left))
    assert max(abs(at + left - worker.now) for at, left in forecasts) < 0.4 * worker.now
