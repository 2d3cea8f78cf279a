"""Pauses of a model's queue: by hand, or until a folder takes files again."""

from __future__ import annotations

from sqlalchemy import select

from vvbatch.ledger.database import write
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import queues


def pause_queue(ledger: Ledger, name: str, reason: str, probe: str | None = None, need_bytes: int = 0) -> None:
    """With a `probe` folder a worker ends the pause when that takes `need_bytes`; one by hand stays as it is."""
    with write(ledger.engine) as connection:
        old = connection.execute(select(queues.c.probe).where(queues.c.name == name)).first()
        if probe is not None and old is not None:
            return
        connection.execute(queues.delete().where(queues.c.name == name))
        values = {"reason": reason, "probe": probe, "need_bytes": need_bytes if probe else None}
        connection.execute(queues.insert().values(name=name, paused_at=ledger.now(), **values))
        ledger.note(connection, "queue paused", detail={"queue": name, "reason": reason})


def resume_queue(ledger: Ledger, name: str) -> bool:
    with write(ledger.engine) as connection:
        changed = connection.execute(queues.delete().where(queues.c.name == name)).rowcount
        if changed:
            ledger.note(connection, "queue resumed", detail={"queue": name})
    return bool(changed)


def probe_of_pause(ledger: Ledger, name: str) -> tuple[str, int] | None:
    """The folder that a paused queue waits for, and how many bytes it must take."""
    query = select(queues.c.probe, queues.c.need_bytes).where(queues.c.name == name, queues.c.probe.is_not(None))
    with ledger.engine.connect() as connection:
        row = connection.execute(query).first()
    return (row.probe, row.need_bytes) if row else None


def queue_is_paused(ledger: Ledger, name: str) -> bool:
    with ledger.engine.connect() as connection:
        return connection.execute(select(queues.c.name).where(queues.c.name == name)).first() is not None
