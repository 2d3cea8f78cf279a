"""Which finished take may serve a line with the same key. Every look for one uses this condition."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, exists, select

from vvbatch.ledger.records import CachedTake
from vvbatch.ledger.schema import takes
from vvbatch.ledger.states import TakeState


def sounds_rejected() -> ColumnElement[bool]:
    """The condition that a take with the same key and seed was rejected: both sound the same."""
    rejected = takes.alias("rejected")
    same = and_(rejected.c.state == TakeState.REJECTED, rejected.c.key == takes.c.key, rejected.c.seed == takes.c.seed)
    return exists(select(1).select_from(rejected).where(same))


def may_serve() -> ColumnElement[bool]:
    """The condition that a take is kept, and that none that sounds the same was rejected."""
    return and_(takes.c.state == TakeState.DONE, ~sounds_rejected())


def still_serves(take_id: str) -> ColumnElement[bool]:
    """The condition that this take may still serve a line when it is recorded: it may be rejected at any moment."""
    return exists(select(1).select_from(takes).where(takes.c.id == take_id, may_serve()))


def equal_take(connection: Connection, line: RowMapping) -> CachedTake | None:
    """The newest take that may serve a line; None for one whose take was rejected: it is to be rendered."""
    if line["take_id"] is not None:
        return None
    query = select(takes.c.id, takes.c.path, takes.c.sha256).where(takes.c.key == line["key"], may_serve())
    row = connection.execute(query.order_by(takes.c.ended_at.desc())).first()
    return CachedTake(*row) if row else None


def rejected_seeds(connection: Connection, key: str) -> frozenset[int]:
    """The seeds of the rejected takes with this key: no line with it is rendered with them again."""
    query = select(takes.c.seed).where(takes.c.state == TakeState.REJECTED, takes.c.key == key)
    return frozenset(connection.execute(query).scalars())
