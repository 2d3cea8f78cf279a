"""Deleting a batch's rows. Its files are named in the same transaction, and removed by vvbatch.batch.delete."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, or_, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.schema import (
    BATCH_OPEN,
    LINE_OPEN,
    baselines,
    batches,
    book_files,
    books,
    lines,
    nights,
    qc_results,
    removals,
    takes,
    verdicts,
)
from vvbatch.ledger.states import LineState


class BatchInUse(Exception):
    """The batch cannot be deleted now; the message says what uses it and what to do."""


class Removal(NamedTuple):
    """Files of a deleted batch, relative to its folder OUT/<batch>."""

    batch_id: str
    out: str
    files: list[str]


def files_of(connection: Connection, batch_id: str, folder: Path) -> list[str]:
    """The files that the ledger knows in a batch's folder, relative to it."""
    of_lines = select(lines.c.path).where(lines.c.batch_id == batch_id, lines.c.path.is_not(None))
    of_takes = select(takes.c.path).where(takes.c.batch_id == batch_id, takes.c.path.is_not(None))
    of_books = select(book_files.c.path).where(book_files.c.batch_id == batch_id)
    paths = {Path(path) for path in connection.execute(of_lines.union(of_takes, of_books)).scalars()} | {
        folder / "manifest.json"
    }
    return sorted(str(path.relative_to(folder)) for path in paths if path.is_relative_to(folder))


def refuse_in_use(connection: Connection, batch_id: str) -> None:
    """Raises BatchInUse for a batch that is not finished, or that a regression suite or another batch still needs."""
    its_takes = select(takes.c.id).where(takes.c.batch_id == batch_id)
    still_open = or_(batches.c.state.in_(BATCH_OPEN), lines.c.state.in_(LINE_OPEN))
    joined = batches.join(lines, lines.c.batch_id == batches.c.id, isouter=True)
    reasons = (
        (
            select(batches.c.id).select_from(joined).where(batches.c.id == batch_id, still_open),
            f"batch {batch_id} has open lines: cancel it first with  vvbatch cancel {batch_id}",
        ),
        (
            select(nights.c.id).where(nights.c.batch_id == batch_id),
            f"batch {batch_id} is a night of a regression suite: the suite's retention removes its audio",
        ),
        (
            select(baselines.c.id).where(baselines.c.take_id.in_(its_takes)),
            f"batch {batch_id} has a blessed take of a regression suite: it stays",
        ),
        (
            select(verdicts.c.night_id).where(verdicts.c.take_id.in_(its_takes)),
            f"batch {batch_id} has a take that a night's verdict refers to: it stays",
        ),
    )
    for query, reason in reasons:
        if connection.execute(query.limit(1)).first():
            raise BatchInUse(reason)
    not_replaced = and_(lines.c.batch_id != batch_id, lines.c.state.not_in((LineState.DONE, LineState.CACHED)))
    waiting = select(lines.c.batch_id, lines.c.line).where(lines.c.take_id.in_(its_takes), not_replaced)
    if other := connection.execute(waiting.limit(1)).first():
        raise BatchInUse(
            f"batch {batch_id} has the take of line {other.line} of {other.batch_id} until that line has another: "
            f"render it (after  vvbatch retry {other.batch_id}  if it has failed) or cancel it first"
        )


def delete_rows(ledger: Ledger, batch_id: str) -> Removal:
    """Delete a batch's rows in one transaction, and record which files are to be removed. Raises BatchInUse.

    Rows go first: the transaction decides that nothing refers to the files any more, and `removals` keeps their names
    until they are gone. The other way round, a batch that is retried in between would have lost its audio.
    """
    with ledger.transaction() as connection:
        batch = connection.execute(select(batches).where(batches.c.id == batch_id).with_for_update()).one_or_none()
        if batch is None:
            raise BatchInUse(f"batch {batch_id} has been deleted by another command")
        refuse_in_use(connection, batch_id)
        move_serving_takes(connection, batch_id)
        removal = Removal(batch_id, batch.out, files_of(connection, batch_id, Path(batch.out) / batch_id))
        its_takes = select(takes.c.id).where(takes.c.batch_id == batch_id)
        connection.execute(qc_results.delete().where(qc_results.c.take_id.in_(its_takes)))
        for table in (takes, lines, book_files, books):
            connection.execute(table.delete().where(table.c.batch_id == batch_id))
        connection.execute(batches.delete().where(batches.c.id == batch_id))
        connection.execute(removals.insert().values(**removal._asdict(), at=ledger.now()))
        detail = {"title": batch.title, "kind": batch.kind, "files": len(removal.files)}
        ledger.note(connection, "batch deleted", batch_id=batch_id, detail=detail)
    return removal


def move_serving_takes(connection: Connection, batch_id: str) -> None:
    """A take that serves cached lines of other batches becomes the take of the oldest of them, with that line's file.

    So those lines keep their checks and figures, and the take can serve further lines.
    """
    serves = (
        select(lines.c.id, lines.c.batch_id, lines.c.path, lines.c.attempt, lines.c.take_id)
        .join_from(lines, takes, takes.c.id == lines.c.take_id)
        .where(takes.c.batch_id == batch_id, lines.c.batch_id != batch_id)
        .order_by(lines.c.created_at, lines.c.id)
    )
    moved: set[str] = set()
    for line in connection.execute(serves).all():
        if line.take_id in moved:
            continue
        moved.add(line.take_id)
        attempt = line.attempt + 1  # every attempt of a line has a number of its own
        mine = {"batch_id": line.batch_id, "line_id": line.id, "attempt": attempt, "path": line.path}
        connection.execute(takes.update().where(takes.c.id == line.take_id).values(mine))
        connection.execute(lines.update().where(lines.c.id == line.id).values(attempt=attempt))


def pending_removals(ledger: Ledger) -> list[Removal]:
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(removals.c.batch_id, removals.c.out, removals.c.files))
        return [Removal(*row) for row in rows]


def removal_done(ledger: Ledger, batch_id: str) -> None:
    with ledger.transaction() as connection:
        connection.execute(removals.delete().where(removals.c.batch_id == batch_id))


def ended_before(ledger: Ledger, kinds: Collection[BatchKind], before: str) -> list[str]:
    """Batches of these kinds that ended before a moment, oldest first."""
    query = select(batches.c.id).where(batches.c.kind.in_(kinds), batches.c.ended_at < before)
    with ledger.engine.connect() as connection:
        return list(connection.execute(query.order_by(batches.c.ended_at)).scalars())


def count_rows(connection: Connection, batch_id: str) -> tuple[int, int]:
    """Lines and takes of a batch."""
    return tuple(  # type: ignore[return-value]
        connection.execute(select(func.count()).select_from(table).where(table.c.batch_id == batch_id)).scalar_one()
        for table in (lines, takes)
    )
