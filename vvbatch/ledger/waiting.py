"""Lines that wait for a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import batches, lines

Waiting = tuple[str, str, str]
"""Line id, model, priority."""


def waiting_lines(
    ledger: Ledger, *, model: str | None = None, batch_id: str | None = None, ids: Sequence[str] | None = None
) -> list[Waiting]:
    """Queued lines of open batches, oldest batch first."""
    query = waits(select(lines.c.id, lines.c.model, batches.c.priority)).order_by(batches.c.created_at, lines.c.number)
    if model is not None:
        query = query.where(lines.c.model == model)
    if batch_id is not None:
        query = query.where(lines.c.batch_id == batch_id)
    if ids is not None:
        query = query.where(lines.c.id.in_(ids))
    with ledger.engine.connect() as connection:
        return [(row.id, row.model, row.priority) for row in connection.execute(query)]


def waiting_count(ledger: Ledger, model: str) -> int:
    query = waits(select(func.count()).select_from(lines)).where(lines.c.model == model)
    with ledger.engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def waiting_by_model(ledger: Ledger, batch_ids: Sequence[str] | None = None) -> dict[str, int]:
    """How many lines wait for each model: of these batches, or of all that are open."""
    query = waits(select(lines.c.model, func.count().label("waiting"))).group_by(lines.c.model)
    if batch_ids is not None:
        query = query.where(lines.c.batch_id.in_(batch_ids))
    with ledger.engine.connect() as connection:
        return {row.model: row.waiting for row in connection.execute(query)}


def waits(query: Select[Any]) -> Select[Any]:
    joined = query.join(batches, batches.c.id == lines.c.batch_id)
    return joined.where(lines.c.state == "queued", batches.c.state == "open")
