"""What a plan will cost, by the takes that the ledger has of its profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledgers import Clock, add_batch, begin, good, open_ledger, planned, render
from vvbatch.batch.estimate import ModelEstimate, estimate
from vvbatch.batch.plan import Plan
from vvbatch.ledger import Ledger
from vvbatch.script.model import SECONDS_PER_CHARACTER


def of_lines(ledger: Ledger, *characters: int) -> ModelEstimate:
    lines = tuple(planned(number, "x" * size, "new") for number, size in enumerate(characters, start=1))
    (found,) = estimate(Plan("t", "s.yaml", None, lines), ledger).models
    return found


def side_by_side(ledger: Ledger, clock: Clock, batch: str, count: int, took_s: float) -> None:
    """So many lines of 100 characters and 8 s at once."""
    add_batch(ledger, batch, ["x" * 100] * count)
    opened = [begin(ledger, batch, number) for number in range(1, count + 1)]
    clock.advance(took_s)
    for claim, take in opened:
        ledger.keep_take(claim, take, good(wall_s=took_s, duration_s=8.0), lambda: None)


def test_without_a_take_of_the_profile_only_the_audio_is_estimated(tmp_path: Path) -> None:
    found = of_lines(open_ledger(tmp_path), 100, 300)
    assert (found.lines, found.audio_s) == (2, round(400 * SECONDS_PER_CHARACTER, 1))
    assert (found.speed, found.wall_s) == (None, None)


def test_takes_one_after_the_other_give_their_own_pace(tmp_path: Path) -> None:
    clock = Clock()
    ledger = open_ledger(tmp_path, clock)
    add_batch(ledger, "old", ["x" * 100] * 2)
    for number in (1, 2):
        render(ledger, "old", number, clock, took_s=10.0, duration_s=8.0)
    found = of_lines(ledger, 300, 100)
    assert (found.audio_s, found.wall_s, found.speed) == (32.0, 40.0, 0.8)


def test_few_lines_and_many_have_the_speeds_of_few_and_many(tmp_path: Path) -> None:
    """A step costs 2 for its lines and 1 for each: three lines took 5 s, one alone 3 s."""
    clock = Clock()
    ledger = open_ledger(tmp_path, clock)
    side_by_side(ledger, clock, "three", 3, 5.0)
    side_by_side(ledger, clock, "one", 1, 3.0)
    assert of_lines(ledger, 100).wall_s == 3.0
    assert of_lines(ledger, 100, 100, 100).wall_s == 5.0
    many = of_lines(ledger, *[100] * 30)
    assert (many.audio_s, many.wall_s, many.speed) == (240.0, 50.0, 4.8)


def test_one_long_line_keeps_a_batch_from_its_end(tmp_path: Path) -> None:
    clock = Clock()
    ledger = open_ledger(tmp_path, clock)
    side_by_side(ledger, clock, "three", 3, 5.0)
    assert of_lines(ledger, *[10] * 30).wall_s == pytest.approx(5.0)
    assert of_lines(ledger, *[10] * 30, 900).wall_s == pytest.approx(45.0)
