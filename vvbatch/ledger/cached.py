"""Finished takes that serve other lines with the same key, instead of a rendering."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import and_, select

from vvbatch.ledger.database import write
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import CachedTake, chunks
from vvbatch.ledger.schema import lines, takes

if TYPE_CHECKING:
    from vvbatch.batch.plan import PlannedLine
    from vvbatch.store import Staged

DONE = select(takes.c.key, takes.c.id, takes.c.path, takes.c.sha256).where(takes.c.state == "done")


def cached_takes(ledger: Ledger, planned: Sequence[PlannedLine]) -> dict[str, CachedTake]:
    """Finished takes by the key of a planned line; of several the newest, made because the older one's file had gone.

    A line that may be escalated is also served by a take of the other profile, if takes of its own have failed.
    """
    found: dict[str, CachedTake] = {}
    first = takes.alias("first")
    escalated = {line.escalate.key: line.key for line in planned if line.escalate}
    with ledger.engine.connect() as connection:
        for chunk in chunks(escalated, 500):
            query = DONE.join(first, first.c.line_id == takes.c.line_id).where(takes.c.key.in_(chunk))
            tried_before = query.add_columns(first.c.key.label("first")).order_by(takes.c.ended_at)
            for row in connection.execute(tried_before):
                if row.first == escalated[row.key]:
                    found[row.first] = CachedTake(row.id, row.path, row.sha256)
        for chunk in chunks((line.key for line in planned), 500):
            rows = connection.execute(DONE.where(takes.c.key.in_(chunk)).order_by(takes.c.ended_at))
            found.update({row.key: CachedTake(row.id, row.path, row.sha256) for row in rows})
    return found


def serve_cached(ledger: Ledger, served: Iterable[tuple[str, CachedTake, Staged]]) -> None:
    """Lines that nobody has begun are served by equal takes' files, which get their names here. Raises OSError."""
    with write(ledger.engine) as connection:
        for line_id, take, staged in served:
            values = {"take_id": take.take_id, "path": str(staged.path), "sha256": take.sha256}
            waits = and_(lines.c.id == line_id, lines.c.state == "queued")
            served_now = {**values, "state": "cached", "updated_at": ledger.now()}
            if connection.execute(lines.update().where(waits).values(served_now)).rowcount:
                staged.publish()
