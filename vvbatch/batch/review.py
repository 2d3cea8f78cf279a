"""Which lines of a batch somebody has still to listen to. The ledger's events have what was said of each take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import select

from vvbatch.batch_report.gather import gather, reasons
from vvbatch.ledger import Ledger
from vvbatch.ledger.batch_takes import KeptLine, checks_of_takes, kept_lines
from vvbatch.ledger.by_ear import KEPT
from vvbatch.ledger.schema import events, lines

REVIEWED = "take reviewed"
Verdict = Literal["good", "next"]


def to_review(ledger: Ledger, batch_id: str, *, flagged: bool = False, again: bool = False) -> list[KeptLine]:
    """The lines with a take that was not reviewed yet, or with `again` all that have one, in their order.

    `flagged`: only those that the report shows first, because of their checks, rejections or scores.
    """
    found = [line for line in kept_lines(ledger, batch_id) if line.state in KEPT and line.path]
    if flagged:
        shown = {card.id for card in gather(ledger, batch_id).report.to_hear}
        found = [line for line in found if line.id in shown]
    known = set() if again else reviewed(ledger, batch_id)
    return [line for line in found if line.take not in known]


def is_kept(ledger: Ledger, line: KeptLine) -> bool:
    """Whether the line still has this take. A long review may meet a line that was rejected meanwhile."""
    with ledger.engine.connect() as connection:
        found = connection.execute(select(lines.c.take_id).where(lines.c.id == line.row, lines.c.state.in_(KEPT)))
        return found.scalar() == line.take


def reviewed(ledger: Ledger, batch_id: str) -> set[str | None]:
    query = select(events.c.detail).where(events.c.batch_id == batch_id, events.c.kind == REVIEWED)
    with ledger.engine.connect() as connection:
        return {detail["take"] for detail in connection.execute(query).scalars()}


def note_reviewed(ledger: Ledger, batch_id: str, line: KeptLine, verdict: Verdict, by: str) -> None:
    with ledger.transaction() as connection:
        detail = {"take": line.take, "verdict": verdict, "by": by}
        ledger.note(connection, REVIEWED, batch_id=batch_id, line_id=line.row, detail=detail)


def checks_in_words(ledger: Ledger, line: KeptLine) -> Sequence[str]:
    """Which checks the take passed with the least room."""
    checks = checks_of_takes(ledger, [line.take]).get(line.take, ()) if line.take else ()
    return reasons("weakest", (), checks)
