"""The ledger's rows in the order in which they were recorded: from a place on, and new ones as they appear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from msgspec import Struct
from sqlalchemy import and_, or_, select

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import earlier
from vvbatch.ledger.schema import events, lines, takes
from vvbatch.ledger.states import LineState, TakeState
from vvbatch.ledger.views import Json

LATE_S = 10.0
"""A row is dated before its transaction is committed: it may appear after younger ones of other machines."""
PAGE = 500


class Place(NamedTuple):
    """Where a row stands in the order, or where a reader has stopped."""

    at: str
    id: str


class Placed(Protocol):
    @property
    def place(self) -> Place: ...


Row = TypeVar("Row", bound=Placed)


class Tail(Generic[Row]):
    """Reads every row that is dated `back_s` before now or later, each once, also one that appears up to LATE_S after
    its date.

    `read` gives the next rows after a place, oldest first. How often pages are read does not matter.
    """

    def __init__(
        self, read: Callable[[Place, int], Sequence[Row]], now: Callable[[], str], back_s: float = 0.0
    ) -> None:
        self.read, self.now = read, now
        self.settled = Place(earlier(now(), back_s), "")  # what is before it is not read again
        self.reached = self.settled
        self.late_from = ""
        self.seen: set[Place] = set()  # of the rows after `settled`
        self.behind = False

    def page(self) -> list[Row]:
        """The next new rows, at most PAGE; `behind` says whether more are known to follow."""
        if not self.behind:
            self.reached, self.late_from = self.settled, earlier(self.now(), LATE_S)
        rows = self.read(self.reached, PAGE)
        new = [row for row in rows if row.place not in self.seen]
        self.seen |= {row.place for row in new if row.place.at >= self.late_from}
        self.behind = len(rows) >= PAGE
        if self.behind:
            self.reached = rows[-1].place
        else:
            self.settled = max(self.settled, Place(self.late_from, ""))
            self.seen = {place for place in self.seen if place > self.settled}
        return new


class EventView(Struct, frozen=True):
    """`line` is the id in the script, and `id` what a reader resumes with."""

    id: str
    at: str
    kind: str
    batch: str | None
    line: str | None
    worker: str | None
    detail: Json

    @property
    def place(self) -> Place:
        return Place(self.at, self.id.partition("/")[2])


def place_of(text: str) -> Place | None:
    """The place of an event by its id; None for what is none."""
    at, found, event = text.partition("/")
    return Place(at, event) if found and at and event else None


def happenings_after(ledger: Ledger, place: Place, limit: int) -> Sequence[EventView]:
    """The next events and finished lines, oldest first."""
    found = [*events_after(ledger, place, limit), *lines_done_after(ledger, place, limit)]
    return sorted(found, key=lambda each: each.place)[:limit]


def lines_done_after(ledger: Ledger, place: Place, limit: int) -> Sequence[EventView]:
    """The next lines with a good take. They are read from the takes: the table of events has no row for each line."""
    columns = (takes.c.id, takes.c.ended_at, takes.c.batch_id, takes.c.worker, takes.c.score, lines.c.line)
    later = or_(takes.c.ended_at > place.at, and_(takes.c.ended_at == place.at, takes.c.id > place.id))
    query = (
        select(*columns)
        .join_from(takes, lines, lines.c.id == takes.c.line_id)
        .where(takes.c.ended_at >= place.at, later, takes.c.state == TakeState.DONE)
        .order_by(takes.c.ended_at, takes.c.id)
        .limit(limit)
    )
    with ledger.engine.connect() as connection:
        return [
            EventView(
                id=f"{row.ended_at}/{row.id}",
                at=row.ended_at,
                kind="line done",
                batch=row.batch_id,
                line=row.line,
                worker=row.worker,
                detail={"state": LineState.DONE, "score": row.score, "take": row.id},
            )
            for row in connection.execute(query)
        ]


def events_after(ledger: Ledger, place: Place, limit: int) -> Sequence[EventView]:
    """The next events, oldest first."""
    columns = (events.c.id, events.c.at, events.c.kind, events.c.batch_id, events.c.worker, events.c.detail)
    later = or_(events.c.at > place.at, and_(events.c.at == place.at, events.c.id > place.id))
    query = (
        select(*columns, lines.c.line)
        .join_from(events, lines, lines.c.id == events.c.line_id, isouter=True)
        .where(events.c.at >= place.at, later)
        .order_by(events.c.at, events.c.id)
        .limit(limit)
    )
    with ledger.engine.connect() as connection:
        return [
            EventView(f"{row.at}/{row.id}", row.at, row.kind, row.batch_id, row.line, row.worker, row.detail)
            for row in connection.execute(query)
        ]
