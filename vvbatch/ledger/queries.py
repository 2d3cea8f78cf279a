"""The state of batches, as `status` shows it. Only reading; a few queries for any number of batches or lines."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import asdict
from sqlalchemy import Connection, RowMapping, Select, and_, case, func, select, type_coerce, union_all
from sqlalchemy.types import NullType

from vvbatch.errors import InputError
from vvbatch.ledger.ahead import place_in_queue
from vvbatch.ledger.equal_takes import may_serve
from vvbatch.ledger.forecast import InWork, Work, covered_s, throughput_of
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import BatchKind, CachedTake, chunks, final_state
from vvbatch.ledger.schema import batches, lines, qc_results, takes
from vvbatch.ledger.states import GOOD_TAKES, BatchState, LineState, TakeState
from vvbatch.ledger.views import BatchHead, BatchRow, BatchView, CheckView, Failure, LineView, Totals, tried_takes

if TYPE_CHECKING:
    from vvbatch.batch.plan import PlannedLine

PACE_TAKES = 200
"""A batch's ETA is by its newest takes: it follows a worker that joins, or one that grows slow."""
WORK_COLUMNS = ("worker", "state", "created_at", "ended_at")

SCRIPTS = (BatchKind.SCRIPT,)
COUNTS = ("total", "done", "cached", "failed", "queued", "rendering", "cancelled")
PREFIXES_SHOWN = 8
FAILED_TAKES = (TakeState.FAILED_QC, TakeState.FAILED, TakeState.CRASHED)
LINE_SHOWN = (
    *("line", "state", "model", "path", "sha256", "tried", "error", "trouble", "troubles", "crashes"),
    *("role", "part_of", "part", "script_line", "script_column"),
)


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


def batches_beginning(ledger: Ledger, word: str) -> list[str]:
    """The newest batches whose ids begin so, PREFIXES_SHOWN at most."""
    begins = func.substr(batches.c.id, 1, len(word)) == word
    query = select(batches.c.id).where(begins).order_by(batches.c.created_at.desc()).limit(PREFIXES_SHOWN)
    with ledger.engine.connect() as connection:
        return list(connection.execute(query).scalars())


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
    """The ids by which a batch's lines are named, in order: that of a line in parts, then those of its parts."""
    query = select(lines.c.part_of, lines.c.line).where(lines.c.batch_id == batch_id).order_by(lines.c.number)
    with ledger.engine.connect() as connection:
        return list(dict.fromkeys(name for row in connection.execute(query) for name in row if name is not None))


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
        head = asdict(heads(connection, [row], ledger.now())[0])
        at = {name: row[name] for name in ("created_at", "ended_at")}
        return BatchView(**head, lines=line_views(connection, row["id"]), kind=row["kind"], **at)


def batch_heads(ledger: Ledger, batch_ids: Sequence[str]) -> list[BatchHead]:
    """`batch_view` of batches by their whole ids, in that order, without the lines. Raises UnknownBatch."""
    with ledger.engine.connect() as connection:
        found = connection.execute(select(batches).where(batches.c.id.in_(batch_ids))).mappings()
        rows = {row["id"]: row for row in found}
        if unknown := [batch_id for batch_id in batch_ids if batch_id not in rows]:
            raise UnknownBatch(f"unknown batch {unknown[0]!r}")
        return heads(connection, [rows[batch_id] for batch_id in batch_ids], ledger.now())


def batch_row_of(ledger: Ledger, batch_id: str) -> BatchRow:
    """A batch by its whole id, as a list has it. Raises UnknownBatch."""
    with ledger.engine.connect() as connection:
        return batch_rows(connection, [batch_row(connection, batch_id)], ledger.now())[0]


def heads(connection: Connection, rows: Sequence[RowMapping], now: str) -> list[BatchHead]:
    """State, counts and ETA of each batch. `eta_s` is None when it cannot be known, 0 when the batch has ended."""
    counts = counts_by_state(connection, [row["id"] for row in rows])
    open_ids = [row["id"] for row in rows if row["state"] == "open"]
    left = lines_left(connection, open_ids, now)
    recent = newest_takes(connection, open_ids, now)
    waiting = [row for row in rows if row["state"] == "open" and not any_good(recent.get(row["id"], {}))]
    first = first_etas(connection, waiting, now) if waiting else {}
    views = []
    for row in rows:
        mine = counts[row["id"]]
        state, eta = row["state"], None
        if not mine["queued"] + mine["rendering"]:
            # Between its last line's end and its own a batch would seem to be in work with nothing left to do.
            state, eta = final_state([name for name in COUNTS[1:] if mine[name]]), 0
        elif state == "open":
            took_part = recent.get(row["id"], {})
            begun = took_part or any(mine[name] for name in ("rendering", "done", "failed"))
            eta = first[row["id"]] if row["id"] in first else eta_s(left[row["id"]], took_part)
            state = "rendering" if begun else "queued"
        views.append(BatchHead(row["id"], row["script"], state, mine, row["out"], eta))
    return views


def any_good(took_part: Mapping[str, Sequence[Work]]) -> bool:
    return any(work.good for works in took_part.values() for work in works)


def first_etas(connection: Connection, rows: Sequence[RowMapping], now: str) -> dict[str, int | None]:
    """ETAs of open batches without a good take: by the newest takes of their profiles, after what is queued before."""
    place = (batches.c.priority, batches.c.created_at, batches.c.id)
    is_open = connection.execute(select(*place).where(batches.c.state == BatchState.OPEN))
    in_order = [batch_id for _, _, batch_id in sorted(place_in_queue(*row) for row in is_open)]
    left = lines_left(connection, in_order, now)
    known = newest_takes_of_profiles(connection, {profile for each in left.values() for profile in each}, now)
    wanted = {row["id"] for row in rows}
    etas: dict[str, int | None] = {}
    until_here: dict[str, Left] = {}  # by profile
    for batch_id in in_order:
        mine = left[batch_id]
        for profile, own in mine.items():
            until_here[profile] = until_here.get(profile, Left(0, 0, [])).plus(own)
        if batch_id in wanted:
            total = {profile: until_here[profile] for profile in mine}
            etas[batch_id] = eta_s(total, {profile: known[profile] for profile in mine if profile in known})
    return etas


def newest_takes_of_profiles(connection: Connection, profiles: Collection[str], now: str) -> dict[str, list[Work]]:
    """Each profile's newest PACE_TAKES takes of any batch."""
    columns = [takes.c[name] for name in ("profile", *WORK_COLUMNS)]
    newest = [
        select(*columns, func.length(takes.c.text).label("characters"))
        .where(takes.c.profile == profile, takes.c.ended_at.is_not(None))
        .order_by(takes.c.ended_at.desc())
        .limit(PACE_TAKES)
        .subquery()
        for profile in sorted(profiles)
    ]
    found: dict[str, list[Work]] = {}
    if newest:
        for row in connection.execute(union_all(*(select(each) for each in newest))):
            found.setdefault(row.profile, []).append(work_of(row, now))
    return found


def batch_rows(connection: Connection, rows: Sequence[RowMapping], now: str) -> list[BatchRow]:
    """Heads with what a list shows besides."""
    extras = ("title", "kind", "model", "priority", "created_at", "ended_at")
    return [
        BatchRow(**asdict(head), **{name: row[name] for name in extras}, profile=row["model"])
        for head, row in zip(heads(connection, rows, now), rows, strict=True)
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


class Left(NamedTuple):
    """What a batch has left for one profile: characters of its queued lines and of the longest of them, each counted
    once for each take of the line, and the lines in work."""

    queued: int
    longest: int
    in_work: list[InWork]

    def plus(self, other: Left) -> Left:
        """Both together."""
        return Left(self.queued + other.queued, max(self.longest, other.longest), [*self.in_work, *other.in_work])


def lines_left(connection: Connection, batch_ids: Sequence[str], now: str) -> dict[str, dict[str, Left]]:
    """By batch and profile."""
    characters = func.length(lines.c.text) * lines.c.takes
    queued = (
        select(lines.c.batch_id, lines.c.model, func.sum(characters), func.max(characters))
        .where(lines.c.batch_id.in_(batch_ids), lines.c.state == LineState.QUEUED)
        .group_by(lines.c.batch_id, lines.c.model)
    )
    newest = and_(takes.c.line_id == lines.c.id, takes.c.attempt == lines.c.attempt)
    in_work = (
        select(lines.c.batch_id, lines.c.model, characters.label("characters"), takes.c.created_at)
        .select_from(lines.outerjoin(takes, newest))
        .where(lines.c.batch_id.in_(batch_ids), lines.c.state == LineState.RENDERING)
    )
    left: dict[str, dict[str, Left]] = {batch_id: {} for batch_id in batch_ids}
    for batch_id, profile, total, longest in connection.execute(queued):
        left[batch_id][profile] = Left(int(total), int(longest), [])
    for row in connection.execute(in_work):
        elapsed_s = seconds(now) - seconds(row.created_at) if row.created_at else 0.0
        mine = left[row.batch_id].setdefault(row.model, Left(0, 0, []))
        mine.in_work.append(InWork(row.characters, max(0.0, elapsed_s)))
    return left


def newest_takes(connection: Connection, batch_ids: Sequence[str], now: str) -> dict[str, dict[str, list[Work]]]:
    """Each batch's newest PACE_TAKES takes, by batch and profile."""
    if not batch_ids:
        return {}
    columns = [takes.c[name] for name in ("batch_id", "profile", *WORK_COLUMNS)]
    newest = [
        select(*columns, func.length(takes.c.text).label("characters"))
        .where(takes.c.batch_id == batch_id)
        .order_by(takes.c.created_at.desc())
        .limit(PACE_TAKES)
        .subquery()
        for batch_id in batch_ids
    ]
    found: dict[str, dict[str, list[Work]]] = {}
    for row in connection.execute(union_all(*(select(each) for each in newest))):
        found.setdefault(row.batch_id, {}).setdefault(row.profile, []).append(work_of(row, now))
    return found


def work_of(row: Any, now: str) -> Work:
    """A take's time in work: in its slot, and until its verdict and its file are there."""
    good = row.state in GOOD_TAKES if row.ended_at else None
    return Work(row.worker, seconds(row.created_at), seconds(row.ended_at or now), row.characters, good)


def eta_s(left: Mapping[str, Left], done: Mapping[str, Sequence[Work]]) -> int | None:
    """Seconds until the lines of every profile are rendered, by the batch's own takes; None when none was good.

    A profile without a good take is taken to be as fast as the others.
    """
    known = {profile: found for profile, works in done.items() if (found := throughput_of(works))}
    if not known:
        return None
    if left.keys() - known.keys():
        overall = throughput_of(take for works in done.values() for take in works)
        assert overall is not None  # one profile has a good take
        known = dict.fromkeys(left, overall) | known
    seconds_left = [known[profile].seconds_left(*mine) for profile, mine in left.items()]
    return max(1, round(max(seconds_left, default=0.0)))  # 0 is for a batch that has ended


def time_in_work(ended: Iterable[Any]) -> float:
    """Wall seconds in which at least one of these ended takes was in work."""
    return covered_s((seconds(row.created_at), seconds(row.ended_at)) for row in ended)


def seconds(timestamp: str) -> float:
    """Unix time of one of the ledger's timestamps."""
    return datetime.fromisoformat(timestamp).timestamp()


def line_views(connection: Connection, batch_id: str) -> list[LineView]:
    """A batch's lines in order; `qc` is that of the kept take, or of a failed line's last one.

    `trouble` is the class of what last went wrong, `troubles` how often each class was met.
    """
    last, kept = takes.alias("last"), takes.alias("kept")
    shown = case((lines.c.state == "failed", last.c.id), else_=lines.c.take_id)
    is_last = and_(lines.c.state == "failed", last.c.line_id == lines.c.id, last.c.attempt == lines.c.attempt)
    in_batch = (
        select(*(lines.c[name] for name in LINE_SHOWN), shown.label("take"))
        .select_from(lines.outerjoin(last, is_last))
        .where(lines.c.batch_id == batch_id)
    )
    with_take = in_batch.outerjoin(kept, kept.c.id == shown).add_columns(kept.c.score, kept.c.chosen)
    rows = connection.execute(with_take.order_by(lines.c.number)).all()
    checks = checks_of(connection, in_batch.with_only_columns(shown))
    views = []
    for row in rows:  # unpacked: a name of a row is looked up in a dictionary, twenty times for each of many lines
        line, state, profile, path, sha256, tried, error, trouble, troubles, crashes, *place, take, score, chosen = row
        role, part_of, part, script_line, script_column = place
        views.append(
            LineView(
                id=line,
                state=state,
                profile=profile,
                path=path,
                sha256=sha256,
                take=take,
                score=score,
                chosen=chosen,
                tried=tried_takes(tried),
                qc=checks.get(take, []),
                error=error,
                trouble=trouble,
                troubles={**(troubles or {}), **({"crash": crashes} if crashes else {})},
                role=role,
                part_of=part_of,
                part=part,
                script_line=script_line,
                script_column=script_column,
            )
        )
    return views


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
    decode = msgspec.json.decode  # what is not a number is JSON text
    # A batch has hundreds of thousands of checks: this loop is most of what `status BATCH --json` costs.
    for take_id, name, value, limit, ok, weight, detail in connection.execute(query).all():
        if on_sqlite:
            value = decode(value) if type(value) is str else value
            limit = decode(limit) if type(limit) is str else limit
            detail = decode(detail) if type(detail) is str else detail
        check = CheckView(name, value, limit, ok, 1.0 if weight is None else weight, detail)
        if take_id in found:
            found[take_id].append(check)
        else:
            found[take_id] = [check]
    return found


def batch_totals(ledger: Ledger, batch_id: str) -> Totals:
    """Seconds of audio in a batch's files; what of it was rendered here, in how much wall time, how fast."""
    with ledger.engine.connect() as connection:
        return totals_of(connection, [batch_id])[batch_id]


def totals_of(connection: Connection, batch_ids: Sequence[str]) -> dict[str, Totals]:
    ended = select(takes.c.batch_id, takes.c.state, takes.c.duration_s, takes.c.created_at, takes.c.ended_at).where(
        takes.c.batch_id.in_(batch_ids), takes.c.ended_at.is_not(None)
    )
    kept = (
        select(lines.c.batch_id, func.sum(takes.c.duration_s))
        .join_from(lines, takes, takes.c.id == lines.c.take_id)
        .where(lines.c.batch_id.in_(batch_ids), lines.c.state.in_((LineState.DONE, LineState.CACHED)))
        .group_by(lines.c.batch_id)
    )
    rows: dict[str, list[Any]] = {batch_id: [] for batch_id in batch_ids}
    for row in connection.execute(ended):
        rows[row.batch_id].append(row)
    audio_s = {row[0]: row[1] for row in connection.execute(kept)}
    return {batch_id: totals(rows[batch_id], audio_s.get(batch_id) or 0.0) for batch_id in batch_ids}


def totals(ended: Sequence[Any], audio_s: float) -> Totals:
    """Of a batch's takes that have ended, and the audio in its files."""
    busy_s = time_in_work(ended)
    rendered_s = sum(row.duration_s or 0.0 for row in ended if row.state == TakeState.DONE)
    return Totals(
        takes=len(ended),
        audio_s=round(audio_s, 3),
        rendered_s=round(rendered_s, 3),
        wall_s=round(busy_s, 3),
        speed=round(rendered_s / busy_s, 3) if rendered_s and busy_s else None,
        failed=sum(row.state in FAILED_TAKES for row in ended),
        began_at=min((row.created_at for row in ended), default=None),
    )


FAILED_LINES = (
    select(
        lines.c.batch_id.label("batch"),
        lines.c.line,
        lines.c.error,
        lines.c.updated_at.label("at"),
        *(lines.c[name] for name in ("trouble", "number", "chapter", "chapter_title")),
        func.coalesce(lines.c.written, lines.c.text).label("text"),
        lines.c.model.label("profile"),
        batches.c.script,
        lines.c.script_line,
        lines.c.script_column,
    )
    .join_from(lines, batches, batches.c.id == lines.c.batch_id)
    .where(lines.c.state == "failed")
)
"""A Failure of each row."""


def failures(ledger: Ledger, batch_id: str, limit: int) -> list[Failure]:
    """The batch's first failed lines, in its order."""
    query = FAILED_LINES.where(lines.c.batch_id == batch_id).order_by(lines.c.number).limit(limit)
    with ledger.engine.connect() as connection:
        return [Failure(**row) for row in connection.execute(query).mappings()]


EQUAL = select(takes.c.key, takes.c.id, takes.c.path, takes.c.sha256).where(may_serve())


def cached_takes(ledger: Ledger, planned: Sequence[PlannedLine]) -> dict[str, CachedTake]:
    """Finished takes by the key of a planned line; of several the newest, made because the older one's file had gone.

    A line that may be escalated is also served by a take of the other profile, if takes of its own have failed.
    """
    found: dict[str, CachedTake] = {}
    first = takes.alias("first")
    escalated = {line.escalate.key: line.key for line in planned if line.escalate}
    with ledger.engine.connect() as connection:
        for chunk in chunks(escalated, 500):
            query = EQUAL.join(first, first.c.line_id == takes.c.line_id).where(takes.c.key.in_(chunk))
            tried_before = query.add_columns(first.c.key.label("first")).order_by(takes.c.ended_at)
            for row in connection.execute(tried_before):
                if row.first == escalated[row.key]:
                    found[row.first] = CachedTake(row.id, row.path, row.sha256)
        for chunk in chunks((line.key for line in planned), 500):
            rows = connection.execute(EQUAL.where(takes.c.key.in_(chunk)).order_by(takes.c.ended_at))
            found.update({row.key: CachedTake(row.id, row.path, row.sha256) for row in rows})
    return found
