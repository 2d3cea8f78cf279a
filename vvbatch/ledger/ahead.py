"""What is rendered before a batch that waits: the order of batches, paused queues, and lines of other batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import func, or_, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import batches, lines, queues
from vvbatch.ledger.states import PRIORITIES, BatchState, LineState

Place = tuple[int, str, str]


def place_in_queue(priority: str, created_at: str, batch_id: str = "") -> Place:
    """Sorts batches as they are rendered: by priority, then by age."""
    return PRIORITIES.index(priority), created_at, batch_id


class Ahead(NamedTuple):
    """Of one batch, for the profiles that its queued lines wait for."""

    waiting: Mapping[str, int]  # its queued lines, by profile
    paused: Mapping[str, str]  # why a profile's queue is paused
    batches: Sequence[tuple[str, int]]  # other batches and how many of their lines are rendered first, nearest first


def ahead_of(ledger: Ledger, batch_ids: Collection[str]) -> dict[str, Ahead]:
    """Of each of these batches, whose ids are whole. Nothing is ahead of one that is unknown."""
    queued = (
        select(batches.c.id, batches.c.priority, batches.c.created_at, batches.c.state, lines.c.model, func.count())
        .join_from(batches, lines, lines.c.batch_id == batches.c.id)
        .where(or_(batches.c.state == BatchState.OPEN, batches.c.id.in_(batch_ids)))
        .where(lines.c.state == LineState.QUEUED)
        .group_by(batches.c.id, batches.c.priority, batches.c.created_at, batches.c.state, lines.c.model)
    )
    with ledger.engine.connect() as connection:
        paused = {row.name: row.reason for row in connection.execute(select(queues.c.name, queues.c.reason))}
        rows = connection.execute(queued).all()
    waiting: dict[str, dict[str, int]] = {}
    places: dict[str, Place] = {}
    is_open = set()
    for batch_id, priority, created_at, state, profile, count in rows:
        waiting.setdefault(batch_id, {})[profile] = count
        places[batch_id] = place_in_queue(priority, created_at, batch_id)
        if state == BatchState.OPEN:
            is_open.add(batch_id)
    nearest_first = sorted(is_open, key=places.__getitem__, reverse=True)

    def ahead(batch_id: str) -> Ahead:
        mine = waiting.get(batch_id, {})
        before = [other for other in nearest_first if mine and places[other] < places[batch_id]]
        counts = [(other, sum(waiting[other].get(profile, 0) for profile in mine)) for other in before]
        reasons = {profile: paused[profile] for profile in sorted(mine) if profile in paused}
        return Ahead(mine, reasons, [(other, count) for other, count in counts if count])

    return {batch_id: ahead(batch_id) for batch_id in batch_ids}
