"""review in a pseudo-terminal: keys, a player, the reason of a rejection, and where the next review goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.support.cli import Cli
from tests.support.house import TEXTS, House
from tests.support.terminal import Terminal
from vvbatch.batch.review import is_kept, note_reviewed, to_review


def ids(house: House, **options: bool) -> list[str]:
    return [line.id for line in to_review(house.ledger, "book-1", **options)]


def test_reviewed_takes_are_left_out_until_again(house: House) -> None:
    assert ids(house) == ["l1", "l2", "l3"]
    first, second, _ = to_review(house.ledger, "book-1")
    note_reviewed(house.ledger, "book-1", first, "good", "ann")
    note_reviewed(house.ledger, "book-1", second, "next", "ann")
    assert ids(house) == ["l3"]
    assert ids(house, again=True) == ["l1", "l2", "l3"]
    house.reject("book-1", "l1")
    assert ids(house, again=True) == ["l2", "l3"], "a line that waits for its next take has nothing new"
    house.render()
    assert ids(house) == ["l1", "l3"]


def test_a_line_that_was_rejected_during_a_review_has_not_its_take_any_more(house: House) -> None:
    first, second, _ = to_review(house.ledger, "book-1")
    house.reject("book-1", "l1")
    assert (is_kept(house.ledger, first), is_kept(house.ledger, second)) == (False, True)
    house.render()
    assert not is_kept(house.ledger, first)


def test_flagged_lines_are_those_of_the_report(house: House) -> None:
    house.reject("book-1", "l2")
    house.render()
    flagged = ids(house, flagged=True)
    assert "l2" in flagged and len(flagged) < 3


def test_review_without_a_terminal_is_refused(house: House) -> None:
    assert "review reads keys: run it in a terminal" in Cli()("review", "book-1", code=2).stderr


@pytest.mark.slow
def test_a_batch_is_reviewed_in_two_sittings(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    player = tmp_path / "bin" / "xdg-open"
    player.parent.mkdir()
    played = tmp_path / "played"
    player.write_text(f'#!/bin/sh\necho "$1" >> {played}\n')
    player.chmod(0o755)
    monkeypatch.setenv("PATH", f"{player.parent}:/usr/bin:/bin")
    terminal = Terminal(tmp_path, 100, 30, "review", "book-1", "--who", "ann")
    try:
        terminal.shows("1/3", "line 1, l1, score ", TEXTS[0], "opened ", "q quit")
        terminal.press("g")
        terminal.shows("2/3", TEXTS[1])
        terminal.press("r")
        terminal.shows("why")
        terminal.type("too slow\n")
        terminal.shows("line l2: take ", " is rejected", "3/3")
        terminal.press("q")
        terminal.shows("1 good, 1 rejected; 1 line left to review", "no queue is running")
        assert wait_until(lambda: terminal.read() and terminal.process.poll() is not None)
        assert terminal.process.returncode == 0
    finally:
        terminal.end()
    wait_until(lambda: len(played.read_text().splitlines()) == 3)
    assert played.read_text().splitlines()[0] == house.line("book-1").path
    rejected = house.take(house.line("book-1", 2).take_id)
    assert (rejected.state, rejected.rejected_by, rejected.rejected_why) == ("rejected", "ann", "too slow")
    house.render()
    monkeypatch.setenv("PATH", str(tmp_path))
    terminal = Terminal(tmp_path, 100, 30, "review", "book-1", "--who", "ann")
    try:
        terminal.shows("1/2", "line 2, l2", house.line("book-1", 2).path[-30:], "xdg-open is not installed")
        terminal.press("n")
        terminal.shows("2/2", TEXTS[2])
        terminal.press("g")
        terminal.shows("1 good, 0 rejected; 0 lines left to review")
    finally:
        terminal.end()
    assert ids(house) == []
