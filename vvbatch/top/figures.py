"""The queries of a poll, one for each figure; each finds its rows by an index and reads a limited number of them."""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import psutil
from sqlalchemy import Connection, Row, bindparam, func, select

from vvbatch.ledger.forecast import covered_s
from vvbatch.ledger.overview import RATE_WINDOW_S
from vvbatch.ledger.queries import seconds
from vvbatch.ledger.records import earlier
from vvbatch.ledger.schema import batches, events, lines, queues, takes
from vvbatch.ledger.states import GOOD_TAKES, BatchState, LineState
from vvbatch.ledger.views import WorkerView
from vvbatch.top.snapshot import Take, Worker

OPEN_SHOWN = 200
ENDED_SHOWN = 20
TAKES_READ = 200
LATE_S = 5.0

BATCH_NAMES = ("id", "title", "state", "model", "priority", "out", "created_at", "ended_at")
TAKE_NAMES = (
    "state",
    "profile",
    "worker",
    "duration_s",
    "wall_s",
    "score",
    "seed",
    "text",
    "error",
    "path",
    "ended_at",
)


CHOSEN_BATCHES = select(*(batches.c[name] for name in BATCH_NAMES)).where(
    batches.c.kind.in_(bindparam("kinds", expanding=True))
)
OPEN_BATCHES = (
    CHOSEN_BATCHES.where(batches.c.state.in_((BatchState.OPEN, BatchState.PAUSED)))
    .order_by(batches.c.created_at)
    .limit(OPEN_SHOWN)
)
ENDED_BATCHES = (
    CHOSEN_BATCHES.where(batches.c.state.in_((BatchState.DONE, BatchState.FAILED, BatchState.CANCELLED)))
    .order_by(batches.c.created_at.desc())
    .limit(ENDED_SHOWN)
)
LINES_IN_WORK = (
    select(
        *(lines.c.batch_id, lines.c.number, lines.c.model),
        (func.length(lines.c.text) * lines.c.takes).label("characters"),
        takes.c.created_at.label("begun_at"),
    )
    .select_from(
        lines.outerjoin(takes, (takes.c.line_id == lines.c.id) & (takes.c.attempt == lines.c.attempt)),
    )
    .where(lines.c.state == LineState.RENDERING)
)
NEWEST_TAKES = (
    select(
        *(takes.c.id, takes.c.batch_id, lines.c.line, lines.c.number, takes.c.created_at),
        *(takes.c[name] for name in TAKE_NAMES),
    )
    .join_from(takes, lines, lines.c.id == takes.c.line_id)
    .where(takes.c.ended_at >= bindparam("since"))
    .order_by(takes.c.ended_at.desc())
    .limit(TAKES_READ)
)
PAUSED_QUEUES = select(queues.c.name, queues.c.reason)
CHANGED_BATCHES = (
    select(events.c.batch_id, func.max(events.c.at))
    .where(events.c.at > bindparam("since"), events.c.batch_id.is_not(None), events.c.line_id.is_(None))
    .group_by(events.c.batch_id)
)
"""Of which many lines may have changed at once: cancelled, retried, submitted again."""


def batch_rows(connection: Connection, kinds: Collection[str]) -> list[Row[Any]]:
    """Open batches, oldest first, then the newest that have ended."""
    where = {"kinds": list(kinds)}
    return [*connection.execute(OPEN_BATCHES, where), *connection.execute(ENDED_BATCHES, where)]


def with_newest(connection: Connection, known: Sequence[Take]) -> list[Take]:
    """The newest takes of all batches that have ended, newest first; those `known` are not read again.

    A transaction may be committed after one whose take has ended later, so the last seconds are read again.
    """
    since = known[0].ended_at if known else ""
    since = earlier(since, LATE_S) if since else since
    names = {take.name for take in known}
    fresh = [take_of(row) for row in connection.execute(NEWEST_TAKES, {"since": since}) if row.id not in names]
    if not fresh:
        return list(known)
    return sorted((*fresh, *known), key=lambda take: take.span[1], reverse=True)[:TAKES_READ]


def take_of(row: Row[Any]) -> Take:
    fields = row._mapping
    return Take(
        name=row.id,
        batch=row.batch_id,
        line=row.line,
        number=row.number,
        span=(seconds(row.created_at), seconds(row.ended_at)),
        **{name: fields[name] for name in TAKE_NAMES},
    )


def in_window(recent: Sequence[Take], now: str) -> list[Take]:
    """Those that ended within the last ten minutes."""
    begin = seconds(now) - RATE_WINDOW_S
    return [take for take in recent if take.span[1] >= begin]


def busy_s(of: Sequence[Take]) -> float:
    """Wall seconds in which at least one of these was in work."""
    return covered_s(take.span for take in of)


class Rate(NamedTuple):
    speed: float | None  # seconds of good audio a second in work
    takes_per_min: float | None


def rate(of: Sequence[Take]) -> Rate:
    """None where nothing good was rendered."""
    good = [take for take in of if take.state in GOOD_TAKES]
    wall_s = busy_s(of)
    if not good or not wall_s:
        return Rate(None, None)
    return Rate(sum(take.duration_s or 0.0 for take in good) / wall_s or None, 60 * len(good) / wall_s)


def worker(view: WorkerView, recent: Sequence[Take], host: str | None = None) -> Worker:
    """A worker with the speed of its `recent` takes, and its memory when it runs on this machine."""
    own = [take for take in recent if take.worker == view.worker]
    return Worker(
        name=view.worker,
        profile=view.profile,
        host=view.host,
        pid=view.pid,
        device=view.device,
        dtype=view.dtype,
        slots=view.slots,
        rendering=view.rendering,
        speed=rate(own).speed,
        takes=len(own),
        memory_bytes=memory_bytes(view) if view.host == (host or socket.gethostname()) else None,
        started_at=view.started_at,
    )


def memory_bytes(view: WorkerView) -> int | None:
    """Resident memory of a worker of this machine; None when it is gone and its number belongs to another process."""
    try:
        process = psutil.Process(view.pid)
        # The ledger records a worker when its model is loaded, so its process is older than its row.
        if process.create_time() > seconds(view.started_at) + 1:
            return None
        return int(process.memory_info().rss)
    except psutil.Error:
        return None
