"""reject and prefer as commands: what they print, their documents and exit codes, without a queue."""

from __future__ import annotations

import pytest

from tests.support.cli import Cli
from tests.support.house import House


def test_lines_are_rejected_without_a_queue_and_it_says_so(house: House) -> None:
    done = Cli()("reject", "book", "l1", "3", "--why", "too slow", "--who", "ann")
    first, third, summary = done.stdout.splitlines()
    assert first.startswith("line l1: take ") and " is rejected; the next has seed " in first
    assert third.startswith("line l3: take ") and summary == "book-1: 2 lines queued again"
    assert "no queue is running: start it with  vvbatch up, or run the script again" in done.stderr
    assert Cli()("reject", "book", "l1").stdout.startswith("line l1 has no take; the next has seed ")
    assert house.line("book-1").state == "queued"


def test_the_document_of_reject_has_stable_keys(house: House) -> None:
    take, path = house.line("book-1", 2).take_id, house.line("book-1", 2).path
    document = Cli().json("reject", "last", "l2", "--why", "  no ", "--seed", "5", "--who", "ann")
    line = {"id": "l2", "number": 2, "chapter": 1, "take": take, "seed": 5, "path": path}
    expected = {"batch": "book-1", "state": "rendering", "queued": 1, "by": "ann", "why": "no", "lines": [line]}
    assert document == expected


def test_the_document_of_prefer_has_stable_keys(house: House) -> None:
    line = house.line("book-1")
    Cli()("reject", "book-1", "l1")
    house.render()
    before = house.line("book-1").take_id
    document = Cli().json("prefer", line.take_id)
    assert document == {
        "batch": "book-1", "line": "l1", "take": line.take_id, "before": before, "taken_back": True,
        "path": line.path, "state": "done",
    }  # fmt: skip
    said = Cli()("prefer", before).stdout
    assert said == f"line l1 of book-1 has take {before} instead of {line.take_id}\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("reject", "nosuch", "l1"), 2, "unknown batch 'nosuch'"),
        (("reject", "book-1", "l9"), 2, "book-1 has no line 'l9'"),
        (("reject", "book-1"), 2, "name a line, or a chapter with --chapter"),
        (("reject", "book-1", "--chapter", "9"), 2, "book-1 has no chapter 9: it has 1 to 2"),
        (("reject", "book-1", "l1", "--seed", "-1"), 2, "-1 is not in the range"),
        (("prefer", "nosuch"), 2, "unknown take 'nosuch'"),
    ],
)
def test_what_is_not_there_exits_with_2_and_changes_nothing(
    house: House, words: tuple[str, ...], code: int, said: str
) -> None:
    assert said in Cli()(*words, code=code).stderr
    assert house.state("book-1") == "done"


def test_a_seed_that_was_tried_exits_with_2(house: House) -> None:
    seed = house.take(house.line("book-1").take_id).seed
    done = Cli()("reject", "book-1", "l1", "--seed", str(seed), code=2)
    assert f"line l1 was rendered with seed {seed} before: give another, or leave --seed out" in done.stderr
