"""A profile's queue as the ledger knows it: the lines that wait in it, and whether it is paused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select

from vvbatch import profiles
from vvbatch.batch.admission import WaitingLine, admission_order
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import batches, lines, queues

Waiting = tuple[str, str, str]
"""Line id, profile, priority."""


def waiting_lines(
    ledger: Ledger, *, profile: str | None = None, batch_id: str | None = None, ids: Sequence[str] | None = None
) -> list[Waiting]:
    """Queued lines of open batches, oldest batch first, in the order in which they enter the queue."""
    characters = func.length(lines.c.text) * lines.c.takes
    columns = (lines.c.id, lines.c.batch_id, lines.c.model, batches.c.priority, characters)
    query = waits(select(*columns)).order_by(batches.c.created_at, lines.c.batch_id, lines.c.number)
    if profile is not None:
        query = query.where(lines.c.model == profile)
    if batch_id is not None:
        query = query.where(lines.c.batch_id == batch_id)
    if ids is not None:
        query = query.where(lines.c.id.in_(ids))
    with ledger.engine.connect() as connection:
        waiting = [WaitingLine(*row) for row in connection.execute(query)]
    return [(line.id, line.profile, line.priority) for line in admission_order(waiting, slots_of)]


def slots_of(profile: str) -> int:
    """The slots of a profile; the default's for one that is gone, or leaves them to the machine that renders."""
    try:
        return profiles.load(profile).slots or profiles.SLOTS
    except profiles.ProfileError:
        return profiles.SLOTS


def waiting_count(ledger: Ledger, profile: str) -> int:
    query = waits(select(func.count()).select_from(lines)).where(lines.c.model == profile)
    with ledger.engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def waiting_by_profile(ledger: Ledger, batch_ids: Sequence[str] | None = None) -> dict[str, int]:
    """How many lines wait for each profile: of these batches, or of all that are open."""
    query = waits(select(lines.c.model, func.count().label("waiting"))).group_by(lines.c.model)
    if batch_ids is not None:
        query = query.where(lines.c.batch_id.in_(batch_ids))
    with ledger.engine.connect() as connection:
        return {row.model: row.waiting for row in connection.execute(query)}


def waits(query: Select[Any]) -> Select[Any]:
    joined = query.join(batches, batches.c.id == lines.c.batch_id)
    return joined.where(lines.c.state == "queued", batches.c.state == "open")


def pause_queue(ledger: Ledger, name: str, reason: str, probe: str | None = None, need_bytes: int = 0) -> None:
    """With a `probe` folder a worker ends the pause when that accepts `need_bytes`; a manual pause is kept."""
    with ledger.transaction() as connection:
        old = connection.execute(select(queues.c.probe).where(queues.c.name == name)).first()
        if probe is not None and old is not None:
            return
        connection.execute(queues.delete().where(queues.c.name == name))
        values = {"reason": reason, "probe": probe, "need_bytes": need_bytes if probe else None}
        connection.execute(queues.insert().values(name=name, paused_at=ledger.now(), **values))
        ledger.note(connection, "queue paused", detail={"queue": name, "reason": reason})


def resume_queue(ledger: Ledger, name: str) -> bool:
    with ledger.transaction() as connection:
        changed = connection.execute(queues.delete().where(queues.c.name == name)).rowcount
        if changed:
            ledger.note(connection, "queue resumed", detail={"queue": name})
    return bool(changed)


def probe_of_pause(ledger: Ledger, name: str) -> tuple[str, int] | None:
    """The folder that a paused queue waits for, and how many bytes it must accept."""
    query = select(queues.c.probe, queues.c.need_bytes).where(queues.c.name == name, queues.c.probe.is_not(None))
    with ledger.engine.connect() as connection:
        row = connection.execute(query).first()
    return (row.probe, row.need_bytes) if row else None


def queue_is_paused(ledger: Ledger, name: str) -> bool:
    with ledger.engine.connect() as connection:
        return connection.execute(select(queues.c.name).where(queues.c.name == name)).first() is not None
