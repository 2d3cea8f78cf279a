"""One line by its id in the ledger: its state and its file."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Select, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import lines, takes
from vvbatch.ledger.states import LineState


class LineNow(NamedTuple):
    state: LineState
    take: str | None
    path: str | None
    error: str | None
    trouble: str | None

    @property
    def ended(self) -> bool:
        return self.state not in (LineState.QUEUED, LineState.RENDERING)


def line_now(ledger: Ledger, line_id: str) -> LineNow | None:
    """None for a line that the ledger does not have."""
    columns = (lines.c.state, lines.c.take_id, lines.c.path, lines.c.error, lines.c.trouble)
    with ledger.engine.connect() as connection:
        row = connection.execute(select(*columns).where(lines.c.id == line_id)).first()
    return LineNow(LineState(row.state), *row[1:]) if row else None


def line_id_of(ledger: Ledger, batch_id: str, line: str) -> str | None:
    """The ledger's id of a batch's line; None where the batch has none of that id."""
    query = select(lines.c.id).where(lines.c.batch_id == batch_id, lines.c.line == line)
    with ledger.engine.connect() as connection:
        return connection.execute(query).scalar()


class AudioFile(NamedTuple):
    """A file that the ledger names; `sha256` is that of its bytes."""

    path: str
    sha256: str | None


def line_file(ledger: Ledger, batch_id: str, line: str) -> AudioFile | None:
    """The file of a batch's line by its id in the script; None where there is none (yet)."""
    mine = (lines.c.batch_id == batch_id, lines.c.line == line, lines.c.path.is_not(None))
    return _file(ledger, select(lines.c.path, lines.c.sha256).where(*mine))


def take_file(ledger: Ledger, take_id: str) -> AudioFile | None:
    """The file of a take; None where there is none."""
    return _file(ledger, select(takes.c.path, takes.c.sha256).where(takes.c.id == take_id, takes.c.path.is_not(None)))


def kept_elsewhere(ledger: Ledger, line_id: str) -> AudioFile | None:
    """The other file of a line's take: one that was rejected or preferred has a second one among the takes."""
    mine = (lines.c.id == line_id, takes.c.path.is_not(None), takes.c.path != lines.c.path)
    joined = select(takes.c.path, lines.c.sha256).join_from(lines, takes, takes.c.id == lines.c.take_id)
    return _file(ledger, joined.where(*mine))


def _file(ledger: Ledger, query: Select[Any]) -> AudioFile | None:
    with ledger.engine.connect() as connection:
        row = connection.execute(query).first()
    return AudioFile(*row) if row else None
