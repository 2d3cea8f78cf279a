"""The job of a line, driven by hand: what it asks for, and what it leaves in the ledger however it ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from jobs import paces
from jobs.paces import Paces
from jobs.render import Cancelled, Context, Ended, Hearing, Lost, NotHeard, PutBack, TimedOut, render_line
from tests.conftest import READY_PROFILE
from tests.support.ledgers import FACTS
from tests.support.ready import speechlike
from vvbatch import profiles
from vvbatch.batch.held_takes import Pending
from vvbatch.batch.plan import Wishes, make_plan
from vvbatch.engine.contract import Request, Voice
from vvbatch.ledger import Ledger, NewBatch
from vvbatch.ledger.schema import lines
from vvbatch.qc.check import Check, at_most
from vvbatch.qc.pace import Pace
from vvbatch.script import parse
from vvbatch.take import Audio, EngineFailed

Answer = Any
"""An Audio, a list of checks, or an exception to throw."""


@pytest.fixture
def night(home: Path, tmp_path: Path) -> Iterator[Night]:
    (tmp_path / "configs" / "hears.yaml").write_text(READY_PROFILE + "listen: [words]\n")
    profiles.load.cache_clear()
    yield Night(tmp_path)
    profiles.load.cache_clear()


class Voices:
    def __init__(self, path: Path) -> None:
        path.write_bytes(b"a voice")
        import hashlib

        self.voice = Voice("default", path, hashlib.sha256(b"a voice").hexdigest())

    def resolve(self, name: str) -> Voice:
        return replace(self.voice, name=name)


class Night:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite3'}")
        self.pending = Pending(folder / "pending")
        self.pending.folder.mkdir()
        self.paces = Paces()

    def submit(self, model: str = "ready", **wishes: Any) -> None:
        script = self.folder / "s.txt"
        script.write_text("The lamp went out at midnight.\n")
        plan = make_plan(parse(script), Voices(self.folder / "voice.wav"), Wishes(model, **wishes))
        batch = NewBatch("b", "t", "s", "f", None, "normal", str(self.folder / "out"))
        self.ledger.add_batch(batch, plan.lines)

    def render(self, *answers: Callable[[Request | Hearing], Answer] | Answer) -> Ended:
        """The line's end, after it was given these for what it asked for, one after the other."""
        wishes = []
        rendering = render_line("b-00001", Context(self.ledger, "w", self.model(), FACTS, self.pending, self.paces))
        try:
            wishes.append(next(rendering))
            for answer in answers:
                given = answer(wishes[-1]) if callable(answer) else answer
                went_on = rendering.throw(given) if isinstance(given, Exception) else rendering.send(given)
                wishes.append(went_on)
        except StopIteration as stopped:
            assert isinstance(stopped.value, Ended)
            return stopped.value
        raise AssertionError(f"it still asks for {wishes[-1]}")

    def model(self) -> str:
        return str(self.rows("SELECT model FROM lines")[0][0])

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "ledger.sqlite3")) as connection:
            return connection.execute(query).fetchall()

    def states(self) -> list[str]:
        return [state for (state,) in self.rows("SELECT state FROM takes ORDER BY attempt")]


def good(request: Request) -> Audio:
    return Audio([speechlike(request)], 0.1, 0.1)


def silent(request: Request) -> Audio:
    return Audio([np.zeros(48_000, np.float32)], 0.1, 0.1)


def nothing(request: Request) -> Audio:
    return Audio([], 0.1, None)


HEARD = [at_most("wer", 0.0, 0.25)]
MISHEARD = [at_most("wer", 0.5, 0.25)]


def heard_as(wer: float) -> list[Check]:
    return [at_most("wer", wer, 0.25)]


def test_a_claim_begins_the_first_take_in_its_own_transaction(night: Night) -> None:
    night.submit()
    assert night.render(good).how == "done"
    assert night.rows("SELECT attempt, state, chosen IS NOT NULL FROM takes") == [(1, "done", 1)]
    assert night.rows("SELECT tried FROM lines") == [(None,)]


@pytest.mark.parametrize(
    ("error", "how", "states"),
    [
        (Cancelled(), "cancelled", ["cancelled"] * 3),
        (PutBack(), "queued", ["cancelled"] * 3),
        (Lost(), "lost", ["superseded"] * 3),
    ],
)
def test_good_takes_are_ended_with_their_line(night: Night, error: Exception, how: str, states: list[str]) -> None:
    """Two are good, the third is being rendered."""
    night.submit(takes=3)
    assert night.render(good, good, error).how == how
    assert night.states() == states


@pytest.mark.parametrize("error", [TimedOut("late"), EngineFailed("NaN", 0.1), NotHeard("deaf")])
def test_trouble_with_a_later_take_does_not_cost_the_good_one(night: Night, error: Exception) -> None:
    night.submit(takes=2)
    answers = [good, error] if not isinstance(error, EngineFailed) else [good, error, error, error]
    assert night.render(*answers).how == "done"
    assert night.states() == ["done"] + ["failed"] * (len(answers) - 1)
    assert night.rows("SELECT chosen FROM takes WHERE state = 'done'")[0][0].startswith("the only one of ")


def test_a_take_is_heard_after_the_cheap_checks_only_and_scored_by_both(night: Night) -> None:
    night.submit("hears", takes=2)
    assert night.render(silent, good, heard_as(0.2), good, heard_as(0.0)).how == "done"
    assert night.states() == ["failed_qc", "superseded", "done"]
    assert night.rows("SELECT count(*), sum(weight) FROM qc_results WHERE name = 'wer'") == [(2, 8.0)]


def test_what_is_heard_has_its_text_its_samples_and_the_voice_of_a_single_speaker(night: Night) -> None:
    night.submit("hears")

    def look(wish: Request | Hearing) -> Answer:
        assert isinstance(wish, Hearing)
        assert (wish.text, wish.voice) == ("The lamp went out at midnight.", night.folder / "voice.wav")
        assert wish.samples.dtype == np.float32
        return HEARD

    assert night.render(good, look).how == "done"


def test_a_take_that_nobody_could_hear_is_tried_again_with_the_same_seed(night: Night) -> None:
    night.submit("hears")
    assert night.render(good, NotHeard("not heard: lost twice")) == Ended("queued", "listen")
    assert night.render(good, HEARD).how == "done"
    assert len(set(night.rows("SELECT seed FROM takes"))) == 1


def test_takes_that_sound_bad_use_up_their_seeds_and_a_retry_goes_on_after_them(night: Night) -> None:
    night.submit("hears")
    assert night.render(good, MISHEARD, silent, good, MISHEARD) == Ended("failed", "qc")
    assert night.rows("SELECT rolls FROM lines") == [(3,)]
    assert night.ledger.retry("b") == 1
    assert night.render(good, HEARD).how == "done"
    assert len(set(night.rows("SELECT seed FROM takes"))) == 4


def test_an_engine_that_gave_nothing_is_asked_again_with_another_seed(night: Night) -> None:
    night.submit()
    assert night.render(nothing) == Ended("queued", "engine")
    assert night.render(EngineFailed("NaN", 0.1)) == Ended("failed", "engine")
    assert len(set(night.rows("SELECT seed FROM takes"))) == 2
    (tried,) = night.rows("SELECT json_array_length(tried) FROM lines")[0]
    assert tried == 2


def test_an_escalated_line_is_the_other_profiles_from_then_on(night: Night) -> None:
    night.submit(escalate="hears", takes=1)
    before = night.rows("SELECT key, control_hash FROM lines")
    assert night.render(silent, silent, silent) == Ended("queued", "qc")
    assert night.rows("SELECT model, state, escalate, troubles, rolls FROM lines") == [
        ("hears", "queued", None, None, 0)
    ]
    assert night.rows("SELECT key, control_hash FROM lines") == before, "the profiles differ in what they listen for"
    assert night.render(good, HEARD).how == "done"
    assert night.rows("SELECT profile, attempt FROM takes ORDER BY attempt")[-1] == ("hears", 4)


def test_kept_audio_goes_again_when_the_line_was_lost_meanwhile(night: Night) -> None:
    night.submit(takes=2, keep_takes=True)

    def cancelled_meanwhile(request: Request) -> Audio:
        night.ledger.cancel("b")
        return good(request)

    assert night.render(good, cancelled_meanwhile).how == "lost"
    assert list((night.folder / "out").rglob("*.wav")) == []
    assert night.states() == ["superseded", "superseded"]
    assert night.rows("SELECT count(*) FROM takes WHERE path IS NOT NULL") == [(0,)]


def test_an_output_folder_that_takes_nothing_leaves_no_take_and_no_attempt(night: Night) -> None:
    night.submit()
    (night.folder / "out").write_text("a file")
    assert night.render() == Ended("queued", "resource")
    assert night.states() == []
    assert night.rows("SELECT attempt FROM lines") == [(0,)]


def test_a_take_that_is_spoken_much_slower_than_the_others_of_its_batch_is_rolled_again(night: Night) -> None:
    night.submit()
    with night.ledger.engine.connect() as connection:
        voices = connection.execute(select(lines.c.request)).scalar_one()["voices"]
    key = ("b", "ready", f"{voices[0]['sha256']} {voices[0]['rate']}")
    night.paces.known[key] = Pace([-1.35 + 0.01 * n for n in range(10)])
    assert night.render(slow, good).how == "done"
    assert night.states() == ["failed_qc", "done"]
    assert night.rows("SELECT error LIKE 'pace %' FROM takes WHERE attempt = 1") == [(1,)]
    assert len(night.paces.known[key].logs) == 11, "only what was kept counts"


def slow(request: Request) -> Audio:
    return Audio([speechlike(replace(request, turns=request.turns * 2))], 0.1, 0.1)


def test_paces_are_kept_of_so_many_batches_and_takes_only(night: Night) -> None:
    night.submit()
    claim = night.ledger.claim("b-00001", "w", model="ready")
    for number in range(paces.VOICES_KNOWN + 10):
        night.paces.add(replace(claim, batch_id=f"b{number}"), 2.0)
    for _ in range(paces.TAKES_KNOWN + 10):
        night.paces.add(claim, 2.0)
    assert len(night.paces.known) == paces.VOICES_KNOWN
    assert len(night.paces.of(claim).logs) == paces.TAKES_KNOWN
    assert night.paces.check(claim, None, 5.0) == []
