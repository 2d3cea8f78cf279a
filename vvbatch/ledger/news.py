"""Batches that ended, or of which nothing has changed for long: what `--notify` reports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import func, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.queries import SCRIPTS
from vvbatch.ledger.schema import batches, events, lines
from vvbatch.ledger.states import BatchState

NOTIFIED = "notified"


class News(NamedTuple):
    """`at` is when the batch ended, or when something of it changed last."""

    batch: str
    event: str  # ended, stalled
    at: str


def news_since(
    ledger: Ledger,
    begun: str,
    stalled_before: str,
    among: Sequence[str] | None = None,
    kinds: Collection[str] = SCRIPTS,
) -> list[News]:
    """Batches that ended since `begun`, and open ones of which nothing has changed since `stalled_before`.

    Those `among` these ids only, if any are given. A batch that is paused is not stalled.
    """
    changed = func.max(lines.c.updated_at)
    ended = select(batches.c.id, batches.c.ended_at).where(batches.c.ended_at >= begun)
    still = (
        select(batches.c.id, changed)
        .join_from(batches, lines, lines.c.batch_id == batches.c.id)
        .where(batches.c.state == BatchState.OPEN)
        .group_by(batches.c.id)
        .having(changed < stalled_before)
    )
    found = []
    with ledger.engine.connect() as connection:
        for event, query in (("ended", ended), ("stalled", still)):
            query = query.where(batches.c.kind.in_(kinds))
            if among is not None:
                query = query.where(batches.c.id.in_(among))
            found += [News(row[0], event, row[1]) for row in connection.execute(query)]
    return found


def record_notification(ledger: Ledger, news: News) -> bool:
    """Record that the notification is sent; False if it was sent before, by any process."""
    sent = select(events.c.detail).where(events.c.batch_id == news.batch, events.c.kind == NOTIFIED)
    detail = {"event": news.event, "at": news.at}
    with ledger.transaction() as connection:
        if detail in connection.execute(sent).scalars().all():
            return False
        ledger.note(connection, NOTIFIED, batch_id=news.batch, detail=detail)
    return True
