"""What `vvbatch status` shows: batches, queues, workers, recent failures and rates, from the ledger alone."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, or_, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.queries import FAILED_LINES, SCRIPTS, batch_rows, time_in_work, totals_of
from vvbatch.ledger.records import earlier
from vvbatch.ledger.schema import BATCH_OPEN, LINE_OPEN, batches, lines, queues, schedules, takes, workers
from vvbatch.ledger.states import GOOD_TAKES
from vvbatch.ledger.views import BatchRow, Failure, Overview, QueueView, Rates, TroubleView, WorkerView

OPEN_SHOWN = 30
ENDED_SHOWN = 5
FAILURES_SHOWN = 5
RATE_WINDOW_S = 600
RECENT_S = 86_400  # after its end a batch is news for so long: its failures and totals are shown


def overview(ledger: Ledger, kinds: Collection[str] = SCRIPTS) -> Overview:
    """Open batches first, then the newest ended, and failures, of these kinds; queues, workers and rates of all."""
    now = ledger.now()
    with ledger.engine.connect() as connection:
        listed = newest_batches(connection, kinds, now)
        recent = [each.batch for each in listed if each.ended_at and each.ended_at >= earlier(now, RECENT_S)]
        return Overview(
            batches=listed,
            totals=totals_of(connection, recent),
            queues=model_queues(connection),
            workers=running_workers(connection),
            failures=newest_failures(connection, kinds, now),
            troubles=troubles(connection),
            rates=rates(connection, now),
        )


def newest_batches(connection: Connection, kinds: Collection[str], now: str) -> list[BatchRow]:
    newest = select(batches).where(batches.c.kind.in_(kinds)).order_by(batches.c.created_at.desc())
    is_open = newest.where(batches.c.state.in_(BATCH_OPEN)).limit(OPEN_SHOWN)
    has_ended = newest.where(batches.c.state.not_in(BATCH_OPEN)).limit(ENDED_SHOWN)
    rows = [row for query in (is_open, has_ended) for row in connection.execute(query).mappings()]
    return batch_rows(connection, rows, now)


def model_queues(connection: Connection) -> list[QueueView]:
    query = (
        select(lines.c.model, lines.c.state, batches.c.state.label("batch"), func.count().label("count"))
        .join_from(lines, batches, batches.c.id == lines.c.batch_id)
        .where(lines.c.state.in_(LINE_OPEN))
        .group_by(lines.c.model, lines.c.state, batches.c.state)
    )
    found: dict[str, QueueView] = {}
    for row in connection.execute(select(queues)):
        found[row.name] = QueueView(row.name, row.name, paused=row.reason, paused_at=row.paused_at)
    for profile, state, batch_state, count in connection.execute(query):
        part = "rendering" if state == "rendering" else "held" if batch_state == "paused" else "waiting"
        view = found.setdefault(profile, QueueView(profile, profile))
        setattr(view, part, getattr(view, part) + count)
    return [found[profile] for profile in sorted(found)]


def running_workers(connection: Connection) -> list[WorkerView]:
    """Workers that have not recorded that they stopped, with how many lines each renders."""
    in_work = (
        select(lines.c.worker, func.count().label("count"))
        .where(lines.c.state == "rendering")
        .group_by(lines.c.worker)
        .subquery()
    )
    query = (
        select(workers, func.coalesce(in_work.c.count, 0).label("rendering"))
        .join_from(workers, in_work, in_work.c.worker == workers.c.id, isouter=True)
        .where(workers.c.state == "running")
        .order_by(workers.c.started_at)
    )
    return [
        WorkerView(
            worker=row.id,
            model=row.profile,
            profile=row.profile,
            host=row.host,
            pid=row.pid,
            device=row.facts.get("device"),
            dtype=row.facts.get("dtype"),
            rendering=row.rendering,
            started_at=row.started_at,
            slots=row.facts.get("slots"),
        )
        for row in connection.execute(query)
    ]


def newest_failures(connection: Connection, kinds: Collection[str], now: str) -> list[Failure]:
    """Of open batches, and of those that ended within the last day."""
    recent = or_(batches.c.ended_at.is_(None), batches.c.ended_at >= earlier(now, RECENT_S))
    query = FAILED_LINES.where(batches.c.kind.in_(kinds), recent).order_by(lines.c.updated_at.desc())
    return [Failure(**row) for row in connection.execute(query.limit(FAILURES_SHOWN)).mappings()]


def troubles(connection: Connection) -> list[TroubleView]:
    """How many lines of open batches wait for another try or have failed, by model and by what went wrong."""
    query = (
        select(lines.c.model, lines.c.trouble, lines.c.state, func.count().label("lines"))
        .join_from(lines, batches, batches.c.id == lines.c.batch_id)
        .where(batches.c.ended_at.is_(None), lines.c.trouble.is_not(None), lines.c.state.in_((*LINE_OPEN, "failed")))
        .group_by(lines.c.model, lines.c.trouble, lines.c.state)
        .order_by(lines.c.model, lines.c.trouble, lines.c.state)
    )
    return [TroubleView(profile=row["model"], **row) for row in connection.execute(query).mappings()]


def rates(connection: Connection, now: str) -> Rates:
    """Over the last ten minutes: good takes a minute and x real time, both None when nothing was rendered.

    Counted against the time in which something was in work, so that an idle minute does not count as a slow one.
    """
    since = earlier(now, RATE_WINDOW_S)
    parts = (takes.c.state, takes.c.duration_s, takes.c.created_at, takes.c.ended_at)
    rows = connection.execute(select(*parts).where(takes.c.ended_at >= since)).all()
    good = [row for row in rows if row.state in GOOD_TAKES]
    busy_s = time_in_work(rows)
    audio_s = sum(row.duration_s or 0.0 for row in good)
    return Rates(
        window_s=RATE_WINDOW_S,
        takes=len(good),
        takes_per_min=round(60 * len(good) / busy_s, 2) if good and busy_s else None,
        speed=round(audio_s / busy_s, 3) if audio_s and busy_s else None,
    )


def has_schedules(ledger: Ledger) -> bool:
    """Whether suites run automatically."""
    with ledger.engine.connect() as connection:
        return connection.execute(select(schedules.c.suite).limit(1)).first() is not None
