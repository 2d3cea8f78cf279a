"""Takes rejected and preferred by ear: a rejected line is queued again, a preferred take is the file of its line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, RowMapping, and_, or_, select

from vvbatch import fault_points
from vvbatch.batch.line_request import LineRequest
from vvbatch.batch.plan import seed_of_take, seeds_from
from vvbatch.errors import InputError, VvbatchError
from vvbatch.ledger import entries
from vvbatch.ledger.batches import open_again
from vvbatch.ledger.equal_takes import rejected_seeds
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import TriedTake
from vvbatch.ledger.schema import batches, lines, takes
from vvbatch.ledger.states import GOOD_TAKES, LineState, TakeState

KEPT = (LineState.DONE, LineState.CACHED)
TRIED = (*GOOD_TAKES, TakeState.FAILED_QC, TakeState.FAILED)
"""Takes whose seeds were tried. After a crash or a stop the same seed may give a good take."""


OF_LINE = (lines.c.id, lines.c.line, lines.c.number, lines.c.chapter, lines.c.part_of, lines.c.state, lines.c.path)


class ChangedMeanwhile(VvbatchError):
    """Another command or a worker has changed the line since it was read."""


class SeedTried(InputError):
    """The seed gave a take of the line already."""


class LineAndTake(NamedTuple):
    """A line that has a file, and the take that it is."""

    id: str
    line: str
    number: int
    chapter: int
    part_of: str | None
    state: LineState
    path: str | None
    take: str | None
    take_line: str | None  # the line that the take was rendered for
    take_path: str | None
    take_sha256: str | None
    attempt: int | None  # of the take

    @classmethod
    def of(cls, values: Sequence[Any]) -> LineAndTake:
        found = cls(*values)
        return found._replace(state=LineState(found.state))

    @property
    def owns_file(self) -> bool:
        """Whether the file of the take is that of the line, which its next take replaces."""
        return self.take_line == self.id and self.take_path == self.path


class Requeued(NamedTuple):
    line: LineAndTake
    take: str | None  # that was rejected now; None: before
    seed: int  # of its next take


class Tried(NamedTuple):
    seeds: frozenset[int]
    most: int  # seeds of a sequence that were passed: takes that were cancelled have used theirs up too


class Copy(NamedTuple):
    """A second file for a take, and what gives it its name."""

    location: str
    publish: Callable[[], None]


def lines_with_takes(ledger: Ledger, batch_id: str) -> list[LineAndTake]:
    """A batch's lines in order."""
    of_take = (lines.c.take_id, takes.c.line_id, takes.c.path, takes.c.sha256, takes.c.attempt)
    query = select(*OF_LINE, *of_take).select_from(lines.outerjoin(takes, takes.c.id == lines.c.take_id))
    with ledger.engine.connect() as connection:
        rows = connection.execute(query.where(lines.c.batch_id == batch_id).order_by(lines.c.number))
        return [LineAndTake.of(tuple(row)) for row in rows]


def reject_takes(
    ledger: Ledger,
    batch_id: str,
    wanted: Sequence[tuple[LineAndTake, Copy | None]],
    *,
    by: str,
    why: str | None,
    seed: int | None = None,
) -> list[Requeued]:
    """Reject the takes of lines, and queue the lines with seeds that were not tried for them.

    Each line keeps its file until its next take replaces it; the rejected take has the `Copy` from now on. A line whose
    take was rejected before is queued again if it is not. Raises ChangedMeanwhile and SeedTried; nothing changes then.
    """
    requeued = []
    with ledger.transaction() as connection:
        rows = [locked(connection, line) for line, _ in wanted]
        for row, (line, _) in zip(rows, wanted, strict=True):  # before any copy is published
            if seed is not None and seed in tried_seeds(connection, row, line).seeds:
                raise SeedTried(
                    f"line {line.line} was rendered with seed {seed} before: give another, or leave --seed out"
                )
        for row, (line, copy) in zip(rows, wanted, strict=True):
            take = reject_take(ledger, connection, line, copy, by, why) if row["state"] in KEPT else None
            requeued.append(
                Requeued(line, take.take if take else None, queue_line(ledger, connection, row, line, take, seed))
            )
        open_again(connection, batch_id)
        detail = {"lines": [each.line.line for each in requeued], "takes": [each.take for each in requeued]}
        ledger.note(connection, "takes rejected", batch_id=batch_id, detail={**detail, "by": by, "why": why})
        fault_points.point("reject.recorded")
    fault_points.point("reject.committed")
    return requeued


def locked(connection: Connection, line: LineAndTake) -> RowMapping:
    row = connection.execute(select(lines).where(lines.c.id == line.id).with_for_update()).mappings().first()
    if row is None or (row["state"], row["take_id"]) != (line.state, line.take):
        raise ChangedMeanwhile(f"line {line.line} was changed by another command or a worker: run the command again")
    return row


def reject_take(
    ledger: Ledger, connection: Connection, line: LineAndTake, copy: Copy | None, by: str, why: str | None
) -> TriedTake | None:
    """Mark the take of a line; None for one without a row in this ledger."""
    row = connection.execute(select(takes).where(takes.c.id == line.take)).mappings().first()
    if row is None:
        return None
    if copy:
        copy.publish()
        fault_points.point("reject.copied")
    marked = {
        "state": TakeState.REJECTED,
        "rejected_at": ledger.now(),
        "rejected_by": by,
        "rejected_why": why,
        **({"path": copy.location} if copy else {}),
    }
    connection.execute(takes.update().where(takes.c.id == row["id"]).values(marked))
    entries.takes_changed(connection, takes.c.id == row["id"])
    return TriedTake(row["id"], row["profile"], row["seed"], TakeState.REJECTED, row["score"], why)


def queue_line(
    ledger: Ledger, connection: Connection, row: RowMapping, line: LineAndTake, take: TriedTake | None, seed: int | None
) -> int:
    """Queue a line with this seed, or after all seeds that were tried for it. Returns the seed of its next take."""
    request = msgspec.convert(row["request"], LineRequest)
    if seed is None:
        rolls = rolls_after(request.seed, row["rolls"], tried_seeds(connection, row, line))
    else:
        request, rolls = msgspec.structs.replace(request, seed=seed), 0
    values = {
        "state": LineState.QUEUED,
        "request": request,
        "rolls": rolls,
        "tried": [*(row["tried"] or []), *([take] if take else [])] or None,
        "crashes": 0,
        "suspicion": 0,
        **dict.fromkeys(("trouble", "troubles", "error", "worker")),
        "updated_at": ledger.now(),
    }
    connection.execute(lines.update().where(lines.c.id == line.id).values(values))
    entries.add(connection, "line", line=line.id, batch=row["batch_id"], state=LineState.QUEUED, error=None)
    return next(seeds_from(request.seed, rolls, rejected_seeds(connection, row["key"])))[1]


def tried_seeds(connection: Connection, row: RowMapping, line: LineAndTake) -> Tried:
    """Of takes of this line and of the one that its take was rendered for, and of rejected takes with its key."""
    of_lines = [each for each in (line.id, line.take_line) if each]
    used = and_(takes.c.line_id.in_(of_lines), takes.c.profile == row["model"])
    begun = connection.execute(select(takes.c.seed, takes.c.state).where(used)).all()
    rejected = rejected_seeds(connection, row["key"])
    return Tried(rejected | {take.seed for take in begun if take.state in TRIED}, len(begun) + len(rejected))


def rolls_after(seed: int, rolls: int, tried: Tried) -> int:
    """How many seeds of a line's sequence lie before the first that no tried one comes after."""
    longest = rolls + tried.most
    return max(rolls, *(n + 1 for n in range(longest) if seed_of_take(seed, n) in tried.seeds), 0)


class Preferable(NamedTuple):
    """A take, and its line with the take that it has now."""

    take: str
    state: TakeState
    path: str | None
    sha256: str | None
    line: LineAndTake
    batch: str
    out: str
    error: str | None


def takes_beginning(ledger: Ledger, word: str) -> list[Preferable]:
    """The takes whose ids begin so: two at most."""
    if set(word) - set("0123456789abcdef"):
        return []  # ids are in hex; PostgreSQL may sort other characters as if they were not there
    kept = takes.alias("kept")
    of_kept = (lines.c.take_id, kept.c.line_id, kept.c.path, kept.c.sha256, kept.c.attempt)
    of_take = (takes.c.id, takes.c.state, takes.c.path, takes.c.sha256, lines.c.batch_id, batches.c.out, takes.c.error)
    joined = (
        takes.join(lines, lines.c.id == takes.c.line_id)
        .join(batches, batches.c.id == lines.c.batch_id)
        .outerjoin(kept, kept.c.id == lines.c.take_id)
    )
    begins = and_(takes.c.id >= word, takes.c.id < word + "g")
    query = select(*of_take, *OF_LINE, *of_kept).select_from(joined).where(begins).order_by(takes.c.id).limit(2)
    with ledger.engine.connect() as connection:
        found = []
        for row in connection.execute(query):
            take, state, path, sha256, batch, out, error, *line = row
            now = LineAndTake.of(line)
            found.append(Preferable(take, TakeState(state), path, sha256, now, batch, out, error))
    return found


def prefer_take(ledger: Ledger, wanted: Preferable, by: str, file: Copy, copy: Copy | None) -> None:
    """Make a take its line's `file`, and take a rejection of it back. The batch is open then.

    `copy`: of the take that is the line's file now. Raises ChangedMeanwhile; nothing changes then.
    """
    line, now = wanted.line, ledger.now()
    if copy:  # committed before the line's file is replaced: `verify --repair` puts that back from the copy
        with ledger.transaction() as connection:
            locked(connection, line)
            copy.publish()
            fault_points.point("prefer.copied")
            connection.execute(takes.update().where(takes.c.id == line.take).values(path=copy.location))
    with ledger.transaction() as connection:
        row = locked(connection, line)
        file.publish()
        fault_points.point("prefer.published")
        of_line = and_(takes.c.line_id == line.id, takes.c.id != wanted.take)
        was_kept = (
            connection.execute(
                select(takes).where(of_line, or_(takes.c.state == TakeState.DONE, takes.c.id == line.take))
            )
            .mappings()
            .all()
        )
        superseded = {"state": TakeState.SUPERSEDED, "chosen": f"not kept: {by} preferred {wanted.take}"}
        connection.execute(takes.update().where(of_line, takes.c.state == TakeState.DONE).values(superseded))
        rejection = dict.fromkeys(("rejected_at", "rejected_by", "rejected_why"))
        preferred = {"state": TakeState.DONE, "chosen": f"preferred by {by}", **rejection}
        connection.execute(takes.update().where(takes.c.id == wanted.take).values(preferred))
        known = msgspec.convert(row["tried"] or [], list[TriedTake])
        tried = [each for each in known if each.take not in {wanted.take, *(old["id"] for old in was_kept)}]
        for old in was_kept:
            state = TakeState.REJECTED if old["state"] == TakeState.REJECTED else TakeState.SUPERSEDED
            tried.append(TriedTake(old["id"], old["profile"], old["seed"], state, old["score"], old["rejected_why"]))
        values = {
            "state": LineState.DONE,
            "take_id": wanted.take,
            "path": file.location,
            "sha256": wanted.sha256,
            "tried": tried or None,
            **dict.fromkeys(("error", "trouble", "troubles")),
            "updated_at": now,
        }
        connection.execute(lines.update().where(lines.c.id == line.id).values(values))
        open_again(connection, wanted.batch)
        detail = {"take": wanted.take, "instead_of": line.take, "was": wanted.state, "by": by}
        ledger.note(connection, "take preferred", batch_id=wanted.batch, line_id=line.id, detail=detail)
        entries.takes_changed(connection, takes.c.id.in_([wanted.take, *(old["id"] for old in was_kept)]))
        entries.add(connection, "line", line=line.id, state=LineState.DONE, path=file.location)
    fault_points.point("prefer.committed")
