"""The job of a line, driven by the test: what it requests, and what is in the ledger after each way to end."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from jobs import takes
from jobs.render import Cancelled, ClaimLost, Context, Ended, ListenRequest, NoVerdict, PutBack, TimedOut, render_line
from jobs.takes import EngineFailed, Paces, Rendered
from tests.conftest import READY_PROFILE
from tests.support.ledgers import FACTS
from tests.support.ready import speechlike
from vvbatch import profiles, store
from vvbatch.batch.held_takes import Pending
from vvbatch.batch.plan import Overrides, make_plan
from vvbatch.engine.contract import Request, Voice
from vvbatch.ledger import Ledger, NewBatch
from vvbatch.ledger.batches import cancel_lines, record_batch, retry_lines
from vvbatch.ledger.schema import lines
from vvbatch.ledger.states import LineState, Trouble
from vvbatch.qc.check import Check, at_most
from vvbatch.qc.pace import Pace
from vvbatch.script import parse

Given = Any
"""A Rendered, a list of checks, or an exception to throw."""


@pytest.fixture
def night(home: Path, tmp_path: Path) -> Iterator[Night]:
    (tmp_path / "configs" / "listens.yaml").write_text(READY_PROFILE + "listen: [words]\n")
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

    def submit(self, model: str = "ready", **overrides: Any) -> None:
        script = self.folder / "s.txt"
        script.write_text("The lamp went out at midnight.\n")
        plan = make_plan(parse(script), Voices(self.folder / "voice.wav"), Overrides(model, **overrides))
        batch = NewBatch("b", "t", "s", "f", None, "normal", str(self.folder / "out"))
        record_batch(self.ledger, batch, plan.lines)

    def render(self, *answers: Callable[[Request | ListenRequest], Given] | Given) -> Ended:
        """How the line ends when its requests get these answers, in order."""
        requests = []
        rendering = render_line("b-00001", Context(self.ledger, "w", self.model(), FACTS, self.pending, self.paces))
        try:
            requests.append(next(rendering))
            for answer in answers:
                given = answer(requests[-1]) if callable(answer) else answer
                wanted = rendering.throw(given) if isinstance(given, Exception) else rendering.send(given)
                requests.append(wanted)
        except StopIteration as stopped:
            assert isinstance(stopped.value, Ended)
            return stopped.value
        raise AssertionError(f"it still waits for {requests[-1]}")

    def model(self) -> str:
        return str(self.rows("SELECT model FROM lines")[0][0])

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "ledger.sqlite3")) as connection:
            return connection.execute(query).fetchall()

    def states(self) -> list[str]:
        return [state for (state,) in self.rows("SELECT state FROM takes ORDER BY attempt")]


def good(request: Request) -> Rendered:
    return Rendered([speechlike(request)], 0.1, 0.1)


def silent(request: Request) -> Rendered:
    return Rendered([np.zeros(48_000, np.float32)], 0.1, 0.1)


def nothing(request: Request) -> Rendered:
    return Rendered([], 0.1, None)


GOOD_WER = [at_most("wer", 0.0, 0.25)]
BAD_WER = [at_most("wer", 0.5, 0.25)]


def verdict(wer: float) -> list[Check]:
    return [at_most("wer", wer, 0.25)]


def test_a_claim_opens_the_first_take_in_the_same_transaction(night: Night) -> None:
    night.submit()
    assert night.render(good).how == "done"
    assert night.rows("SELECT attempt, state, chosen IS NOT NULL FROM takes") == [(1, "done", 1)]
    assert night.rows("SELECT tried FROM lines") == [(None,)]


@pytest.mark.parametrize(
    ("error", "how", "states"),
    [
        (Cancelled(), "cancelled", ["cancelled"] * 3),
        (PutBack(), "queued", ["cancelled"] * 3),
        (ClaimLost(), "lost", ["superseded"] * 3),
    ],
)
def test_good_takes_end_with_their_line(night: Night, error: Exception, how: str, states: list[str]) -> None:
    """Two are good, the third is being rendered."""
    night.submit(takes=3)
    assert night.render(good, good, error).how == how
    assert night.states() == states


@pytest.mark.parametrize("error", [TimedOut("late"), EngineFailed("NaN", 0.1), NoVerdict("lost twice")])
def test_trouble_with_a_later_take_does_not_discard_the_good_one(night: Night, error: Exception) -> None:
    night.submit(takes=2)
    answers = [good, error] if not isinstance(error, EngineFailed) else [good, error, error, error]
    assert night.render(*answers).how == "done"
    assert night.states() == ["done"] + ["failed"] * (len(answers) - 1)
    assert night.rows("SELECT chosen FROM takes WHERE state = 'done'")[0][0].startswith("the only one of ")


def test_only_a_take_that_passed_the_other_checks_is_listened_to_and_both_kinds_count_in_its_score(
    night: Night,
) -> None:
    night.submit("listens", takes=2)
    assert night.render(silent, good, verdict(0.2), good, verdict(0.0)).how == "done"
    assert night.states() == ["failed_qc", "superseded", "done"]
    assert night.rows("SELECT count(*), sum(weight) FROM qc_results WHERE name = 'wer'") == [(2, 8.0)]


def test_a_listen_request_has_the_text_the_samples_and_the_voice_of_a_single_speaker(night: Night) -> None:
    night.submit("listens")

    def look(request: Request | ListenRequest) -> Given:
        assert isinstance(request, ListenRequest)
        assert (request.text, request.voice) == ("The lamp went out at midnight.", night.folder / "voice.wav")
        assert request.samples.dtype == np.float32
        return GOOD_WER

    assert night.render(good, look).how == "done"


def test_a_take_without_a_verdict_is_tried_again_with_the_same_seed(night: Night) -> None:
    night.submit("listens")
    assert night.render(good, NoVerdict("lost twice")) == Ended(LineState.QUEUED, Trouble.LISTEN)
    assert night.render(good, GOOD_WER).how == "done"
    assert len(set(night.rows("SELECT seed FROM takes"))) == 1


def test_takes_that_fail_their_checks_use_up_their_seeds_also_for_a_retry(night: Night) -> None:
    night.submit("listens")
    assert night.render(good, BAD_WER, silent, good, BAD_WER) == Ended(LineState.FAILED, Trouble.QC)
    assert night.rows("SELECT rolls FROM lines") == [(3,)]
    assert retry_lines(night.ledger, "b") == 1
    assert night.render(good, GOOD_WER).how == "done"
    assert len(set(night.rows("SELECT seed FROM takes"))) == 4


def test_a_seed_that_failed_its_checks_is_not_used_again_after_a_timeout(night: Night) -> None:
    night.submit()
    assert night.render(silent, TimedOut("late")) == Ended(LineState.QUEUED, Trouble.TIMEOUT)
    assert night.rows("SELECT rolls FROM lines") == [(1,)]
    assert night.render(good).how == "done"
    failed, late, kept = night.rows("SELECT seed FROM takes ORDER BY attempt")
    assert failed != late == kept, "a late take may be good: its seed is used again"


def test_a_seed_that_failed_its_checks_is_not_used_again_after_the_models_gave_no_verdict(night: Night) -> None:
    night.submit("listens")
    assert night.render(good, BAD_WER, good, NoVerdict("lost twice")) == Ended(LineState.QUEUED, Trouble.LISTEN)
    assert night.render(good, GOOD_WER).how == "done"
    failed, unknown, kept = night.rows("SELECT seed FROM takes ORDER BY attempt")
    assert failed != unknown == kept


def test_a_seed_that_failed_its_checks_is_not_used_again_after_the_worker_stopped(night: Night) -> None:
    night.submit()
    assert night.render(silent, PutBack()).how == "queued"
    assert night.render(good).how == "done"
    failed, stopped, kept = night.rows("SELECT seed FROM takes ORDER BY attempt")
    assert failed != stopped == kept


def test_a_seed_that_failed_its_checks_is_not_used_again_after_its_folder_took_no_file(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.submit()

    def full(*_: object) -> store.Staged:
        raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as patched:
        patched.setattr(store, "stage", full)
        assert night.render(silent, good) == Ended(LineState.QUEUED, Trouble.RESOURCE)
    assert night.render(good).how == "done"
    failed, unwritten, kept = night.rows("SELECT seed FROM takes ORDER BY attempt")
    assert failed != unwritten == kept


def test_a_line_without_audio_is_rendered_again_with_another_seed(night: Night) -> None:
    night.submit()
    assert night.render(nothing) == Ended(LineState.QUEUED, Trouble.ENGINE)
    assert night.render(EngineFailed("NaN", 0.1)) == Ended(LineState.FAILED, Trouble.ENGINE)
    assert len(set(night.rows("SELECT seed FROM takes"))) == 2
    (tried,) = night.rows("SELECT json_array_length(tried) FROM lines")[0]
    assert tried == 2


def test_an_escalated_line_belongs_to_the_other_profile(night: Night) -> None:
    night.submit(escalate="listens", takes=1)
    before = night.rows("SELECT key, control_hash FROM lines")
    assert night.render(silent, silent, silent) == Ended(LineState.QUEUED, Trouble.QC)
    assert night.rows("SELECT model, state, escalate, troubles, rolls FROM lines") == [
        ("listens", "queued", None, None, 0)
    ]
    assert night.rows("SELECT key, control_hash FROM lines") == before, "they differ only in listening"
    assert night.render(good, GOOD_WER).how == "done"
    assert night.rows("SELECT profile, attempt FROM takes ORDER BY attempt")[-1] == ("listens", 4)


def test_kept_audio_is_removed_when_the_line_was_lost_meanwhile(night: Night) -> None:
    night.submit(takes=2, keep_takes=True)

    def cancelled_meanwhile(request: Request) -> Rendered:
        cancel_lines(night.ledger, "b")
        return good(request)

    assert night.render(good, cancelled_meanwhile).how == "lost"
    assert list((night.folder / "out").rglob("*.wav")) == []
    assert night.states() == ["superseded", "superseded"]
    assert night.rows("SELECT count(*) FROM takes WHERE path IS NOT NULL") == [(0,)]


def test_an_output_folder_that_takes_no_file_leaves_no_take_and_no_attempt(night: Night) -> None:
    night.submit()
    (night.folder / "out").write_text("a file")
    assert night.render() == Ended(LineState.QUEUED, Trouble.RESOURCE)
    assert night.states() == []
    assert night.rows("SELECT attempt FROM lines") == [(0,)]


def test_a_take_much_slower_than_the_others_of_its_batch_is_rendered_again_with_another_seed(night: Night) -> None:
    night.submit()
    with night.ledger.engine.connect() as connection:
        voices = connection.execute(select(lines.c.request)).scalar_one()["voices"]
    key = ("b", "ready", f"{voices[0]['sha256']} {voices[0]['rate']}")
    night.paces.known[key] = Pace([-1.35 + 0.01 * n for n in range(10)])
    assert night.render(slow, good).how == "done"
    assert night.states() == ["failed_qc", "done"]
    assert night.rows("SELECT error LIKE '%(pace)' FROM takes WHERE attempt = 1") == [(1,)]
    assert len(night.paces.known[key].logs) == 11, "only kept takes count"


def slow(request: Request) -> Rendered:
    return Rendered([speechlike(replace(request, turns=request.turns * 2))], 0.1, 0.1)


def test_paces_are_kept_for_a_limited_number_of_batches_and_takes(night: Night) -> None:
    night.submit()
    claim = night.ledger.claim("b-00001", "w", profile="ready")
    for number in range(takes.VOICES_KNOWN + 10):
        night.paces.add(replace(claim, batch_id=f"b{number}"), 2.0)
    for _ in range(takes.TAKES_KNOWN + 10):
        night.paces.add(claim, 2.0)
    assert len(night.paces.known) == takes.VOICES_KNOWN
    assert len(night.paces.of(claim).logs) == takes.TAKES_KNOWN
    assert night.paces.check(claim, None, 5.0) == []
