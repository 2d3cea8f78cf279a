"""Entries for the journal, collected with the connection of the transaction that makes the change.

A transaction that is rolled back leaves none: `Ledger.transaction` passes them on after its commit.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, select

from vvbatch.ledger.records import CheckRow, Fence, Outcome
from vvbatch.ledger.schema import lines, takes

Entry = Mapping[str, object]

COLLECTED = "vvbatch.journal"
MEASURED = ("error", "duration_s", "wall_s", "first_chunk_s", "peak_dbfs", "score", "sha256")


def begin(connection: Connection) -> list[Entry]:
    """The list that this transaction's entries go into; `info` lives as long as the pooled connection."""
    collected: list[Entry] = []
    connection.info[COLLECTED] = collected
    return collected


def add(connection: Connection, kind: str, **facts: object) -> None:
    connection.info[COLLECTED].append({"kind": kind, **facts})


def take_begun(connection: Connection, claim: Fence, take_id: str, seed: int, profile: str) -> None:
    of_line = {"line": claim.line_id, "worker": claim.worker}
    add(connection, "take", take=take_id, state="rendering", **of_line, attempt=claim.attempt, seed=seed, model=profile)


def take_ended(connection: Connection, take_id: str, outcome: Outcome, fence: Fence | None) -> None:
    of_line = {"line": fence.line_id, "worker": fence.worker} if fence else {}
    measured = {name: getattr(outcome, name) for name in MEASURED}
    failed = [check.name for row in outcome.qc if not (check := CheckRow(*row)).ok]
    add(connection, "take", take=take_id, state=outcome.state, **of_line, **measured, failed_checks=failed)


def lines_changed(connection: Connection, which: ColumnElement[bool]) -> list[str]:
    """An entry for each line that a change of many has just changed. Returns their ids."""
    query = select(lines.c.id, lines.c.batch_id, lines.c.state, lines.c.error).where(which).order_by(lines.c.id)
    rows = connection.execute(query).all()
    for row in rows:
        add(connection, "line", line=row.id, batch=row.batch_id, state=row.state, error=row.error)
    return [row.id for row in rows]


def takes_changed(connection: Connection, which: ColumnElement[bool]) -> None:
    """An entry for each take that a change of many has just ended."""
    query = select(takes.c.id, takes.c.line_id, takes.c.state, takes.c.error).where(which).order_by(takes.c.id)
    for row in connection.execute(query):
        add(connection, "take", take=row.id, state=row.state, line=row.line_id, error=row.error)
