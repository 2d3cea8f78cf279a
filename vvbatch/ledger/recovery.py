"""Workers as the ledger knows them, and what becomes of lines whose worker died or lost them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, and_, exists, not_, or_, select

from vvbatch.ledger import entries
from vvbatch.ledger.batches import open_again
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import LINE_OPEN, batches, lines, takes, workers
from vvbatch.profiles import Retries


class Fate(NamedTuple):
    """What becomes of a line whose worker died; `counts` are the columns that say why."""

    state: str
    counts: dict[str, object]
    error: str | None


class Leftover(NamedTuple):
    """A take that will not be finished, and where its line's file would have been."""

    take_id: str
    out: str
    batch_id: str
    chapter: int
    number: int
    line: str
    attempt: int = 0


def worker_started(ledger: Ledger, name: str, profile: str, host: str, pid: int, facts: Mapping[str, Any]) -> None:
    row = {"id": name, "profile": profile, "host": host, "pid": pid, "facts": facts}
    with ledger.transaction() as connection:
        connection.execute(workers.insert().values(**row, state="running", started_at=ledger.now()))
        ledger.note(connection, "worker started", worker=name)


def worker_stopped(ledger: Ledger, name: str) -> None:
    with ledger.transaction() as connection:
        ended = {"state": "stopped", "ended_at": ledger.now()}
        connection.execute(workers.update().where(workers.c.id == name).values(ended))
        ledger.note(connection, "worker stopped", worker=name)


def worker_lives(ledger: Ledger, name: str) -> None:
    """Also tests whether the ledger accepts writes: raises the database's error when it does not."""
    with ledger.transaction() as connection:
        connection.execute(workers.update().where(workers.c.id == name).values(state="running", ended_at=None))


def running(ledger: Ledger) -> set[str]:
    """Workers that have not recorded that they stopped; some of them may have died."""
    with ledger.engine.connect() as connection:
        return set(connection.execute(select(workers.c.id).where(workers.c.state == "running")).scalars())


def abandon(ledger: Ledger, worker: str, retries: Mapping[str, Retries], cause: str = "crash") -> list[tuple[str, str]]:
    """A worker has died: its takes crashed; its lines are queued again, or fail after their model's limit.

    `cause` is `crash` or `timeout`. Returns (line id, batch id) of every line that it was rendering.
    """
    now = ledger.now()
    with ledger.transaction() as connection:
        mine = and_(lines.c.worker == worker, lines.c.state == "rendering")
        rows = connection.execute(select(lines).where(mine).with_for_update()).mappings().all()
        for row in rows:
            state, counts, error = fate(row, len(rows), retries.get(row["model"], Retries()), cause)
            values = {**counts, "state": state, "trouble": cause, "error": error, "worker": None, "updated_at": now}
            connection.execute(lines.update().where(lines.c.id == row["id"]).values(**values))
        why = "the worker died" if cause == "crash" else "the worker made no progress and was killed"
        connection.execute(
            takes.update()
            .where(takes.c.worker == worker, takes.c.state == "rendering")
            .values(state="crashed", error=why, ended_at=now)
        )
        connection.execute(workers.update().where(workers.c.id == worker).values(state="dead", ended_at=now))
        detail = {"lines": [row["id"] for row in rows], "cause": cause}
        ledger.note(connection, "worker died", worker=worker, detail=detail)
        ids = [row["id"] for row in rows]
        entries.lines_changed(connection, lines.c.id.in_(ids))
        entries.takes_changed(connection, and_(takes.c.worker == worker, takes.c.ended_at == now))
    return [(row["id"], row["batch_id"]) for row in rows]


def fate(row: RowMapping, in_hand: int, retries: Retries, cause: str) -> Fate:
    """A line that was rendered with others is only a suspect: it is queued again, and may render alone."""
    if in_hand > 1:
        return Fate("queued", {"suspicion": row["suspicion"] + 1}, None)
    if cause == "timeout":
        count = (row["troubles"] or {}).get("timeout", 0) + 1
        counts: dict[str, object] = {"troubles": {**(row["troubles"] or {}), "timeout": count}}
        limit, reason = (
            retries.timeout,
            f"quarantined: its worker made no progress {count} times while rendering it alone",
        )
    else:
        count = row["crashes"] + 1
        counts = {"crashes": count}
        limit, reason = retries.crash, f"quarantined: its worker died {count} times while rendering it alone"
    return Fate("failed", counts, reason) if count > limit else Fate("queued", counts, None)


def disown(ledger: Ledger, worker: str, in_hand: Iterable[str]) -> list[str]:
    """Queue the lines that the ledger assigns to a live worker that no longer has them: their end was not recorded.

    Returns their ids.
    """
    now = ledger.now()
    with ledger.transaction() as connection:
        held = set(in_hand)
        mine = and_(lines.c.worker == worker, lines.c.state == "rendering")
        lost = [
            line_id for line_id in connection.execute(select(lines.c.id).where(mine)).scalars() if line_id not in held
        ]
        connection.execute(
            lines.update().where(lines.c.id.in_(lost)).values(state="queued", worker=None, updated_at=now)
        )
        unfinished = and_(takes.c.line_id.in_(lost), takes.c.worker == worker, takes.c.state == "rendering")
        reason = "the ledger could not be written when it ended"
        connection.execute(takes.update().where(unfinished).values(state="failed", error=reason, ended_at=now))
        entries.lines_changed(connection, lines.c.id.in_(lost))
        entries.takes_changed(connection, and_(takes.c.line_id.in_(lost), takes.c.ended_at == now))
    return lost


def leftovers(ledger: Ledger, worker: str) -> list[Leftover]:
    """The unfinished takes of a worker that died: each may have left a temporary file."""
    query = (
        select(
            takes.c.id, batches.c.out, lines.c.batch_id, lines.c.chapter, lines.c.number, lines.c.line, takes.c.attempt
        )
        .join_from(takes, lines, lines.c.id == takes.c.line_id)
        .join(batches, batches.c.id == takes.c.batch_id)
        .where(takes.c.worker == worker, takes.c.state == "rendering")
    )
    with ledger.engine.connect() as connection:
        return [Leftover(*row) for row in connection.execute(query)]


def file_location(ledger: Ledger, line_id: str) -> Leftover | None:
    """Where a line's file belongs; None for a line that the ledger does not have."""
    query = (
        select(batches.c.out, lines.c.batch_id, lines.c.chapter, lines.c.number, lines.c.line)
        .join_from(lines, batches, batches.c.id == lines.c.batch_id)
        .where(lines.c.id == line_id)
    )
    with ledger.engine.connect() as connection:
        row = connection.execute(query).first()
    return Leftover("", *row) if row else None


def open_batches(ledger: Ledger) -> list[tuple[str, str]]:
    """(output, batch id) of the batches that have not ended."""
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(batches.c.id, batches.c.out).where(batches.c.ended_at.is_(None)))
        return [(row.out, row.id) for row in rows]


def supersede_others(ledger: Ledger, line_id: str, worker: str) -> None:
    """The takes of a line that its worker could not close when the ledger was away."""
    unfinished = and_(takes.c.line_id == line_id, takes.c.worker == worker, takes.c.state == "rendering")
    now = ledger.now()
    with ledger.transaction() as connection:
        superseded = takes.update().where(unfinished).values(state="superseded", ended_at=now)
        if connection.execute(superseded).rowcount:
            ledger.note(connection, "takes superseded", line_id=line_id, worker=worker)
            entries.takes_changed(connection, and_(takes.c.line_id == line_id, takes.c.ended_at == now))


def reopen(ledger: Ledger, batch_id: str, names: Iterable[str]) -> None:
    """Queue lines (by their ids in the script) whose file is missing or changed; their takes are superseded."""
    now = ledger.now()
    had_file = or_(lines.c.state.in_(("done", "cached")), and_(lines.c.state == "queued", lines.c.path.is_not(None)))
    which = and_(lines.c.batch_id == batch_id, lines.c.line.in_(list(names)), had_file)
    with ledger.transaction() as connection:
        ids = list(connection.execute(select(lines.c.id).where(which)).scalars())
        kept = and_(takes.c.line_id.in_(ids), takes.c.state == "done")
        kept_ids = list(connection.execute(select(takes.c.id).where(kept)).scalars())
        same_file = select(lines.c.path).where(lines.c.id == takes.c.line_id).scalar_subquery()
        rejected = and_(takes.c.line_id.in_(ids), takes.c.state == "rejected", takes.c.path == same_file)
        connection.execute(takes.update().where(rejected).values(path=None, sha256=None, size_bytes=None))
        superseded = {"state": "superseded", "path": None, "error": "its file was missing or changed"}
        connection.execute(takes.update().where(kept).values(superseded))
        waits = {"state": "queued", "take_id": None, "path": None, "sha256": None, "updated_at": now}
        connection.execute(lines.update().where(lines.c.id.in_(ids)).values(waits))
        open_again(connection, batch_id)
        ledger.note(connection, "lines repaired", batch_id=batch_id, detail={"lines": ids})
        entries.lines_changed(connection, lines.c.id.in_(ids))
        entries.takes_changed(connection, takes.c.id.in_(kept_ids))


def forget_audio(ledger: Ledger, take_ids: Iterable[str]) -> None:
    """Forget the kept audio of takes that were not chosen: its file is missing or changed."""
    which = and_(takes.c.id.in_(list(take_ids)), takes.c.state != "done")
    with ledger.transaction() as connection:
        connection.execute(takes.update().where(which).values(path=None, sha256=None, size_bytes=None))


def unsettled(ledger: Ledger) -> list[str]:
    """Open batches with no open line, and ended ones without a manifest: their last worker died before that."""
    has_open = exists().where(lines.c.batch_id == batches.c.id, lines.c.state.in_(LINE_OPEN))
    wanting = or_(and_(batches.c.ended_at.is_(None), ~has_open), lacks_manifest())
    with ledger.engine.connect() as connection:
        return list(connection.execute(select(batches.c.id).where(wanting)).scalars())


def needs_manifest(ledger: Ledger, batch_id: str) -> bool:
    with ledger.engine.connect() as connection:
        return (
            connection.execute(select(batches.c.id).where(batches.c.id == batch_id, lacks_manifest())).first()
            is not None
        )


def manifest_written(ledger: Ledger, batch_id: str, sha256: str) -> None:
    with ledger.transaction() as connection:
        mine = and_(batches.c.id == batch_id, batches.c.ended_at.is_not(None))
        connection.execute(batches.update().where(mine).values(manifest_sha256=sha256))


def is_suspect(ledger: Ledger, line_id: str, crashed_with_others: int) -> bool:
    """Whether a worker died with this line alone, or more than `crashed_with_others` with it among others."""
    suspect = or_(lines.c.crashes > 0, lines.c.suspicion > crashed_with_others, lines.c.trouble == "timeout")
    with ledger.engine.connect() as connection:
        return connection.execute(select(lines.c.id).where(lines.c.id == line_id, suspect)).first() is not None


def no_longer_wanted(ledger: Ledger, worker: str, line_ids: Sequence[str]) -> dict[str, str]:
    """Which of these lines are not this worker's any more, with their state; checked between steps."""
    if not line_ids:
        return {}
    mine = and_(lines.c.state == "rendering", lines.c.worker == worker)
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(lines.c.id, lines.c.state).where(lines.c.id.in_(line_ids), not_(mine)))
        return {row.id: row.state for row in rows}


def rendering_by(ledger: Ledger) -> dict[str, list[str]]:
    """Line ids in work, by worker name."""
    by_worker: dict[str, list[str]] = {}
    with ledger.engine.connect() as connection:
        for row in connection.execute(select(lines.c.id, lines.c.worker).where(lines.c.state == "rendering")):
            by_worker.setdefault(row.worker or "", []).append(row.id)
    return by_worker


def lacks_manifest() -> Any:
    return and_(batches.c.ended_at.is_not(None), batches.c.manifest_sha256.is_(None))
