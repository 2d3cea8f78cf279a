"""The command of `--notify` runs once for a batch that ended or makes no progress, without a shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledgers import Clock, add_batch, begin, fail, open_ledger, render
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import retry_lines, set_batch_state, settle_batch
from vvbatch.processes.notify import BadCommand, Notifier, command_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return open_ledger(tmp_path, clock)


def sent(ledger: Ledger, folder: Path, *, among: list[str] | None = None, notifier: Notifier | None = None) -> Any:
    """What the command reads at one look; None if it does not run."""
    file = folder / "sent.json"
    file.unlink(missing_ok=True)
    notifier = notifier or Notifier(ledger, command_of(["tee", str(file)]), lambda _: "no worker", among)
    notifier.close()
    return json.loads(file.read_text()) if file.exists() else None


def test_a_batch_that_ended_is_reported_once_with_all_that_a_message_needs(
    ledger: Ledger, clock: Clock, tmp_path: Path
) -> None:
    add_batch(ledger, "book-1", ["One.", "Two."])
    notifier = Notifier(ledger, ["tee", str(tmp_path / "sent.json")], lambda _: "served")
    assert sent(ledger, tmp_path, notifier=notifier) is None
    render(ledger, "book-1", 1, clock)
    fail(ledger, "book-1", 2)
    settle_batch(ledger, "book-1")
    found = sent(ledger, tmp_path, notifier=notifier)
    assert (found["event"], found["batch"], found["state"]) == ("ended", "book-1", "failed")
    assert found["text"] == "Title of book-1 has ended: failed: 2 lines, 1 failed"
    assert found["failed"] == ["chapter 1, line 2: 'Two.': silence 1.0 (limit 0.8)"]
    assert (found["counts"]["done"], found["audio_s"], found["speed"]) == (1, 4.0, 2.0)
    assert sent(ledger, tmp_path, notifier=notifier) is None
    assert sent(ledger, tmp_path, among=["book-1"]) is None, "another process does not send it again"
    retry_lines(ledger, "book-1")
    clock.advance(5)
    render(ledger, "book-1", 2, clock)
    settle_batch(ledger, "book-1")
    assert sent(ledger, tmp_path, notifier=notifier)["text"] == "Title of book-1 is done: 2 lines"


def test_what_ended_before_is_no_news_but_of_the_batches_that_one_waits_for(
    ledger: Ledger, clock: Clock, tmp_path: Path
) -> None:
    add_batch(ledger, "old", ["One."])
    render(ledger, "old", 1, clock)
    settle_batch(ledger, "old")
    clock.advance(1)
    assert sent(ledger, tmp_path) is None
    assert sent(ledger, tmp_path, among=["other"]) is None
    assert sent(ledger, tmp_path, among=["old"])["batch"] == "old"


def test_a_batch_without_progress_is_reported_with_the_reason(ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
    add_batch(ledger, "book-1", ["One.", "Two."])
    clock.advance(800)
    assert sent(ledger, tmp_path) is None
    clock.advance(200)
    found = sent(ledger, tmp_path)
    assert found["event"] == "stalled"
    assert found["text"] == (
        "Title of book-1 makes no progress: 2 of 2 lines left; no worker for draft: vvbatch up --workers draft"
    )
    clock.advance(1000)
    assert sent(ledger, tmp_path) is None
    begin(ledger, "book-1", 1)
    clock.advance(1000)
    assert sent(ledger, tmp_path)["event"] == "stalled"


def test_a_paused_batch_is_not_reported(ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
    add_batch(ledger, "book-1", ["One."])
    set_batch_state(ledger, "book-1", "paused", only_from=("open",))
    clock.advance(5000)
    assert sent(ledger, tmp_path) is None


def test_a_command_is_words_and_no_shell() -> None:
    assert command_of("echo 'two words' $HOME;") == ["echo", "two words", "$HOME;"]
    for wrong, why in (
        ("", "is empty"),
        ("absent-program -x", "'absent-program' is not found"),
        ("echo 'a", "quotation"),
    ):
        with pytest.raises(BadCommand, match=why):
            command_of(wrong)


@pytest.mark.parametrize("command", [["false"], ["/etc/hostname"]])
def test_a_command_that_fails_is_logged_and_ends_nothing(
    ledger: Ledger, clock: Clock, command: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    add_batch(ledger, "book-1", ["One."])
    render(ledger, "book-1", 1, clock)
    settle_batch(ledger, "book-1")
    Notifier(ledger, command, lambda _: "served", ["book-1"]).close()
    assert command[0] in caplog.text
