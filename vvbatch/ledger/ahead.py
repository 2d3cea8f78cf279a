"""What stands before a batch that waits: paused queues, and lines of other batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import and_, case, func, or_, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import batches, lines, queues
from vvbatch.ledger.states import PRIORITIES, BatchState, LineState

RANK = case({name: rank for rank, name in enumerate(PRIORITIES)}, value=batches.c.priority, else_=len(PRIORITIES))


class Ahead(NamedTuple):
    """Of one batch, for the profiles that its queued lines wait for."""

    waiting: Mapping[str, int]  # its queued lines, by profile
    paused: Mapping[str, str]  # why a profile's queue is paused
    batches: Sequence[tuple[str, int]]  # other batches and how many of their lines are rendered first, nearest first


def ahead_of(ledger: Ledger, batch_id: str) -> Ahead:
    """Lines of a higher priority, and of an equal one if their batch is older. Nothing for a batch that is unknown."""
    own = (
        select(lines.c.model, func.count())
        .where(lines.c.batch_id == batch_id, lines.c.state == LineState.QUEUED)
        .group_by(lines.c.model)
    )
    place = select(RANK, batches.c.created_at).where(batches.c.id == batch_id)
    with ledger.engine.connect() as connection:
        waiting = {row[0]: row[1] for row in connection.execute(own)}
        found = connection.execute(place).first()
        if not waiting or found is None:
            return Ahead({}, {}, [])
        rank, created_at = found
        paused = connection.execute(select(queues.c.name, queues.c.reason).where(queues.c.name.in_(waiting))).all()
        before = or_(rank > RANK, and_(rank == RANK, batches.c.created_at < created_at))
        others = (
            select(batches.c.id, func.count())
            .join_from(batches, lines, lines.c.batch_id == batches.c.id)
            .where(batches.c.state == BatchState.OPEN, batches.c.id != batch_id, before)
            .where(lines.c.state == LineState.QUEUED, lines.c.model.in_(waiting))
            .group_by(batches.c.id, RANK, batches.c.created_at)
            .order_by(RANK.desc(), batches.c.created_at.desc())
        )
        reasons = {row.name: row.reason for row in paused}
        return Ahead(waiting, reasons, [(row[0], row[1]) for row in connection.execute(others)])
