"""Lines that wait for the listening models: what happens when the line, the worker or the models' process ends."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.faults.conftest import QUICK, FaultHome

AWAITED = "This line is awaited."


@pytest.fixture
def listening(fault_home: FaultHome, monkeypatch: pytest.MonkeyPatch) -> FaultHome:
    """Profiles `listening` and `hears1` (one slot) listen; `go` is the file that ends the waiting."""
    (fault_home.folder / "configs" / "listening.yaml").write_text(QUICK + "listen: [words]\n")
    (fault_home.folder / "configs" / "hears1.yaml").write_text(
        QUICK.replace("slots: 16", "slots: 1") + "listen: [words]\n"
    )
    monkeypatch.setenv("READY_LISTENING_GO", str(fault_home.folder / "go"))
    monkeypatch.setenv("READY_LISTENING_LOG", str(fault_home.folder / "evaluated.log"))
    return fault_home


def go(fault_home: FaultHome) -> None:
    (fault_home.folder / "go").touch()


def evaluated(fault_home: FaultHome) -> list[list[str]]:
    """Take id and process of each take that the listening process evaluated."""
    file = fault_home.folder / "evaluated.log"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def states(fault_home: FaultHome) -> Counter[tuple[int, str]]:
    return Counter(fault_home.rows("SELECT attempt, state FROM takes"))


def test_what_is_evaluated_badly_is_rolled_again_and_what_fails_the_cheap_checks_is_never_evaluated(
    listening: FaultHome,
) -> None:
    listening.worker("listening")
    batch = listening.submit("This one is fine.", "This one is mumbled.", "This one is silent.", model="listening")
    view = listening.ended(batch)
    assert [line["state"] for line in view["lines"]] == ["done", "failed", "failed"]
    assert "80% of them differ from the text where at most 25% may (wer)" in view["lines"][1]["error"]
    (wer,) = [check for check in view["lines"][0]["qc"] if check["name"] == "wer"]
    assert (wer["ok"], wer["weight"], wer["detail"]) == (True, 4.0, {"missing": ["word"]})
    assert len(evaluated(listening)) == 1 + 3
    listening.is_whole(batch)


def test_a_line_that_waits_for_its_verdict_occupies_no_slot_and_no_more_than_the_slots_wait(
    listening: FaultHome,
) -> None:
    listening.worker("hears1")
    longest = f"{AWAITED} It is the longest, so it is the first."
    batch = listening.submit(longest, "This goes slowly.", "This goes slowly as well.", model="hears1")
    wait_until(lambda: evaluated(listening))
    listening.rendering(batch, 2)
    time.sleep(3)
    assert listening.view(batch)["counts"]["rendering"] == 2, "one is being evaluated, one has been rendered and waits"
    assert listening.view(batch)["counts"]["queued"] == 1
    go(listening)
    assert listening.ended(batch)["counts"]["done"] == 3
    listening.is_whole(batch)


def test_the_engine_rests_while_more_takes_than_it_has_slots_wait_for_verdicts(
    listening: FaultHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many lines are in flight as may be: the free slot stays empty until there is a verdict."""
    steps = listening.folder / "steps.log"
    monkeypatch.setenv("READY_STEPS", str(steps))
    (listening.folder / "configs" / "hears2.yaml").write_text(
        QUICK.replace("slots: 16", "slots: 2") + "listen: [words]\n"
    )
    listening.worker("hears2")
    batch = listening.submit(
        AWAITED,
        f"{AWAITED} So is it.",
        f"{AWAITED} And it.",
        "This goes slowly, slowly, slowly, slowly.",
        model="hears2",
    )
    listening.rendering(batch, 4)
    wait_until(lambda: steps.exists())
    time.sleep(1)
    before = steps.read_text()
    time.sleep(1)
    assert steps.read_text() == before
    assert listening.view(batch)["counts"]["rendering"] == 4
    go(listening)
    assert listening.ended(batch)["counts"]["done"] == 4
    assert len(steps.read_text()) > len(before)
    listening.is_whole(batch)


def test_the_line_of_a_worker_killed_while_it_is_evaluated_is_rendered_again(listening: FaultHome) -> None:
    worker = listening.worker("listening")
    batch = listening.submit(AWAITED, model="listening")
    ((_, listener),) = wait_until(lambda: evaluated(listening))
    worker.kill()
    wait_until(lambda: not Path(f"/proc/{listener}").exists(), timeout=10)
    go(listening)
    listening.worker("listening")
    assert listening.ended(batch)["counts"]["done"] == 1
    assert states(listening) == {(1, "crashed"): 1, (2, "done"): 1}
    assert listening.rows("SELECT crashes FROM lines") == [(1,)]
    listening.is_whole(batch)


def test_a_listener_that_is_killed_is_started_again_and_the_take_is_evaluated(listening: FaultHome) -> None:
    worker = listening.worker("listening")
    batch = listening.submit(AWAITED, "And a line beside it.", model="listening")
    wait_until(lambda: evaluated(listening))
    os.kill(int(evaluated(listening)[0][1]), signal.SIGKILL)
    wait_until(lambda: len({process for _, process in evaluated(listening)}) == 2)
    go(listening)
    assert listening.ended(batch)["counts"]["done"] == 2
    assert states(listening) == {(1, "done"): 2}
    assert worker.poll() is None
    listening.is_whole(batch)


@pytest.mark.parametrize(("word", "message"), [("deafening", "failed twice"), ("puzzling", "ValueError")])
def test_a_take_that_cannot_be_evaluated_is_neither_lost_nor_passed(
    listening: FaultHome, word: str, message: str
) -> None:
    listening.worker("listening")
    batch = listening.submit(f"This one is {word}.", "And a line beside it.", model="listening")
    view = listening.ended(batch)
    assert [line["state"] for line in view["lines"]] == ["failed", "done"]
    assert "no verdict of the listening models" in view["lines"][0]["error"]
    assert message in view["lines"][0]["error"]
    text = f"This one is {word}."
    assert listening.rows(f"SELECT trouble, troubles FROM lines WHERE text = '{text}'") == [("listen", '{"listen":2}')]
    assert Counter(listening.rows(f"SELECT state FROM takes WHERE text = '{text}'")) == {("failed",): 2}
    listening.is_whole(batch)


def test_a_line_cancelled_while_it_is_evaluated_stays_cancelled(listening: FaultHome) -> None:
    worker = listening.worker("listening")
    batch = listening.submit(AWAITED, model="listening")
    wait_until(lambda: evaluated(listening))
    listening.shell("cancel", batch)
    wait_until(lambda: states(listening) == {(1, "cancelled"): 1}, timeout=10)
    go(listening)
    second = listening.submit("The worker goes on.", model="listening", title="Second")
    assert listening.ended(second)["counts"]["done"] == 1
    assert listening.view(batch)["counts"]["cancelled"] == 1
    assert worker.poll() is None
    listening.is_whole(batch, second)


def test_sigterm_once_lets_what_is_evaluated_end_and_twice_puts_it_back(listening: FaultHome) -> None:
    worker = listening.worker("listening")
    first = listening.submit(AWAITED, model="listening")
    wait_until(lambda: evaluated(listening))
    worker.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=10) == 0
    assert listening.view(first)["counts"]["queued"] == 1
    assert states(listening) == {(1, "cancelled"): 1}
    worker = listening.worker("listening")
    wait_until(lambda: len(evaluated(listening)) == 2)
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    go(listening)
    assert worker.wait(timeout=10) == 0
    assert listening.view(first)["counts"]["done"] == 1
    listening.is_whole(first)
