"""The times that a profile's `patience` allows."""

from __future__ import annotations

from vvbatch.engine.contract import Request, Turn
from vvbatch.profiles import Patience
from workers.flight import step_allowed, take_allowed

PATIENCE = Patience(step_s=100, step_s_per_char=2, take_s_per_char=30)


def request(*texts: str) -> Request:
    return Request("r", tuple(Turn(0, text) for text in texts), (), seed=1, cfg_scale=1.3, steps=10)


def test_a_take_may_last_as_its_whole_text_does() -> None:
    assert take_allowed(request("One.", "Two more."), PATIENCE, 16) == 100 + 30 * 13


def test_a_step_may_last_as_the_longest_text_in_it_does_whatever_the_number_of_lines() -> None:
    lines = [request("One."), request("Seventeen letters")]
    assert step_allowed(lines, PATIENCE, 16) == step_allowed(lines[1:], PATIENCE, 4) == 100 + 2 * 17
    assert step_allowed([], PATIENCE, 16) == 100


def test_more_slots_than_usual_may_take_longer_in_proportion() -> None:
    assert step_allowed([request("One.")], PATIENCE, 48) == 3 * step_allowed([request("One.")], PATIENCE, 16)
    assert take_allowed(request("One."), PATIENCE, 32) == 2 * take_allowed(request("One."), PATIENCE, 16)
