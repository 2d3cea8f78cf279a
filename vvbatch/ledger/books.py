"""Finished books in the ledger: what a batch's book is made of, the levels that are held, the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, RowMapping, and_, case, exists, func, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.schema import BATCH_OPEN, batches, book_files, books, events, lines, qc_results

NO_BOOK = "book not made"
ASSEMBLED = "book assembled"
HAS_FILE = lines.c.path.is_not(None)
"""Of a line; those of a pruned night have none. One whose take was rejected has its old file until the next one."""
HAS_TAKE = and_(lines.c.state.in_(("done", "cached")), HAS_FILE)


@dataclass(frozen=True)
class BookFileRow:
    path: str
    format: str
    sha256: str
    size_bytes: int
    duration_s: float


def batch_row(ledger: Ledger, batch_id: str) -> RowMapping:
    with ledger.engine.connect() as connection:
        return connection.execute(select(batches).where(batches.c.id == batch_id)).mappings().one()


def line_rows(ledger: Ledger, batch_id: str) -> Sequence[RowMapping]:
    """In order; `finished` says whether the line has its take."""
    query = select(lines, HAS_FILE.label("finished")).where(lines.c.batch_id == batch_id).order_by(lines.c.number)
    with ledger.engine.connect() as connection:
        return connection.execute(query).mappings().all()


def finished_chapters(ledger: Ledger, batch_id: str) -> frozenset[int]:
    """The chapters whose lines all have their takes."""
    query = select(lines.c.chapter).where(lines.c.batch_id == batch_id).group_by(lines.c.chapter)
    with ledger.engine.connect() as connection:
        return frozenset(connection.execute(query.having(func.sum(case((HAS_TAKE, 0), else_=1)) == 0)).scalars())


def batch_is_open(ledger: Ledger, batch_id: str) -> bool:
    """False also for a batch that was deleted."""
    with ledger.engine.connect() as connection:
        return connection.execute(select(batches.c.state).where(batches.c.id == batch_id)).scalar() in BATCH_OPEN


def awaits_book(ledger: Ledger, batch_id: str) -> bool:
    """Whether the batch has ended, and since then no book was made or found to be impossible."""
    with ledger.engine.connect() as connection:
        return connection.execute(select(batches.c.id).where(batches.c.id == batch_id, _awaiting())).first() is not None


def batches_without_book(ledger: Ledger, since: str) -> Sequence[RowMapping]:
    """`id`, `state` and `book` of the batches of scripts that are open, and those submitted since that await a book."""
    scripts = select(batches.c.id, batches.c.state, batches.c.book).where(batches.c.kind == BatchKind.SCRIPT)
    with ledger.engine.connect() as connection:
        still = connection.execute(scripts.where(batches.c.state.in_(BATCH_OPEN))).mappings().all()
        ended = connection.execute(scripts.where(batches.c.created_at >= since, _awaiting())).mappings().all()
    return [*still, *ended]


def note_no_book(ledger: Ledger, batch_id: str, reason: str, begun: str) -> None:
    """No book of this batch is tried again until a line of it is rendered again. Nothing is noted of one that has not
    ended, or has ended again since the try was `begun`."""
    with ledger.transaction() as connection:
        ended_at = connection.execute(select(batches.c.ended_at).where(batches.c.id == batch_id)).scalar()
        if ended_at is None or ended_at > begun:
            return
        ledger.note(connection, NO_BOOK, batch_id=batch_id, detail={"reason": reason})


def _awaiting() -> ColumnElement[bool]:
    made = exists().where(books.c.batch_id == batches.c.id, books.c.made_at >= batches.c.ended_at)
    given_up = exists().where(
        events.c.batch_id == batches.c.id, events.c.kind == NO_BOOK, events.c.at >= batches.c.ended_at
    )
    return and_(batches.c.state.in_(("done", "failed")), batches.c.ended_at.is_not(None), ~made, ~given_up)


def recognised_words(ledger: Ledger, batch_id: str) -> dict[str, list[tuple[str, float, float]]]:
    """What the listening models understood, by line: words with start and end in seconds of the take."""
    query = (
        select(lines.c.line, qc_results.c.detail)
        .join_from(lines, qc_results, qc_results.c.take_id == lines.c.take_id)
        .where(lines.c.batch_id == batch_id, qc_results.c.name == "wer")
    )
    with ledger.engine.connect() as connection:
        rows = connection.execute(query).all()
    return {
        row.line: [(text, start, end) for text, start, end in row.detail.get("words", ())] for row in rows if row.detail
    }


def held_levels(ledger: Ledger, batch_id: str, preset: str) -> Any:
    """The levels of the newest assembly with this preset: of the batch, or else of an older one of the same script."""
    with ledger.engine.connect() as connection:
        script = select(batches.c.script, batches.c.title).where(batches.c.id == batch_id).subquery()
        same = (batches.c.script == script.c.script) & (batches.c.title == script.c.title)
        query = (
            select(books.c.levels)
            .join_from(books, batches, batches.c.id == books.c.batch_id)
            .join(script, same)
            .where(books.c.preset == preset)
            .order_by((books.c.batch_id == batch_id).desc(), books.c.made_at.desc())
            .limit(1)
        )
        return connection.execute(query).scalar()


class FileLevels(Struct, frozen=True):
    """Of a finished book's files of one format."""

    loudness_lufs: float | None
    true_peak_dbtp: float | None


def record_book(
    ledger: Ledger,
    batch_id: str,
    preset: str,
    made_at: str,
    levels: object,
    files: Sequence[BookFileRow],
    measured: Mapping[str, FileLevels],
    formats: Sequence[str] = (),
) -> list[str]:
    """Record an assembly, which replaces an earlier one of the batch. Returns the paths that are obsolete.

    `made_at` is when its lines were read: a batch that has ended again since awaits another book. `measured` is by
    format; the event has it. `formats` and preset become those of the batch.
    """
    with ledger.transaction() as connection:
        mine = book_files.c.batch_id == batch_id
        before = set(connection.execute(select(book_files.c.path).where(mine)).scalars())
        connection.execute(book_files.delete().where(mine))
        if files:
            rows = [{"batch_id": batch_id, "preset": preset, "made_at": made_at, **vars(file)} for file in files]
            connection.execute(book_files.insert(), rows)
        connection.execute(books.delete().where(books.c.batch_id == batch_id, books.c.preset == preset))
        connection.execute(books.insert().values(batch_id=batch_id, preset=preset, levels=levels, made_at=made_at))
        if formats:  # the book that the batch gets when it ends again
            batch = batches.c.id == batch_id
            ordered = connection.execute(select(batches.c.book).where(batch)).scalar() or {}
            order = {**ordered, "formats": list(formats), "preset": preset}
            connection.execute(batches.update().where(batch).values(book=order))
        detail = {"preset": preset, "files": len(files), "measured": msgspec.to_builtins(measured)}
        ledger.note(connection, ASSEMBLED, batch_id=batch_id, detail=detail)
    return sorted(before - {file.path for file in files})


class RecordedFile(Struct, frozen=True):
    """A finished file of a batch's book."""

    path: str
    format: str
    preset: str
    sha256: str
    size_bytes: int
    duration_s: float
    made_at: str


def book_files_of(ledger: Ledger, batch_id: str) -> list[RecordedFile]:
    mine = select(book_files).where(book_files.c.batch_id == batch_id).order_by(book_files.c.path)
    with ledger.engine.connect() as connection:
        return [
            RecordedFile(**{name: row[name] for name in RecordedFile.__struct_fields__})
            for row in connection.execute(mine).mappings()
        ]


def book_measures(ledger: Ledger, batch_id: str) -> Mapping[str, FileLevels]:
    """Of the newest assembly, by format; none of a book that an older version made."""
    mine = (events.c.batch_id == batch_id, events.c.kind == ASSEMBLED)
    newest = select(events.c.detail).where(*mine).order_by(events.c.at.desc()).limit(1)
    with ledger.engine.connect() as connection:
        detail = connection.execute(newest).scalar() or {}
    return msgspec.convert(detail.get("measured", {}), dict[str, FileLevels])
