"""What is asked often finds its rows by an index: a ledger grows for years."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tests.support.ledgers import add_batch, begin, fail, line_id, open_ledger, planned, render
from vvbatch.batch import review
from vvbatch.batch.estimate import queued_before
from vvbatch.batch_report.gather import gather
from vvbatch.ledger import Ledger, books, by_ear, feed, figures, queues, recovery
from vvbatch.ledger.ahead import ahead_of
from vvbatch.ledger.batches import cancel_lines, retry_lines, settle_batch
from vvbatch.ledger.feed import Place
from vvbatch.ledger.listings import Filter, list_batches, list_lines, list_takes
from vvbatch.ledger.overview import overview
from vvbatch.ledger.queries import batch_heads, batch_totals, batch_view, cached_takes, failures, line_ids
from vvbatch.profiles import Retries

LARGE = r"SCAN (lines|takes|qc_results|events|last)\b(?! USING)"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = open_ledger(tmp_path)
    for batch in ("a", "b"):
        add_batch(ledger, batch, ["One."] * 4)
        render(ledger, batch, 1)
        fail(ledger, batch, 2)
    return ledger


def whole_tables_read(ledger: Ledger, action: Callable[[], Any]) -> list[str]:
    """The steps of the action's statements that go through a large table without an index."""
    ran: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        ran.append((sql, parameters))

    event.listen(ledger.engine, "before_cursor_execute", note)
    action()
    event.remove(ledger.engine, "before_cursor_execute", note)
    found = []
    with closing(sqlite3.connect(str(ledger.engine.url.database))) as connection:
        for sql, parameters in ran:
            if sql.startswith(("SELECT", "UPDATE", "WITH")):
                steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
                found += [f"{step} in {sql}" for step in steps if re.match(LARGE, step)]
    assert ran
    return found


@pytest.mark.parametrize(
    "read",
    [
        lambda ledger: batch_view(ledger, "a"),
        lambda ledger: books.finished_chapters(ledger, "a"),
        lambda ledger: books.batches_without_book(ledger, "2026-01-01"),
        lambda ledger: books.awaits_book(ledger, "a"),
        lambda ledger: batch_heads(ledger, ["a", "b"]),
        lambda ledger: batch_totals(ledger, "a"),
        lambda ledger: ahead_of(ledger, ["a", "b"]),
        lambda ledger: queued_before(ledger, "draft"),
        lambda ledger: failures(ledger, "a", 5),
        lambda ledger: line_ids(ledger, "a"),
        lambda ledger: gather(ledger, "a"),
        overview,
        lambda ledger: list_batches(ledger, Filter(limit=5)),
        lambda ledger: list_lines(ledger, Filter(batch="a", state="failed")),
        lambda ledger: list_takes(ledger, Filter(batch="a")),
        lambda ledger: list_takes(ledger, Filter(limit=5)),
        lambda ledger: cached_takes(ledger, [planned(1, "One.", "a")]),
        lambda ledger: by_ear.lines_with_takes(ledger, "a"),
        lambda ledger: by_ear.takes_beginning(ledger, "abc"),
        lambda ledger: review.reviewed(ledger, "a"),
        lambda ledger: queues.waiting_lines(ledger, profile="draft"),
        lambda ledger: queues.waiting_count(ledger, "draft"),
        recovery.rendering_by,
        recovery.unsettled,
        lambda ledger: feed.happenings_after(ledger, Place("2026-03-01", ""), 5),
        lambda ledger: figures.takes_after(ledger, Place("2026-03-01", ""), 5),
    ],
)
def test_reading_does_not_go_through_whole_tables(ledger: Ledger, read: Callable[[Ledger], object]) -> None:
    assert whole_tables_read(ledger, lambda: read(ledger)) == []


def test_rendering_a_line_and_burying_a_worker_do_not_go_through_whole_tables(ledger: Ledger) -> None:
    def work() -> None:
        render(ledger, "a", 3)
        begin(ledger, "b", 3, worker="dead")
        recovery.abandon(ledger, "dead", {"draft": Retries()})
        recovery.no_longer_wanted(ledger, "w", [line_id("a", 4)])
        cancel_lines(ledger, "a")
        settle_batch(ledger, "a")
        retry_lines(ledger, "a")

    assert whole_tables_read(ledger, work) == []
