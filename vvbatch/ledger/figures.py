"""Figures for monitoring: what waits, what has ended since, the last nights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import and_, func, or_, select

from vvbatch.ledger.feed import Place
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import batches, lines, nights, qc_results, takes, verdicts
from vvbatch.ledger.states import BatchState, LineState


class Queued(NamedTuple):
    """Lines of open batches that wait; `oldest` is since when the first of them does."""

    profile: str
    priority: str
    lines: int
    oldest: str


class EndedTake(NamedTuple):
    id: str
    ended_at: str
    profile: str
    device: str
    state: str
    attempt: int
    duration_s: float | None
    rtf: float | None
    first_chunk_s: float | None
    failed_checks: Sequence[str]

    @property
    def place(self) -> Place:
        return Place(self.ended_at, self.id)


class NightFigure(NamedTuple):
    """Lines of a suite's last night by their verdict."""

    suite: str
    profile: str
    verdict: str
    lines: int


def queued_lines(ledger: Ledger) -> list[Queued]:
    query = (
        select(lines.c.model, batches.c.priority, func.count(), func.min(lines.c.updated_at))
        .join_from(lines, batches, batches.c.id == lines.c.batch_id)
        .where(lines.c.state == LineState.QUEUED, batches.c.state == BatchState.OPEN)
        .group_by(lines.c.model, batches.c.priority)
    )
    with ledger.engine.connect() as connection:
        return [Queued(*row) for row in connection.execute(query)]


def takes_after(ledger: Ledger, place: Place, limit: int) -> list[EndedTake]:
    """The next takes that have ended, in that order."""
    names = EndedTake._fields[:-1]
    later = or_(takes.c.ended_at > place.at, and_(takes.c.ended_at == place.at, takes.c.id > place.id))
    query = (
        select(*(takes.c[name] for name in names))
        .where(takes.c.ended_at >= place.at, later)
        .order_by(takes.c.ended_at, takes.c.id)
        .limit(limit)
    )
    with ledger.engine.connect() as connection:
        rows = connection.execute(query).all()
        failed: dict[str, list[str]] = {}
        checks = select(qc_results.c.take_id, qc_results.c.name).where(
            qc_results.c.take_id.in_([row.id for row in rows if row.state == "failed_qc"]), ~qc_results.c.ok
        )
        for take, name in connection.execute(checks):
            failed.setdefault(take, []).append(name)
    return [EndedTake(**row._mapping, failed_checks=failed.get(row.id, ())) for row in rows]


def last_nights(ledger: Ledger) -> list[NightFigure]:
    newest = (
        select(nights.c.suite, nights.c.profile, func.max(nights.c.started_at).label("started_at"))
        .where(nights.c.state == "ended")
        .group_by(nights.c.suite, nights.c.profile)
        .subquery()
    )
    of_newest = and_(
        nights.c.suite == newest.c.suite,
        nights.c.profile == newest.c.profile,
        nights.c.started_at == newest.c.started_at,
    )
    query = (
        select(nights.c.suite, nights.c.profile, verdicts.c.verdict, func.count())
        .join_from(nights, newest, of_newest)
        .join(verdicts, verdicts.c.night_id == nights.c.id)
        .group_by(nights.c.suite, nights.c.profile, verdicts.c.verdict)
    )
    with ledger.engine.connect() as connection:
        return [NightFigure(*row) for row in connection.execute(query)]
