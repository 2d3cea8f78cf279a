"""The measured speed of an engine whose steps cost what the test says, on a clock that the test moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.ledgers import FACTS
from vvbatch import profiles
from vvbatch.batch.speeds import real_time, throughput
from vvbatch.engine.contract import Chunk, EngineUnavailable, Event, Failed, Finished, Request, Voice
from vvbatch.engine.measure import FIRST, TEXT, Speed, measure

SHARED_S, OWN_S, CHECK_S = 0.5, 0.1, 0.2
SAMPLES_A_CHARACTER = 1560  # 0.065 s
VOICE = Voice("somebody", Path("somebody.wav"), "0" * 64)


class SteppedEngine:
    """A character of each line a step; a step costs SHARED_S, and OWN_S for each line."""

    facts = FACTS

    def __init__(self, slots: int, fails: bool = False) -> None:
        self.slots, self.fails = slots, fails
        self.left: dict[str, int] = {}
        self.now = 0.0
        self.cancelled: list[str] = []

    def admit(self, request: Request) -> None:
        assert len(self.left) < self.slots
        self.left[request.id] = len(request.turns[0].text)

    def step(self) -> list[Event]:
        self.now += SHARED_S + OWN_S * len(self.left)
        events: list[Event] = []
        for each in list(self.left):
            if self.fails:
                return [Failed(each, "NaN")]
            self.left[each] -= 1
            events.append(Chunk(each, np.zeros(SAMPLES_A_CHARACTER, np.float32)))
            if not self.left[each]:
                del self.left[each]
                events.append(Finished(each))
        return events

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)
        self.left.pop(request_id, None)

    def close(self) -> None:
        pass


def speed_of(engine: SteppedEngine, budget_s: float = 1e9) -> Speed:
    def check(samples: np.ndarray, text: str) -> None:
        assert len(samples) == SAMPLES_A_CHARACTER * len(text)
        assert text in (FIRST, TEXT)

    return measure(engine, profiles.load("draft"), VOICE, check, budget_s, lambda: engine.now)


def test_what_a_step_costs_and_what_each_line_adds_are_told_apart() -> None:
    speed = speed_of(SteppedEngine(slots=8))
    assert (speed.shared_s, speed.own_s) == pytest.approx((SHARED_S, OWN_S))
    assert speed.audio_s_per_character == pytest.approx(0.065)
    assert throughput(speed).seconds_left(8 * 100, 100) == pytest.approx(100 * (SHARED_S + 8 * OWN_S))
    assert real_time(speed) == pytest.approx(8 * 100 * 0.065 / throughput(speed).seconds_left(8 * 100, 100))


def test_an_engine_with_one_slot_has_only_what_it_shares() -> None:
    speed = speed_of(SteppedEngine(slots=1))
    assert (speed.shared_s, speed.own_s) == pytest.approx((SHARED_S + OWN_S, 0.0))


def test_a_slow_engine_is_measured_by_what_it_made_in_the_time() -> None:
    engine = SteppedEngine(slots=8)
    speed = speed_of(engine, budget_s=10.0)
    assert (speed.shared_s, speed.own_s) == pytest.approx((SHARED_S, OWN_S))
    assert engine.now < 40
    assert not engine.left, "its slots are free again"


def test_an_engine_that_fails_is_named_and_left_empty() -> None:
    engine = SteppedEngine(slots=2, fails=True)
    with pytest.raises(EngineUnavailable, match=r"gave no audio for 'Hello\.': NaN"):
        speed_of(engine)
    assert not engine.left
