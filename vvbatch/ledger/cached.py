"""Lines of a new batch that equal takes serve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy import and_

from vvbatch.ledger.database import write
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import CachedTake
from vvbatch.ledger.schema import lines

if TYPE_CHECKING:
    from vvbatch.store import Staged


def serve_cached(ledger: Ledger, served: Iterable[tuple[str, CachedTake, Staged]]) -> None:
    """Lines that nobody has begun are served by equal takes' files, which get their names here. Raises OSError."""
    with write(ledger.engine) as connection:
        for line_id, take, staged in served:
            values = {"take_id": take.take_id, "path": str(staged.path), "sha256": take.sha256}
            waits = and_(lines.c.id == line_id, lines.c.state == "queued")
            served_now = {**values, "state": "cached", "updated_at": ledger.now()}
            if connection.execute(lines.update().where(waits).values(served_now)).rowcount:
                staged.publish()
