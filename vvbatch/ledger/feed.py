"""The ledger's events in the order in which they were recorded, from any of them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct
from sqlalchemy import and_, or_, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import events, lines
from vvbatch.ledger.views import Json

LATE_S = 10.0
"""An event is dated before its transaction is committed: it may appear after younger ones of other machines."""


class Place(NamedTuple):
    """Where a reader stands."""

    at: str
    id: str


class EventView(Struct, frozen=True):
    """`line` is the id in the script, and `id` what a reader resumes with."""

    id: str
    at: str
    kind: str
    batch: str | None
    line: str | None
    worker: str | None
    detail: Json


def place_of(text: str) -> Place | None:
    """The place of an event by its id; None for what is none."""
    at, found, event = text.partition("/")
    return Place(at, event) if found and at and event else None


def events_after(ledger: Ledger, place: Place, limit: int) -> Sequence[EventView]:
    """The next events, oldest first."""
    columns = (events.c.id, events.c.at, events.c.kind, events.c.batch_id, events.c.worker, events.c.detail)
    later = or_(events.c.at > place.at, and_(events.c.at == place.at, events.c.id > place.id))
    query = (
        select(*columns, lines.c.line)
        .join_from(events, lines, lines.c.id == events.c.line_id, isouter=True)
        .where(events.c.at >= place.at, later)
        .order_by(events.c.at, events.c.id)
        .limit(limit)
    )
    with ledger.engine.connect() as connection:
        return [
            EventView(f"{row.at}/{row.id}", row.at, row.kind, row.batch_id, row.line, row.worker, row.detail)
            for row in connection.execute(query)
        ]
