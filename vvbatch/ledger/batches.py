"""Recording a batch. The same work (fingerprint) has one open batch at most, whatever several processes do at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Select, and_, select
from sqlalchemy.exc import IntegrityError

from vvbatch.ledger import entries
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import AddedBatch, NewBatch, chunks, columns, line_row
from vvbatch.ledger.schema import BATCH_OPEN, batches, lines

if TYPE_CHECKING:  # reading commands start quicker without what planning needs
    from vvbatch.batch.plan import PlannedLine


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
    """Insert the row, or return the open twin that another process committed since it was looked for."""
    try:
        with connection.begin_nested():
            row = {**columns(batch), "priority": batch.priority or "normal", "state": "open", "created_at": now}
            connection.execute(batches.insert().values(row))
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
    rows = connection.execute(select(lines.c.line, lines.c.pause_after_s).where(mine))
    pauses = {row.line: row.pause_after_s for row in rows}
    edited = [line for line in new_lines if pauses[line.line] != line.pause_after_s]
    for line in edited:
        which = and_(mine, lines.c.line == line.line)
        connection.execute(lines.update().where(which).values(pause_after_s=line.pause_after_s))
    priority = batch.priority or old
    if old != priority:
        connection.execute(batches.update().where(batches.c.id == batch_id).values(priority=priority))
    added = AddedBatch(batch_id, False, priority, old if old != priority else None, len(edited))
    if added.old_priority or edited:
        detail = {"priority": priority, "pauses_changed": len(edited)}
        ledger.note(connection, "batch changed", batch_id=batch_id, detail=detail)
    return added


def open_twin(batch: NewBatch) -> Select[Any]:
    same = and_(batches.c.fingerprint == batch.fingerprint, batches.c.state.in_(BATCH_OPEN))
    return select(batches.c.id, batches.c.priority).where(same)
