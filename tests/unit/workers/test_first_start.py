"""A worker's first start measures its speed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledgers import add_batch, open_ledger, render
from tests.unit.engine.test_measure import SteppedEngine
from vvbatch import profiles
from vvbatch.batch.speeds import known_speed
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.voices import Library
from workers.first_start import measure_first


@pytest.fixture
def here(tmp_path: Path) -> tuple[Home, Ledger]:
    return Home(tmp_path / "home"), open_ledger(tmp_path)


def test_a_speed_that_nobody_knows_is_measured_once(here: tuple[Home, Ledger]) -> None:
    home, ledger = here
    engine = SteppedEngine(slots=2)
    measure_first(profiles.load("draft"), engine, home, ledger)
    assert known_speed(home, "draft") is not None
    steps = engine.now
    measure_first(profiles.load("draft"), engine, home, ledger)
    assert engine.now == steps


def test_a_speed_of_another_engine_is_measured_again(here: tuple[Home, Ledger]) -> None:
    home, ledger = here
    measure_first(profiles.load("draft"), SteppedEngine(slots=2), home, ledger)
    measure_first(profiles.load("draft"), SteppedEngine(slots=4), home, ledger)
    known = known_speed(home, "draft")
    assert known is not None and known.slots == 4


def test_without_a_voice_a_worker_starts_all_the_same(
    here: tuple[Home, Ledger], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home, ledger = here
    monkeypatch.setattr(Library, "of", lambda _home: Library([]))
    measure_first(profiles.load("draft"), SteppedEngine(slots=2), home, ledger)
    assert "its speed is not measured: unknown voice" in caplog.text


def test_nothing_is_measured_while_lines_wait_or_when_the_ledger_has_takes(here: tuple[Home, Ledger]) -> None:
    home, ledger = here
    engine = SteppedEngine(slots=2)
    add_batch(ledger, "b", ["One."])
    measure_first(profiles.load("draft"), engine, home, ledger)
    render(ledger, "b", 1)
    measure_first(profiles.load("draft"), engine, home, ledger)
    assert engine.now == 0
    assert known_speed(home, "draft") is None


def test_an_engine_that_fails_starts_all_the_same(here: tuple[Home, Ledger], caplog: pytest.LogCaptureFixture) -> None:
    home, ledger = here
    measure_first(profiles.load("draft"), SteppedEngine(slots=2, fails=True), home, ledger)
    assert "its speed is not measured: the engine gave no audio" in caplog.text
    assert known_speed(home, "draft") is None
