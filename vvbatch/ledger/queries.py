"""Where batches stand: what `status` shows. Only reading; a few queries for any number of batches or lines."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import asdict
from sqlalchemy import Connection, RowMapping, Select, and_, case, func, select, type_coerce, union_all
from sqlalchemy.types import NullType

from vvbatch.errors import InputError
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import BatchKind, CachedTake, chunks, final_state
from vvbatch.ledger.schema import LINE_OPEN, batches, lines, qc_results, takes
from vvbatch.ledger.views import BatchHead, BatchRow, BatchView, CheckView, FailedLine, LineView, Totals, tried_takes

if TYPE_CHECKING:
    from vvbatch.batch.plan import PlannedLine

PACE_TAKES = 200
"""A batch's pace is that of its newest takes: it follows a worker that joins, or one that grows slow."""

SCRIPTS = (BatchKind.SCRIPT,)
COUNTS = ("total", "done", "cached", "failed", "queued", "rendering", "cancelled")
PREFIXES_SHOWN = 8
LINE_SHOWN = ("line", "state", "model", "path", "sha256", "tried", "error", "trouble", "troubles", "crashes")


class UnknownBatch(InputError, LookupError):
    """No batch, or more than one, has the id or prefix; the message names what there is."""


def find_batch(ledger: Ledger, word: str, kinds: Collection[str] = SCRIPTS) -> str:
    """The id of the batch that `word` names: a whole id, a unique beginning of one, or `last`. Raises UnknownBatch.

    `last` is the newest of these kinds; an id may be that of any.
    """
    with ledger.engine.connect() as connection:
        return str(batch_row(connection, word, kinds)["id"])


def batch_row(connection: Connection, word: str, kinds: Collection[str] = SCRIPTS) -> RowMapping:
    newest = select(batches).order_by(batches.c.created_at.desc(), batches.c.id)
    if word == "last":
        row = connection.execute(newest.where(batches.c.kind.in_(kinds)).limit(1)).mappings().first()
        if row is None:
            raise UnknownBatch(f"the ledger has no batch yet of kind {' or '.join(kinds)}")
        return row
    begins = func.substr(batches.c.id, 1, len(word)) == word
    found = connection.execute(newest.where(begins).limit(PREFIXES_SHOWN)).mappings().all() if word else []
    exact = [row for row in found if row["id"] == word]
    if not exact and len(found) == PREFIXES_SHOWN:
        exact = list(connection.execute(select(batches).where(batches.c.id == word)).mappings())
    if exact or len(found) == 1:
        return (exact or found)[0]
    if found:
        raise UnknownBatch(f"{word!r} begins several batches: {', '.join(row['id'] for row in found)}")
    ids = list(connection.execute(newest.with_only_columns(batches.c.id).limit(1000)).scalars())
    if not ids:
        raise UnknownBatch(f"unknown batch {word!r}: the ledger has no batch yet")
    near = difflib.get_close_matches(word, ids, n=3)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UnknownBatch(f"unknown batch {word!r}{meant}; the newest are {', '.join(ids[:3])}")


def open_batches(
    ledger: Ledger, among: Sequence[str] | None = None, kinds: Collection[str] = tuple(BatchKind)
) -> list[str]:
    """The batches of these kinds that have not ended, oldest first; of those given, if any are."""
    query = select(batches.c.id).where(batches.c.ended_at.is_(None)).order_by(batches.c.created_at)
    if among is not None:
        query = query.where(batches.c.id.in_(among))
    query = query.where(batches.c.kind.in_(kinds))
    with ledger.engine.connect() as connection:
        return list(connection.execute(query).scalars())


def line_ids(ledger: Ledger, batch_id: str) -> list[str]:
    """The ids that a batch's lines have in its script, in order."""
    query = select(lines.c.line).where(lines.c.batch_id == batch_id).order_by(lines.c.number)
    with ledger.engine.connect() as connection:
        return list(connection.execute(query).scalars())


def line_names(ledger: Ledger, ids: Sequence[str]) -> list[tuple[str, str]]:
    """(batch id, the line's id in the script) of these lines."""
    with ledger.engine.connect() as connection:
        rows = connection.execute(
            select(lines.c.batch_id, lines.c.line).where(lines.c.id.in_(ids)).order_by(lines.c.id)
        )
        return [(row.batch_id, row.line) for row in rows]


def batch_view(ledger: Ledger, batch_id: str, kinds: Collection[str] = SCRIPTS) -> BatchView:
    """All about one batch, as `status BATCH --json` prints it. Raises UnknownBatch."""
    with ledger.engine.connect() as connection:
        row = batch_row(connection, batch_id, kinds)
        head = asdict(heads(connection, [row])[0])
        return BatchView(**head, lines=line_views(connection, row["id"]), kind=row["kind"])


def batch_heads(ledger: Ledger, batch_ids: Sequence[str]) -> list[BatchHead]:
    """`batch_view` of batches by their whole ids, in that order, without the lines. Raises UnknownBatch."""
    with ledger.engine.connect() as connection:
        found = connection.execute(select(batches).where(batches.c.id.in_(batch_ids))).mappings()
        rows = {row["id"]: row for row in found}
        if unknown := [batch_id for batch_id in batch_ids if batch_id not in rows]:
            raise UnknownBatch(f"unknown batch {unknown[0]!r}")
        return heads(connection, [rows[batch_id] for batch_id in batch_ids])


def heads(connection: Connection, rows: Sequence[RowMapping]) -> list[BatchHead]:
    """State, counts and ETA of each batch. `eta_s` is None when it cannot be known, 0 when the batch has ended."""
    counts = counts_by_state(connection, [row["id"] for row in rows])
    open_ids = [row["id"] for row in rows if row["state"] == "open"]
    left = characters_left(connection, open_ids)
    recent = newest_takes(connection, open_ids)
    views = []
    for row in rows:
        mine = counts[row["id"]]
        state, eta_s = row["state"], None
        if not mine["queued"] + mine["rendering"]:
            # Between its last line's end and its own a batch would seem to be in work with nothing left to do.
            state, eta_s = final_state([name for name in COUNTS[1:] if mine[name]]), 0
        elif state == "open":
            took_part = recent.get(row["id"], [])
            begun = took_part or any(mine[name] for name in ("rendering", "done", "failed"))
            state, speed = "rendering" if begun else "queued", pace(took_part)
            eta_s = round(left.get(row["id"], 0) / speed) if speed else None
        views.append(BatchHead(row["id"], row["script"], state, mine, row["out"], eta_s))
    return views


def batch_rows(connection: Connection, rows: Sequence[RowMapping]) -> list[BatchRow]:
    """Heads with what a list shows besides."""
    extras = ("title", "kind", "model", "priority", "created_at", "ended_at")
    return [
        BatchRow(**asdict(head), **{name: row[name] for name in extras}, profile=row["model"])
        for head, row in zip(heads(connection, rows), rows, strict=True)
    ]


def counts_by_state(connection: Connection, batch_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    query = (
        select(lines.c.batch_id, lines.c.state, func.count())
        .where(lines.c.batch_id.in_(batch_ids))
        .group_by(lines.c.batch_id, lines.c.state)
    )
    counts = {batch_id: dict.fromkeys(COUNTS, 0) for batch_id in batch_ids}
    for batch_id, state, count in connection.execute(query):
        counts[batch_id][state] = count
        counts[batch_id]["total"] += count
    return counts


def characters_left(connection: Connection, batch_ids: Sequence[str]) -> dict[str, int]:
    """Characters still to be rendered, counting each of a line's takes."""
    query = (
        select(lines.c.batch_id, func.sum(func.length(lines.c.text) * lines.c.takes))
        .where(lines.c.batch_id.in_(batch_ids), lines.c.state.in_(LINE_OPEN))
        .group_by(lines.c.batch_id)
    )
    return {batch_id: int(characters) for batch_id, characters in connection.execute(query)}


def newest_takes(connection: Connection, batch_ids: Sequence[str]) -> dict[str, list[Any]]:
    """Rows (batch_id, state, characters, created_at, ended_at) of each batch's newest PACE_TAKES takes."""
    if not batch_ids:
        return {}
    newest = [
        select(
            takes.c.batch_id,
            takes.c.state,
            func.length(takes.c.text).label("characters"),
            takes.c.created_at,
            takes.c.ended_at,
        )
        .where(takes.c.batch_id == batch_id)
        .order_by(takes.c.created_at.desc())
        .limit(PACE_TAKES)
        .subquery()
        for batch_id in batch_ids
    ]
    found: dict[str, list[Any]] = {}
    for row in connection.execute(union_all(*(select(each) for each in newest))):
        found.setdefault(row.batch_id, []).append(row)
    return found


def pace(recent: Iterable[Any]) -> float | None:
    """Characters a second over the time in which any of these takes was in work; None when none came out good.

    Time in which the batch was paused, or no worker ran, is not counted.
    """
    ended = [row for row in recent if row.ended_at]
    characters = sum(row.characters for row in ended if row.state in ("done", "superseded"))
    busy_s = time_in_work(ended)
    return characters / busy_s if characters and busy_s else None


def time_in_work(ended: Iterable[Any]) -> float:
    """Wall seconds in which at least one of these ended takes was in work."""
    busy, until = 0.0, 0.0
    for began, end in sorted((seconds(row.created_at), seconds(row.ended_at)) for row in ended):
        busy += max(0.0, end - max(began, until))
        until = max(until, end)
    return busy


def seconds(timestamp: str) -> float:
    """Unix time of one of the ledger's timestamps."""
    return datetime.fromisoformat(timestamp).timestamp()


def line_views(connection: Connection, batch_id: str) -> list[LineView]:
    """A batch's lines in order; `qc` is that of the kept take, or of a failed line's last one.

    `trouble` is the class of what last went wrong, `troubles` how often each class was met.
    """
    last, kept = takes.alias("last"), takes.alias("kept")
    shown = case((lines.c.state == "failed", last.c.id), (lines.c.state.in_(("done", "cached")), lines.c.take_id))
    is_last = and_(lines.c.state == "failed", last.c.line_id == lines.c.id, last.c.attempt == lines.c.attempt)
    in_batch = (
        select(*(lines.c[name] for name in LINE_SHOWN), shown.label("take"))
        .select_from(lines.outerjoin(last, is_last))
        .where(lines.c.batch_id == batch_id)
    )
    with_take = in_batch.outerjoin(kept, kept.c.id == shown).add_columns(kept.c.score, kept.c.chosen)
    rows = connection.execute(with_take.order_by(lines.c.number)).all()
    checks = checks_of(connection, in_batch.with_only_columns(shown))
    return [
        LineView(
            id=row.line,
            state=row.state,
            profile=row.model,
            path=row.path,
            sha256=row.sha256,
            take=row.take,
            score=row.score,
            chosen=row.chosen,
            tried=tried_takes(row.tried),
            qc=checks.get(row.take, []),
            error=row.error,
            trouble=row.trouble,
            troubles={**(row.troubles or {}), **({"crash": row.crashes} if row.crashes else {})},
        )
        for row in rows
    ]


def checks_of(connection: Connection, take_ids: Select[Any]) -> dict[str, list[CheckView]]:
    """QC results by take, in the order in which they were made, of the takes that a query names."""
    on_sqlite = connection.dialect.name == "sqlite"
    # SQLite keeps a JSON number as a number, where SQLAlchemy's JSON type raises and catches an exception per value.
    value, limit, detail = (
        type_coerce(qc_results.c[name], NullType()) if on_sqlite else qc_results.c[name]
        for name in ("value", "limit", "detail")
    )
    query = (
        select(qc_results.c.take_id, qc_results.c.name, value, limit, qc_results.c.ok, qc_results.c.weight, detail)
        .where(qc_results.c.take_id.in_(take_ids))
        .order_by(qc_results.c.take_id, qc_results.c.position)
    )
    found: dict[str, list[CheckView]] = {}
    for take_id, name, value, limit, ok, weight, detail in connection.execute(query):
        if on_sqlite:
            value, limit, detail = plain(value), plain(limit), plain(detail)
        check = CheckView(name, value, limit, ok, 1.0 if weight is None else weight, detail)
        found.setdefault(take_id, []).append(check)
    return found


def plain(stored: Any) -> Any:
    """A JSON value as SQLite gives it: what is not a number is JSON text."""
    return msgspec.json.decode(stored) if isinstance(stored, str) else stored


def batch_totals(ledger: Ledger, batch_id: str) -> Totals:
    """Seconds of audio in a batch's files; what of it was rendered here, in how much wall time, how fast."""
    ended = select(takes.c.state, takes.c.duration_s, takes.c.created_at, takes.c.ended_at).where(
        takes.c.batch_id == batch_id, takes.c.ended_at.is_not(None)
    )
    kept = (
        select(func.sum(takes.c.duration_s))
        .join_from(lines, takes, takes.c.id == lines.c.take_id)
        .where(lines.c.batch_id == batch_id, lines.c.state.in_(("done", "cached")))
    )
    with ledger.engine.connect() as connection:
        rows = connection.execute(ended).all()
        audio_s = connection.execute(kept).scalar() or 0.0
    busy_s = time_in_work(rows)
    rendered_s = sum(row.duration_s or 0.0 for row in rows if row.state == "done")
    return Totals(
        takes=len(rows),
        audio_s=round(audio_s, 3),
        rendered_s=round(rendered_s, 3),
        wall_s=round(busy_s, 3),
        speed=round(rendered_s / busy_s, 3) if rendered_s and busy_s else None,
    )


def failures(ledger: Ledger, batch_id: str, limit: int) -> list[FailedLine]:
    """The batch's failed lines, newest failure first: `line` and `error`."""
    query = (
        select(lines.c.line, lines.c.error)
        .where(lines.c.batch_id == batch_id, lines.c.state == "failed")
        .order_by(lines.c.updated_at.desc(), lines.c.number)
        .limit(limit)
    )
    with ledger.engine.connect() as connection:
        return [FailedLine(row.line, row.error) for row in connection.execute(query)]


DONE = select(takes.c.key, takes.c.id, takes.c.path, takes.c.sha256).where(takes.c.state == "done")


def cached_takes(ledger: Ledger, planned: Sequence[PlannedLine]) -> dict[str, CachedTake]:
    """Finished takes by the key of a planned line; of several the newest, made because the older one's file had gone.

    A line that may be escalated is also served by a take of the other profile, if takes of its own have failed.
    """
    found: dict[str, CachedTake] = {}
    first = takes.alias("first")
    escalated = {line.escalate.key: line.key for line in planned if line.escalate}
    with ledger.engine.connect() as connection:
        for chunk in chunks(escalated, 500):
            query = DONE.join(first, first.c.line_id == takes.c.line_id).where(takes.c.key.in_(chunk))
            tried_before = query.add_columns(first.c.key.label("first")).order_by(takes.c.ended_at)
            for row in connection.execute(tried_before):
                if row.first == escalated[row.key]:
                    found[row.first] = CachedTake(row.id, row.path, row.sha256)
        for chunk in chunks((line.key for line in planned), 500):
            rows = connection.execute(DONE.where(takes.c.key.in_(chunk)).order_by(takes.c.ended_at))
            found.update({row.key: CachedTake(row.id, row.path, row.sha256) for row in rows})
    return found
