"""Worker processes as the ledger knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from vvbatch.ledger.database import write
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import workers


def worker_started(ledger: Ledger, name: str, profile: str, host: str, pid: int, facts: Mapping[str, Any]) -> None:
    row = {"id": name, "profile": profile, "host": host, "pid": pid, "facts": facts}
    with write(ledger.engine) as connection:
        connection.execute(workers.insert().values(**row, state="running", started_at=ledger.now()))
        ledger.note(connection, "worker started", worker=name)


def worker_stopped(ledger: Ledger, name: str) -> None:
    with write(ledger.engine) as connection:
        ended = {"state": "stopped", "ended_at": ledger.now()}
        connection.execute(workers.update().where(workers.c.id == name).values(ended))
        ledger.note(connection, "worker stopped", worker=name)


def worker_lives(ledger: Ledger, name: str) -> None:
    """Also a way to learn whether the ledger takes writes: raises the database's error when it does not."""
    with write(ledger.engine) as connection:
        connection.execute(workers.update().where(workers.c.id == name).values(state="running", ended_at=None))


def running(ledger: Ledger) -> set[str]:
    """The workers that have not said that they stopped: some of them may be dead."""
    with ledger.engine.connect() as connection:
        return set(connection.execute(select(workers.c.id).where(workers.c.state == "running")).scalars())
