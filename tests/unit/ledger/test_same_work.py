"""The same work that is submitted twice: one open batch, with what the second submit changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select

from tests.support.documents import batch_view
from tests.support.ledgers import Clock, add_batch, fail, planned
from tests.unit.ledger.test_database import old_ledger, url_of
from vvbatch.ledger import Ledger, NewBatch, schema
from vvbatch.ledger.batches import PAUSE_COLUMNS, record_batch, retry_lines, settle_batch
from vvbatch.ledger.queries import UnknownBatch, find_batch, open_batches
from vvbatch.ledger.queues import waiting_lines
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.recovery import reopen
from vvbatch.script import BreakAfter

RACER = """
import sys
from tests.support.ledgers import planned
from vvbatch.ledger import Ledger, NewBatch
from vvbatch.ledger.batches import record_batch
ledger = Ledger(sys.argv[1])
sys.stdin.readline()
for number in range(20):
    new = NewBatch(f"{sys.argv[2]}-{number}", "t", "s.yaml", f"work {number}", None, "normal", "/out")
    print(record_batch(ledger, new, [planned(1, "One.", "x"), planned(2, "Two.", "x")]).id)
"""


def same_work(batch: str, priority: str | None = "normal") -> NewBatch:
    return NewBatch(batch, "t", "s.yaml", "the same work", None, priority, "/out")


def race(url: str) -> None:
    """Three processes that submit the same twenty scripts at once."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, url, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b", "c")
    ]
    answers = []
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        printed, _ = racer.communicate(timeout=120)
        assert racer.returncode == 0
        answers.append(printed.split())
    assert answers[0] == answers[1] == answers[2] and len(answers[0]) == 20
    ledger = Ledger(url)
    assert sorted(open_batches(ledger)) == sorted(answers[0])
    assert len(waiting_lines(ledger)) == 40
    ledger.close()


@pytest.mark.slow
def test_processes_that_submit_the_same_script_at_once_make_one_batch(tmp_path: Path) -> None:
    url = url_of(tmp_path / "ledger.sqlite3")
    Ledger(url).close()
    race(url)


def test_a_second_submit_changes_what_ends_with_a_line_of_the_open_batch(ledger: Ledger) -> None:
    lines = [planned(1, "One.", "x"), planned(2, "Two.", "x"), planned(3, "Three.", "x")]
    record_batch(ledger, same_work("a"), lines)
    ended = replace(lines[0], pause_after_s=2.0, break_after=BreakAfter.SECTION)
    again = record_batch(ledger, same_work("b"), [ended, replace(lines[1], pause_given_s=0.0), lines[2]])
    assert (again.id, again.pauses_changed) == ("a", 2)
    query = select(*(schema.lines.c[name] for name in PAUSE_COLUMNS)).order_by(schema.lines.c.number)
    with ledger.engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    assert rows == [(2.0, None, "section"), (0.0, 0.0, "line"), (0.0, None, "line")]


def test_a_second_submit_changes_priority_and_pauses_of_the_open_batch(ledger: Ledger) -> None:
    lines = [planned(1, "One.", "x"), planned(2, "Two.", "x")]
    assert record_batch(ledger, same_work("a"), lines).created
    edited = [lines[0], replace(lines[1], pause_after_s=1.5)]
    again = record_batch(ledger, same_work("b", "high"), edited)
    assert (again.id, again.created, again.old_priority, again.pauses_changed) == ("a", False, "normal", 1)
    assert {priority for _, _, priority in waiting_lines(ledger)} == {"high"}
    with ledger.engine.connect() as connection:
        pauses = connection.execute(select(schema.lines.c.pause_after_s).order_by(schema.lines.c.number)).scalars()
        assert list(pauses) == [0.0, 1.5]
    unchanged = record_batch(ledger, same_work("c", None), edited)
    assert (unchanged.old_priority, unchanged.pauses_changed) == (None, 0)
    assert {priority for _, _, priority in waiting_lines(ledger)} == {"high"}


@pytest.mark.parametrize("again", [lambda ledger: retry_lines(ledger, "a"), lambda ledger: reopen(ledger, "a", ["l1"])])
def test_a_batch_is_opened_again_while_the_same_work_is_open(ledger: Ledger, again: Callable[[Ledger], object]) -> None:
    record_batch(ledger, same_work("a"), [planned(1, "One.", "x")])
    fail(ledger, "a", 1)
    settle_batch(ledger, "a")
    assert record_batch(ledger, same_work("b"), [planned(1, "One.", "x")]).created
    again(ledger)
    assert open_batches(ledger) == ["a", "b"]
    assert record_batch(ledger, same_work("c"), [planned(1, "One.", "x")]).id == "b"


def test_a_ledger_with_the_same_work_open_twice_is_migrated_and_keeps_both(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    old_ledger(file, 6)
    engine = create_engine(url_of(file))
    with engine.begin() as connection:
        for name, script, at in (("c", "b.yaml", "2026-01-03"), ("n", "suite.yaml", "2026-01-04"), ("s", "TEXT", "1")):
            connection.exec_driver_sql(
                "INSERT INTO batches (id, title, script, fingerprint, model, priority, out, state, created_at)"
                f" VALUES ('{name}', 't', '{script}', 'f', NULL, 'normal', '/out', 'open', '{at}')"
            )
        connection.exec_driver_sql(
            "INSERT INTO nights (id, suite, profile, batch_id, state, started_at)"
            " VALUES ('1', 's', 'd', 'n', 'ended', '')"
        )
    engine.dispose()
    ledger = Ledger(url_of(file))
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(schema.batches).order_by(schema.batches.c.id)).all()
    assert {row.id: (row.kind, row.fingerprint) for row in rows} == {
        "b": ("script", "f b"),
        "c": ("script", "f c"),
        "n": ("night", "f"),
        "s": ("speech", "f s"),
    }
    ledger.close()


def test_last_is_the_newest_script_and_any_kind_can_be_named(ledger: Ledger, clock: Clock) -> None:
    with pytest.raises(UnknownBatch, match="no batch yet of kind script"):
        find_batch(ledger, "last")
    add_batch(ledger, "book-1", ["One."])
    clock.advance(1)
    said = NewBatch("hello-1", "t", "TEXT", "f", None, "high", "/out", BatchKind.SPEECH)
    record_batch(ledger, said, [planned(1, "Hello.", "y")])
    assert find_batch(ledger, "last") == "book-1"
    assert find_batch(ledger, "last", (BatchKind.SPEECH,)) == "hello-1"
    assert find_batch(ledger, "hello") == "hello-1"
    assert batch_view(ledger, "hello-1")["counts"]["total"] == 1


def test_a_second_submit_of_an_open_batch_moves_the_places_of_its_lines(ledger: Ledger) -> None:
    line = replace(planned(1, "One.", "x"), script_line=3, script_column=5)
    record_batch(ledger, same_work("a"), [line])
    again = record_batch(ledger, same_work("b"), [replace(line, script_line=9)])
    assert again.pauses_changed == 0
    with ledger.engine.connect() as connection:
        row = connection.execute(select(schema.lines.c.script_line, schema.lines.c.script_column)).one()
    assert tuple(row) == (9, 5)
