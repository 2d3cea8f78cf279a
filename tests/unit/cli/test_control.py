"""pause and resume: a batch or a profile's queue, never both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import ledgers
from tests.support.cli import Cli
from vvbatch.ledger.queues import queue_is_paused


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_batch_and_a_queue_together_are_a_usage_error(command: str, home: Path) -> None:
    home.mkdir(mode=0o700)
    book = ledgers.open_ledger(home)
    ledgers.add_batch(book, "b", ["One."])
    done = Cli()(command, "b", "--queue", "ready", code=2)
    assert "batch 'b' and --queue 'ready': name one of them" in done.stderr
    assert not queue_is_paused(book, "ready")
    book.close()


def test_a_profiles_queue_is_paused_and_resumed(home: Path) -> None:
    cli = Cli()
    assert cli.json("pause", "--queue", "ready") == {"queue": "ready", "state": "paused"}
    assert cli.json("resume", "--queue", "ready") == {"queue": "ready", "state": "open"}
    assert "unknown profile 'x'" in cli("pause", "--queue", "x", code=2).stderr


@pytest.mark.parametrize("words", [["ready"], ["--model", "ready"], ["--profile", "ready"]])
def test_a_profile_by_its_name_means_its_queue(words: list[str], home: Path) -> None:
    cli = Cli()
    assert cli.json("pause", *words) == {"queue": "ready", "state": "paused"}
    assert cli("resume", *words).stdout == "queue ready is resumed\n"


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_word_that_is_a_profile_and_begins_a_batch_is_refused_with_both_spelled_out(command: str, home: Path) -> None:
    home.mkdir(mode=0o700)
    book = ledgers.open_ledger(home)
    ledgers.add_batch(book, "ready-to-go-1a2b", ["One."])
    done = Cli()(command, "ready", code=2)
    assert f"vvbatch {command} --queue ready, or vvbatch {command} ready-to-go-1a2b" in done.stderr
    assert not queue_is_paused(book, "ready")
    ledgers.add_batch(book, "ready-2", ["One."])
    assert "BATCH  with one of" in Cli()(command, "ready", code=2).stderr
    assert "ready-to-go-1a2b is paused" in Cli()("pause", "ready-to").stdout
    book.close()
