"""A batch's lines with the takes that are kept, every take that was made for them, and what checks measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from sqlalchemy import func, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.queries import checks_of
from vvbatch.ledger.records import chunks
from vvbatch.ledger.schema import lines, qc_results, takes
from vvbatch.ledger.views import CheckView

AT_ONCE = 500  # takes that a query names


class KeptLine(Struct, frozen=True, gc=False):
    """A line as it stands; what is known of its kept take, None where it has none."""

    row: str  # the ledger's id of the line
    id: str
    number: int
    chapter: int
    chapter_title: str
    state: str
    spoken: str
    written: str | None
    path: str | None
    sha256: str | None
    take: str | None
    script_line: int | None  # where its text begins in the script
    voices: tuple[str, ...]
    duration_s: float | None
    score: float | None
    loudness_lufs: float | None


class MadeTake(Struct, frozen=True, gc=False):
    """A take of a batch's line, kept or not."""

    id: str
    row: str  # the ledger's id of the line
    state: str
    attempt: int
    profile: str
    device: str
    dtype: str
    seed: int
    path: str | None
    sha256: str | None
    duration_s: float | None
    wall_s: float | None
    score: float | None
    error: str | None
    chosen: str | None
    created_at: str
    ended_at: str | None
    rejected_at: str | None
    rejected_by: str | None
    rejected_why: str | None


LINE = (
    *(lines.c[name] for name in ("id", "line", "number", "chapter", "chapter_title", "state", "text", "written")),
    *(lines.c[name] for name in ("path", "sha256", "take_id", "script_line", "request")),
    *(takes.c[name] for name in ("duration_s", "score", "loudness_lufs")),
)
TAKE = tuple(takes.c["line_id" if name == "row" else name] for name in MadeTake.__struct_fields__)


def kept_lines(ledger: Ledger, batch_id: str) -> list[KeptLine]:
    """In the batch's order."""
    query = select(*LINE).select_from(lines.outerjoin(takes, takes.c.id == lines.c.take_id))
    mine = query.where(lines.c.batch_id == batch_id).order_by(lines.c.number)
    with ledger.engine.connect() as connection:
        rows = connection.execute(mine).all()
    return [KeptLine(*[*row[:-4], tuple(voice["name"] for voice in row.request["voices"]), *row[-3:]]) for row in rows]


def made_takes(ledger: Ledger, batch_id: str) -> list[MadeTake]:
    """In the order in which they were begun."""
    mine = select(*TAKE).where(takes.c.batch_id == batch_id).order_by(takes.c.created_at, takes.c.attempt)
    with ledger.engine.connect() as connection:
        return [MadeTake(*row) for row in connection.execute(mine)]


def checks_of_takes(ledger: Ledger, take_ids: Sequence[str]) -> Mapping[str, Sequence[CheckView]]:
    """By take, in the order in which they were made."""
    found: dict[str, Sequence[CheckView]] = {}
    with ledger.engine.connect() as connection:
        for some in chunks(take_ids, AT_ONCE):
            found |= checks_of(connection, select(takes.c.id).where(takes.c.id.in_(some)))
    return found


def measured(ledger: Ledger, batch_id: str, names: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
    """Values of these checks of the kept takes: {check: {take: value}}, without those that could not be made."""
    query = (
        select(qc_results.c.name, qc_results.c.take_id, qc_results.c.value)
        .join_from(lines, qc_results, qc_results.c.take_id == lines.c.take_id)
        .where(lines.c.batch_id == batch_id, qc_results.c.name.in_(names), func.coalesce(qc_results.c.weight, 1) > 0)
    )
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    with ledger.engine.connect() as connection:
        for name, take, value in connection.execute(query):
            found[name][take] = float(value)
    return found
