"""Writes to whole batches: record, pause, cancel, retry, end. Equal work (fingerprint) has one open batch at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Select, and_, case, select
from sqlalchemy.exc import IntegrityError

from vvbatch.ledger import entries
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import AddedBatch, NewBatch, chunks, columns, final_state, is_line, line_row
from vvbatch.ledger.schema import BATCH_OPEN, LINE_OPEN, batches, lines, takes
from vvbatch.ledger.states import BatchState, LineState

if TYPE_CHECKING:  # reading commands start quicker without what planning needs
    from vvbatch.batch.plan import PlannedLine

PAUSE_COLUMNS = ("pause_after_s", "pause_given_s", "break_after")
PLACE_COLUMNS = ("script_line", "script_column")
SILENT_COLUMNS = (*PAUSE_COLUMNS, *PLACE_COLUMNS)
"""What can change in a line without a change of its audio: an open batch that is submitted again takes it over."""


def record_batch(ledger: Ledger, batch: NewBatch, new_lines: Sequence[PlannedLine]) -> AddedBatch:
    """Record a batch with its lines, all queued.

    If the same work (fingerprint) is still open, that batch gets the priority and the pauses of this one instead.
    """
    now = ledger.now()
    with ledger.transaction() as connection:
        twin = connection.execute(open_twin(batch)).first() or insert_batch(connection, batch, now)
        if twin:
            return update_open_batch(ledger, connection, twin.id, twin.priority, batch, new_lines)
        for chunk in chunks(new_lines, 1000):
            connection.execute(lines.insert(), [line_row(batch.id, line, now) for line in chunk])
        ledger.note(connection, "batch submitted", batch_id=batch.id, detail={"lines": len(new_lines)})
        entries.lines_changed(connection, lines.c.batch_id == batch.id)
    return AddedBatch(batch.id, True, batch.priority or "normal")


def insert_batch(connection: Connection, batch: NewBatch, now: str) -> Row[Any] | None:
    """Insert the row, or return the open twin that another process has committed meanwhile."""
    try:
        with connection.begin_nested():
            row = {**columns(batch), "priority": batch.priority or "normal"}
            connection.execute(batches.insert().values(**row, state=BatchState.OPEN, created_at=now))
    except IntegrityError:
        twin = connection.execute(open_twin(batch)).first()
        if twin is None:
            raise
        return twin
    return None


def update_open_batch(
    ledger: Ledger, connection: Connection, batch_id: str, old: str, batch: NewBatch, new_lines: Sequence[PlannedLine]
) -> AddedBatch:
    mine = lines.c.batch_id == batch_id
    rows = connection.execute(select(lines.c.line, *(lines.c[name] for name in SILENT_COLUMNS)).where(mine)).mappings()
    known = {row["line"]: row for row in rows}
    pauses_changed = 0
    for line in new_lines:
        new = {name: getattr(line, name) for name in SILENT_COLUMNS}
        changed = [name for name in SILENT_COLUMNS if new[name] != known[line.line][name]]
        if changed:
            connection.execute(lines.update().where(mine, lines.c.line == line.line).values(new))
            pauses_changed += any(name in PAUSE_COLUMNS for name in changed)
    known_book = connection.execute(select(batches.c.book).where(batches.c.id == batch_id)).scalar() or {}
    ordered = {name: known_book[name] for name in ("formats", "preset") if name in known_book}
    book = {**ordered, **(batch.book or {})} if ordered else batch.book  # type: ignore[dict-item]
    connection.execute(batches.update().where(batches.c.id == batch_id).values(book=book))
    priority = batch.priority or old
    if old != priority:
        connection.execute(batches.update().where(batches.c.id == batch_id).values(priority=priority))
    added = AddedBatch(batch_id, False, priority, old if old != priority else None, pauses_changed)
    if added.old_priority or pauses_changed:
        detail = {"priority": priority, "pauses_changed": pauses_changed}
        ledger.note(connection, "batch changed", batch_id=batch_id, detail=detail)
    return added


def open_twin(batch: NewBatch) -> Select[Any]:
    same = and_(batches.c.fingerprint == batch.fingerprint, batches.c.state.in_(BATCH_OPEN))
    return select(batches.c.id, batches.c.priority).where(same)


def set_batch_state(ledger: Ledger, batch_id: str, state: str, *, only_from: Sequence[str]) -> bool:
    with ledger.transaction() as connection:
        changed = connection.execute(
            batches.update().where(batches.c.id == batch_id, batches.c.state.in_(only_from)).values(state=state)
        ).rowcount
        if changed:
            ledger.note(connection, f"batch {state}", batch_id=batch_id)
    return bool(changed)


def settle_batch(ledger: Ledger, batch_id: str) -> str | None:
    """End a batch that has no open line left. Returns its final state; None when it is open or had ended."""
    still_open = select(lines.c.id).where(lines.c.batch_id == batch_id, lines.c.state.in_(LINE_OPEN)).limit(1)
    with ledger.engine.connect() as connection:  # checked after every line: reading must not wait for the write lock
        if connection.execute(still_open).first():
            return None
    with ledger.transaction() as connection:
        if connection.execute(still_open).first():
            return None
        states = set(connection.execute(select(lines.c.state).where(lines.c.batch_id == batch_id).distinct()).scalars())
        state = final_state(states)
        changed = connection.execute(
            batches.update()
            .where(batches.c.id == batch_id, batches.c.ended_at.is_(None))
            .values(state=state, ended_at=ledger.now(), manifest_sha256=None)
        ).rowcount
        if changed:
            ledger.note(connection, f"batch {state}", batch_id=batch_id)
    return state if changed else None


def cancel_lines(ledger: Ledger, batch_id: str, line: str | None = None) -> list[str]:
    """Cancel a batch's open lines, or one of them with all its parts. Returns the ids of those that were open.

    A line whose take was rejected keeps it: it is done again.
    """
    which = and_(lines.c.batch_id == batch_id, lines.c.state.in_(LINE_OPEN))
    if line is not None:
        which = and_(which, is_line(line))
    with ledger.transaction() as connection:
        own = select(takes.c.line_id).where(takes.c.id == lines.c.take_id).scalar_subquery() == lines.c.id
        state = case((lines.c.path.is_(None), LineState.CANCELLED), (own, LineState.DONE), else_=LineState.CACHED)
        cancelled = connection.execute(select(lines.c.id, state.label("state")).where(which)).all()
        connection.execute(lines.update().where(which).values(state=state, updated_at=ledger.now()))
        if cancelled:
            detail = {"lines": len(cancelled), "line": line}
            ledger.note(connection, "lines cancelled", batch_id=batch_id, detail=detail)
            for row in cancelled:
                entries.add(connection, "line", line=row.id, batch=batch_id, state=row.state, error=None)
    return [row.id for row in cancelled]


def retry_lines(
    ledger: Ledger,
    batch_id: str,
    line: str | None = None,
    states: Sequence[str] = (LineState.FAILED, LineState.CANCELLED),
) -> int:
    """Queue a batch's failed and cancelled lines again, or one of them with all its parts. Returns how many."""
    which = and_(lines.c.batch_id == batch_id, lines.c.state.in_(states))
    if line is not None:
        which = and_(which, is_line(line))
    with ledger.transaction() as connection:
        ids = list(connection.execute(select(lines.c.id).where(which)).scalars())
        connection.execute(
            lines.update()
            .where(which)
            .values(
                state=LineState.QUEUED,
                crashes=0,
                suspicion=0,
                trouble=None,
                troubles=None,
                error=None,
                tried=None,
                worker=None,
                updated_at=ledger.now(),
            )
        )
        if ids:
            open_again(connection, batch_id)
            ledger.note(connection, "lines retried", batch_id=batch_id, detail={"lines": len(ids), "line": line})
            for line_id in ids:
                entries.add(connection, "line", line=line_id, batch=batch_id, state=LineState.QUEUED, error=None)
    return len(ids)


def open_again(connection: Connection, batch_id: str) -> None:
    """Open a batch that has ended; one that is paused stays paused.

    If the same work was submitted since and is open, that batch keeps the fingerprint and this one gets its own.
    """
    ended = batches.update().where(batches.c.id == batch_id, batches.c.ended_at.is_not(None))
    opened = {"state": BatchState.OPEN, "ended_at": None}
    try:
        with connection.begin_nested():
            connection.execute(ended.values(opened))
    except IntegrityError:
        connection.execute(ended.values(**opened, fingerprint=batches.c.fingerprint + f" {batch_id}"))
