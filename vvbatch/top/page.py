"""The lines of one batch, a page at a time, filtered and sorted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, or_, select

from vvbatch.ledger.schema import lines, takes
from vvbatch.ledger.states import LineState
from vvbatch.top.snapshot import Line, Page

SIZE = 60
AFFORDABLE_S = 0.004
"""Of CPU time. A query that costs less is repeated at each poll, any other when the user asks for it."""

URGENT = (LineState.FAILED, LineState.RENDERING, LineState.QUEUED, LineState.CANCELLED)
ORDERS: Mapping[str, Sequence[ColumnElement[Any]]] = {
    "script": (lines.c.number.asc(),),
    "state": (case({state: place for place, state in enumerate(URGENT)}, value=lines.c.state, else_=9).asc(),),
    "score": (takes.c.score.is_(None).asc(), takes.c.score.asc()),
    "changed": (lines.c.updated_at.desc(),),
}
"""What lines can be sorted by: failed ones first, the worst score first, the newest change first."""


@dataclass(frozen=True)
class Wanted:
    batch: str
    order: str = "script"
    words: str = ""  # a state, or part of the text, the id or the error
    first: int = 0


class Pages:
    """Which lines are shown is decided again when something else is wanted, and at each poll if that costs little."""

    def __init__(self) -> None:
        self.wanted: Wanted | None = None
        self.ids: list[str] = []
        self.chosen_at = ""
        self.cost_s = 0.0

    def again(self) -> None:
        """Decide at the next poll which lines are shown, whatever it costs."""
        self.wanted = None

    def read(self, connection: Connection, wanted: Wanted, now: str) -> Page:
        if wanted != self.wanted or self.cost_s <= AFFORDABLE_S:
            begun = time.thread_time()
            self.ids = list(connection.execute(chosen(wanted)).scalars())
            self.cost_s = time.thread_time() - begun
            self.wanted, self.chosen_at = wanted, now
        found = {row.id: row for row in connection.execute(shown(self.ids[:SIZE]))}
        return Page(
            batch=wanted.batch,
            lines=[line_of(found[line_id]) for line_id in self.ids[:SIZE] if line_id in found],
            first=wanted.first,
            more=len(self.ids) > SIZE,
            chosen_at=self.chosen_at,
        )


def chosen(wanted: Wanted) -> Select[Any]:
    """Ids of the lines of a page, and of one more where there is one."""
    query = select(lines.c.id).where(lines.c.batch_id == wanted.batch)
    if wanted.order == "score":
        query = query.select_from(lines.outerjoin(takes, takes.c.id == lines.c.take_id))
    if wanted.words in tuple(LineState):
        query = query.where(lines.c.state == wanted.words)
    elif wanted.words:
        columns = (lines.c.text, lines.c.line, lines.c.error)
        query = query.where(or_(*(column.icontains(wanted.words, autoescape=True) for column in columns)))
    return query.order_by(*ORDERS[wanted.order], lines.c.number).limit(SIZE + 1).offset(wanted.first)


def shown(ids: Sequence[str]) -> Select[Any]:
    """Lines with the take that is kept, or else their last one."""
    kept, last = takes.alias("kept"), takes.alias("last")
    is_last = (last.c.line_id == lines.c.id) & (last.c.attempt == lines.c.attempt)
    names = ("id", "line", "number", "state", "model", "text", "attempt", "path", "error", "trouble", "worker")
    of_take = [
        func.coalesce(kept.c[name], last.c[name]).label(label)
        for name, label in (("id", "take"), ("score", "score"), ("seed", "seed"), ("duration_s", "duration_s"))
    ]
    return (
        select(*(lines.c[name] for name in names), *of_take, last.c.path.label("last_path"))
        .select_from(lines.outerjoin(kept, kept.c.id == lines.c.take_id).outerjoin(last, is_last))
        .where(lines.c.id.in_(ids))
    )


def line_of(row: Any) -> Line:
    return Line(
        name=row.line,
        number=row.number,
        state=row.state,
        profile=row.model,
        text=row.text,
        score=row.score,
        seed=row.seed,
        duration_s=row.duration_s,
        attempt=row.attempt,
        take=row.take,
        path=row.path or row.last_path,
        error=row.error,
        trouble=row.trouble,
        worker=row.worker,
    )
