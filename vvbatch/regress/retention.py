"""Retention: remove the audio of old nights, by `keep_nights` of the suite. Rows and baselines stay."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import select

from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.database import write
from vvbatch.ledger.schema import lines, nights, takes
from vvbatch.regress.baseline import folder
from vvbatch.regress.suite import Suite


def prune(ledger: Ledger, home: Home, suite: Suite) -> list[str]:
    """Remove the audio of all but the newest `keep_nights` nights of each profile; returns the nights' ids.

    The paths are removed from the ledger first: a crash in between leaves files without rows, never rows without files.
    """
    root = folder(home, suite.name) / "nights"
    query = (
        select(nights.c.id, nights.c.profile, nights.c.batch_id, nights.c.pruned_at)
        .where(nights.c.suite == suite.name, nights.c.state != "running")
        .order_by(nights.c.started_at.desc())
    )
    with ledger.engine.connect() as connection:
        rows = connection.execute(query).all()
    seen: dict[str, int] = {}
    pruned = []
    for row in rows:
        seen[row.profile] = seen.get(row.profile, 0) + 1
        if seen[row.profile] <= suite.settings.keep_nights or row.pruned_at is not None:
            continue
        with write(ledger.engine) as connection:
            connection.execute(nights.update().where(nights.c.id == row.id).values(pruned_at=ledger.now()))
            for table in (lines, takes):
                connection.execute(table.update().where(table.c.batch_id == row.batch_id).values(path=None))
        if row.batch_id:
            remove(root, row.batch_id)
        pruned.append(row.id)
    return pruned


def remove(root: Path, batch_id: str) -> None:
    """Remove the folder of a batch, if it is a real folder directly under `root`."""
    path = root / batch_id
    if path.parent == root and path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
