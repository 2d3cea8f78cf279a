"""When the queue gets a job for a book, and what the job leaves in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import RowMapping, select
from sqlalchemy.exc import OperationalError

from jobs import assemble as job
from tests.support.books import finished_batch
from tests.support.ledgers import open_ledger
from vvbatch.batch.assemble import Order, assemble
from vvbatch.batch.book_order import BookOrder
from vvbatch.batch.finished_chapters import FinishedChapters
from vvbatch.book.contents import BookError
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.books import awaits_book, book_files_of, finished_chapters, line_rows, note_no_book, record_book
from vvbatch.ledger.by_ear import lines_with_takes, reject_takes
from vvbatch.ledger.schema import batches, events, lines

pytest.importorskip("av")
ASKED = BookOrder(formats=("flac",))


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    home.mkdir()
    ledger = open_ledger(home)
    yield ledger
    ledger.close()


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    monkeypatch.setattr("vvbatch.batch.finished_chapters.enqueue_book", lambda _, *args: found.append(args))
    return found


def set_line(ledger: Ledger, number: int, state: str, **values: object) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(lines.update().where(lines.c.number == number).values(state=state, **values))


def set_batch(ledger: Ledger, **values: object) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(batches.update().values(values))


def test_a_chapter_is_finished_when_all_of_its_lines_are(ledger: Ledger, tmp_path: Path) -> None:
    batch = finished_batch(ledger, tmp_path / "out", chapters=3)
    set_line(ledger, 4, "rendering")
    assert finished_chapters(ledger, batch) == {1, 3}


def test_each_newly_finished_chapter_of_an_open_batch_queues_a_job(
    ledger: Ledger, tmp_path: Path, queued: list[tuple[object, ...]]
) -> None:
    batch = finished_batch(ledger, tmp_path / "out", chapters=3, order=ASKED)
    set_batch(ledger, state="open", ended_at=None)
    for number in (2, 4, 6):
        set_line(ledger, number, "queued")
    finished = FinishedChapters(ledger, None, [batch])
    finished.look()
    assert queued == []
    set_line(ledger, 4, "done")
    finished.look()
    finished.look()
    assert queued == [(batch,)]
    everyone = FinishedChapters(ledger, None)
    everyone.look()
    everyone.look()
    assert queued[1:] == [(batch,)]


def test_an_ended_batch_whose_script_asks_for_a_book_is_queued_until_it_is_made(
    ledger: Ledger, tmp_path: Path, queued: list[tuple[object, ...]]
) -> None:
    batch = finished_batch(ledger, tmp_path / "out", order=ASKED)
    finished_batch(ledger, tmp_path / "out", "plain-1")
    finished = FinishedChapters(ledger, None)
    finished.look()
    finished.look()
    assert queued == [(batch,)] * 2, "a job that Redis lost would not come back"
    job.make_book(batch)
    assert [path.name for path in sorted((tmp_path / "out" / batch / "book").iterdir())] == [
        "The Lamp.flac",
        "The Lamp.srt",
    ]
    finished.look()
    assert len(queued) == 2 and not awaits_book(ledger, batch)


def test_a_book_that_was_made_by_hand_is_made_again_in_its_formats_after_a_take_was_rejected(
    ledger: Ledger, home: Path, tmp_path: Path, queued: list[tuple[object, ...]]
) -> None:
    batch = finished_batch(ledger, tmp_path / "out")
    finished = FinishedChapters(ledger, None)
    made = assemble(ledger, Home.from_environment(), batch, Order(("flac", "opus-chapters"), "podcast"))
    finished.look()
    assert queued == []
    reject_takes(ledger, batch, [(lines_with_takes(ledger, batch)[2], None)], by="ann", why=None)
    while_it_waits = assemble(ledger, Home.from_environment(), batch, Order())
    assert (while_it_waits.state, while_it_waits.encoded) == ("made", 0), "the old file is in the book"
    set_line(ledger, 3, "done")
    set_batch(ledger, state="done", ended_at=ledger.now())
    finished.look()
    assert queued == [(batch,)]
    job.make_book(batch)
    assert {file.path for file in book_files_of(ledger, batch)} == {file.path for file in made.files}
    assert not awaits_book(ledger, batch)


def test_a_book_that_cannot_be_made_is_an_event_and_is_tried_again_after_a_retry(
    ledger: Ledger, tmp_path: Path
) -> None:
    order = BookOrder(formats=("flac",), cover=str(tmp_path / "none.png"))
    batch = finished_batch(ledger, tmp_path / "out", order=order)
    job.make_book(batch)
    with ledger.engine.connect() as connection:
        (detail,) = connection.execute(select(events.c.detail).where(events.c.kind == "book not made")).scalars()
    assert "none.png does not exist: name a JPEG or PNG file" in detail["reason"]
    assert not awaits_book(ledger, batch)
    set_batch(ledger, ended_at=ledger.now())
    assert awaits_book(ledger, batch)
    set_line(ledger, 1, "failed", path=None)
    job.make_book(batch)
    assert not awaits_book(ledger, batch), "a book with missing lines would be tried for ever"
    job.make_book("deleted-1")


def test_what_keeps_a_book_from_being_made_counts_only_for_its_batch(ledger: Ledger, tmp_path: Path) -> None:
    one = finished_batch(ledger, tmp_path / "out", order=ASKED)
    other = finished_batch(ledger, tmp_path / "out", "lamp-2", order=ASKED)
    note_no_book(ledger, one, "why not", ledger.now())
    assert (awaits_book(ledger, one), awaits_book(ledger, other)) == (False, True)


def test_a_book_that_another_process_makes_while_the_job_waits_for_its_lock_is_left(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = finished_batch(ledger, tmp_path / "out", order=ASKED)

    def made_meanwhile(*_: object) -> bool:
        record_book(ledger, batch, "podcast", ledger.now(), {}, [], {})
        return True

    monkeypatch.setattr("vvbatch.batch.assemble.locked", made_meanwhile)
    job.make_book(batch)
    assert not (tmp_path / "out" / batch / "book").exists()


def test_an_outage_of_the_ledger_does_not_give_a_book_up(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = finished_batch(ledger, tmp_path / "out", order=ASKED)

    def away(*_: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection"))

    with monkeypatch.context() as context:
        context.setattr(job, "assemble_awaited", away)
        job.make_book(batch)
        context.setattr(job, "batch_is_open", away)
        job.make_book(batch)
    assert awaits_book(ledger, batch)
    job.make_book(batch)
    assert (tmp_path / "out" / batch / "book" / "The Lamp.flac").exists()


def test_what_fails_while_others_are_rendered_does_not_count_for_a_batch_that_ends_meanwhile(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = finished_batch(ledger, tmp_path / "out", order=ASKED)
    set_batch(ledger, state="open", ended_at=None)

    def ends_meanwhile(*_: object) -> None:
        set_batch(ledger, state="done", ended_at=ledger.now())
        raise BookError("a take is gone")

    monkeypatch.setattr(job, "encode_finished", ends_meanwhile)
    job.make_book(batch)
    assert awaits_book(ledger, batch)


@pytest.mark.parametrize("fails", [False, True])
def test_a_batch_that_ends_again_while_its_book_is_made_awaits_another(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """A line was rejected and rendered again meanwhile: the book has its old take, or finds that the file changed."""
    batch = finished_batch(ledger, tmp_path / "out", order=ASKED)

    def ends_again(ledger: Ledger, batch: str) -> Sequence[RowMapping]:
        rows = line_rows(ledger, batch)
        set_batch(ledger, ended_at=ledger.now())
        if fails:
            raise BookError("the take has changed since it was rendered")
        return rows

    with monkeypatch.context() as context:
        context.setattr("vvbatch.batch.assemble.line_rows", ends_again)
        job.make_book(batch)
    assert awaits_book(ledger, batch)
    job.make_book(batch)
    assert not awaits_book(ledger, batch)
