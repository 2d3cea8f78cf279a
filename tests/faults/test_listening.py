"""A line that waits to be heard is in its worker's hands: what happens to either of them meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.faults.conftest import QUICK, Night

AWAITED = "This line is awaited."


@pytest.fixture
def hears(night: Night, monkeypatch: pytest.MonkeyPatch) -> Night:
    """Profiles `hears` and `hears1` (one slot) listen; `go` is the file that ends the waiting."""
    (night.folder / "configs" / "hears.yaml").write_text(QUICK + "listen: [words]\n")
    (night.folder / "configs" / "hears1.yaml").write_text(QUICK.replace("slots: 16", "slots: 1") + "listen: [words]\n")
    monkeypatch.setenv("READY_EARS_GO", str(night.folder / "go"))
    monkeypatch.setenv("READY_EARS_LOG", str(night.folder / "heard.log"))
    return night


def go(night: Night) -> None:
    (night.folder / "go").touch()


def heard(night: Night) -> list[list[str]]:
    """Take id and listener's process of each take that was heard."""
    file = night.folder / "heard.log"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def states(night: Night) -> Counter[tuple[int, str]]:
    return Counter(night.rows("SELECT attempt, state FROM takes"))


def test_what_is_heard_badly_is_rolled_again_and_what_fails_the_cheap_checks_is_never_heard(hears: Night) -> None:
    hears.worker("hears")
    batch = hears.submit("This one is fine.", "This one is mumbled.", "This one is silent.", model="hears")
    view = hears.ended(batch)
    assert [line["state"] for line in view["lines"]] == ["done", "failed", "failed"]
    assert "wer 0.8 (limit 0.25)" in view["lines"][1]["error"]
    (wer,) = [check for check in view["lines"][0]["qc"] if check["name"] == "wer"]
    assert (wer["ok"], wer["weight"], wer["detail"]) == (True, 4.0, {"missing": ["word"]})
    assert len(heard(hears)) == 1 + 3
    hears.is_whole(batch)


def test_a_line_that_waits_to_be_heard_occupies_no_slot_and_no_more_than_the_slots_wait(hears: Night) -> None:
    hears.worker("hears1")
    batch = hears.submit(AWAITED, "This goes slowly.", "This goes slowly as well.", model="hears1")
    wait_until(lambda: heard(hears))
    hears.rendering(batch, 2)
    time.sleep(3)
    assert hears.view(batch)["counts"]["rendering"] == 2, "one is heard, one has been rendered and waits for its turn"
    assert hears.view(batch)["counts"]["queued"] == 1
    go(hears)
    assert hears.ended(batch)["counts"]["done"] == 3
    hears.is_whole(batch)


def test_the_engine_rests_while_more_takes_than_it_has_slots_wait_to_be_heard(
    hears: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener would not get on beside it, and a step for the few lines left costs as much as one for all."""
    steps = hears.folder / "steps.log"
    monkeypatch.setenv("READY_STEPS", str(steps))
    (hears.folder / "configs" / "hears2.yaml").write_text(QUICK.replace("slots: 16", "slots: 2") + "listen: [words]\n")
    hears.worker("hears2")
    batch = hears.submit(
        AWAITED,
        f"{AWAITED} So is it.",
        f"{AWAITED} And it.",
        "This goes slowly, slowly, slowly, slowly.",
        model="hears2",
    )
    hears.rendering(batch, 4)
    wait_until(lambda: steps.exists())
    time.sleep(1)
    before = steps.read_text()
    time.sleep(1)
    assert steps.read_text() == before
    assert hears.view(batch)["counts"]["rendering"] == 4
    go(hears)
    assert hears.ended(batch)["counts"]["done"] == 4
    assert len(steps.read_text()) > len(before)
    hears.is_whole(batch)


def test_the_line_of_a_worker_killed_while_it_is_heard_is_rendered_again(hears: Night) -> None:
    worker = hears.worker("hears")
    batch = hears.submit(AWAITED, model="hears")
    ((_, listener),) = wait_until(lambda: heard(hears))
    worker.kill()
    wait_until(lambda: not Path(f"/proc/{listener}").exists(), timeout=10)
    go(hears)
    hears.worker("hears")
    assert hears.ended(batch)["counts"]["done"] == 1
    assert states(hears) == {(1, "crashed"): 1, (2, "done"): 1}
    assert hears.rows("SELECT crashes FROM lines") == [(1,)]
    hears.is_whole(batch)


def test_a_listener_that_is_killed_is_started_again_and_the_take_is_heard(hears: Night) -> None:
    worker = hears.worker("hears")
    batch = hears.submit(AWAITED, "And a line beside it.", model="hears")
    wait_until(lambda: heard(hears))
    os.kill(int(heard(hears)[0][1]), signal.SIGKILL)
    wait_until(lambda: len({process for _, process in heard(hears)}) == 2)
    go(hears)
    assert hears.ended(batch)["counts"]["done"] == 2
    assert states(hears) == {(1, "done"): 2}
    assert worker.poll() is None
    hears.is_whole(batch)


@pytest.mark.parametrize(("word", "told"), [("deafening", "failed twice"), ("puzzling", "ValueError")])
def test_a_take_that_cannot_be_heard_is_neither_lost_nor_passed(hears: Night, word: str, told: str) -> None:
    hears.worker("hears")
    batch = hears.submit(f"This one is {word}.", "And a line beside it.", model="hears")
    view = hears.ended(batch)
    assert [line["state"] for line in view["lines"]] == ["failed", "done"]
    assert "no verdict of the listening models" in view["lines"][0]["error"]
    assert told in view["lines"][0]["error"]
    text = f"This one is {word}."
    assert hears.rows(f"SELECT trouble, troubles FROM lines WHERE text = '{text}'") == [("listen", '{"listen":2}')]
    assert Counter(hears.rows(f"SELECT state FROM takes WHERE text = '{text}'")) == {("failed",): 2}
    hears.is_whole(batch)


def test_a_line_cancelled_while_it_is_heard_stays_cancelled(hears: Night) -> None:
    worker = hears.worker("hears")
    batch = hears.submit(AWAITED, model="hears")
    wait_until(lambda: heard(hears))
    hears.shell("cancel", batch)
    wait_until(lambda: states(hears) == {(1, "cancelled"): 1}, timeout=10)
    go(hears)
    second = hears.submit("The worker goes on.", model="hears", title="Second")
    assert hears.ended(second)["counts"]["done"] == 1
    assert hears.view(batch)["counts"]["cancelled"] == 1
    assert worker.poll() is None
    hears.is_whole(batch, second)


def test_sigterm_once_lets_what_is_heard_end_and_twice_puts_it_back(hears: Night) -> None:
    worker = hears.worker("hears")
    first = hears.submit(AWAITED, model="hears")
    wait_until(lambda: heard(hears))
    worker.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=10) == 0
    assert hears.view(first)["counts"]["queued"] == 1
    assert states(hears) == {(1, "cancelled"): 1}
    worker = hears.worker("hears")
    wait_until(lambda: len(heard(hears)) == 2)
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    go(hears)
    assert worker.wait(timeout=10) == 0
    assert hears.view(first)["counts"]["done"] == 1
    hears.is_whole(first)
