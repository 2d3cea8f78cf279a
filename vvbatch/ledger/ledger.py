"""Everything that writes to the ledger. Each method is one transaction, and says what it left unchanged."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, and_, exists, func, select

from vvbatch.ledger import schema
from vvbatch.ledger.database import open_database, write
from vvbatch.ledger.schema import LINE_OPEN, batches, events, lines, qc_results, queues, takes, workers

if TYPE_CHECKING:  # reading commands start quicker without what planning needs
    from vvbatch.engine import EngineFacts
    from vvbatch.plan import PlannedLine

Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """itertools.batched, which Python 3.11 does not have."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def utc_now() -> str:
    """ISO 8601 in UTC with microseconds: sorts as text."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class NewBatch:
    id: str
    title: str
    script: str
    fingerprint: str
    model: str | None
    priority: str
    out: str


@dataclass(frozen=True)
class CachedTake:
    """A finished take with the same key; whether its file still has its hash is for the caller to see."""

    take_id: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Claim:
    """A line that this worker may render: what to render, and the numbers that fence late finishers."""

    line_id: str
    batch_id: str
    line: str
    number: int
    chapter: int
    model: str
    out: str
    key: str
    control_hash: str
    text: str
    request: Mapping[str, Any]
    takes: int
    attempt: int
    crashes: int
    worker: str
    cached: CachedTake | None = None


@dataclass(frozen=True)
class Outcome:
    """How a take ended, in the ledger's columns. `qc` rows are name, value, limit, ok."""

    state: str
    error: str | None = None
    path: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    duration_s: float | None = None
    wall_s: float | None = None
    first_chunk_s: float | None = None
    peak_dbfs: float | None = None
    loudness_lufs: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    qc: Sequence[tuple[str, Any, Any, bool]] = ()


class Ledger:
    """One per process; safe to use from several threads. Raises LedgerError when it cannot be opened."""

    def __init__(self, url: str, now: Callable[[], str] = utc_now) -> None:
        self.url = url
        self.engine = open_database(url)
        self.now = now

    def close(self) -> None:
        self.engine.dispose()

    # Batches

    def add_batch(
        self, batch: NewBatch, new_lines: Sequence[PlannedLine], cached: Mapping[str, tuple[CachedTake, str]]
    ) -> tuple[str, bool]:
        """Record a batch with its lines. `cached` maps script line ids to a take and the file made of it here.

        The same work (fingerprint) that is still open is not recorded again: (its batch's id, False) comes back.
        """
        now = self.now()
        with write(self.engine) as connection:
            twin = connection.execute(
                select(batches.c.id).where(
                    batches.c.fingerprint == batch.fingerprint, batches.c.state.in_(("open", "paused"))
                )
            ).scalar()
            if twin:
                return twin, False
            connection.execute(batches.insert().values(**vars(batch), state="open", created_at=now))
            for chunk in chunks(new_lines, 1000):
                connection.execute(
                    lines.insert(), [line_row(batch.id, line, cached.get(line.line), now) for line in chunk]
                )
            self.note(connection, "batch submitted", batch_id=batch.id, detail={"lines": len(new_lines)})
        return batch.id, True

    def set_batch_state(self, batch_id: str, state: str, *, only_from: Sequence[str]) -> bool:
        with write(self.engine) as connection:
            changed = connection.execute(
                batches.update().where(batches.c.id == batch_id, batches.c.state.in_(only_from)).values(state=state)
            ).rowcount
            if changed:
                self.note(connection, f"batch {state}", batch_id=batch_id)
        return bool(changed)

    def settle(self, batch_id: str) -> str | None:
        """End a batch that has no open line left. Returns its final state, or None when it goes on or had ended."""
        still_open = select(lines.c.id).where(lines.c.batch_id == batch_id, lines.c.state.in_(LINE_OPEN)).limit(1)
        with self.engine.connect() as connection:  # asked after every line: a look must not wait for the write lock
            if connection.execute(still_open).first():
                return None
        with write(self.engine) as connection:
            if connection.execute(still_open).first():
                return None
            states = set(
                connection.execute(select(lines.c.state).where(lines.c.batch_id == batch_id).distinct()).scalars()
            )
            state = final_state(states)
            changed = connection.execute(
                batches.update()
                .where(batches.c.id == batch_id, batches.c.ended_at.is_(None))
                .values(state=state, ended_at=self.now())
            ).rowcount
            if changed:
                self.note(connection, f"batch {state}", batch_id=batch_id)
        return state if changed else None

    def unsettled(self) -> list[str]:
        """Open batches with no open line: their last worker died before it could end them."""
        has_open = exists().where(lines.c.batch_id == batches.c.id, lines.c.state.in_(LINE_OPEN))
        with self.engine.connect() as connection:
            return list(
                connection.execute(select(batches.c.id).where(batches.c.ended_at.is_(None), ~has_open)).scalars()
            )

    def cancel(self, batch_id: str, line: str | None = None) -> list[str]:
        """Cancel a batch's open lines, or one of them. Returns the ids of the lines that were open."""
        which = and_(lines.c.batch_id == batch_id, lines.c.state.in_(LINE_OPEN))
        if line is not None:
            which = and_(which, lines.c.line == line)
        with write(self.engine) as connection:
            ids = list(connection.execute(select(lines.c.id).where(which)).scalars())
            connection.execute(lines.update().where(which).values(state="cancelled", updated_at=self.now()))
            if ids:
                detail = {"lines": len(ids), "line": line}
                self.note(connection, "lines cancelled", batch_id=batch_id, detail=detail)
        return ids

    def retry(self, batch_id: str, line: str | None = None, states: Sequence[str] = ("failed", "cancelled")) -> int:
        """Queue a batch's failed and cancelled lines again, or one of them. Returns how many."""
        which = and_(lines.c.batch_id == batch_id, lines.c.state.in_(states))
        if line is not None:
            which = and_(which, lines.c.line == line)
        with write(self.engine) as connection:
            count = connection.execute(
                lines.update()
                .where(which)
                .values(state="queued", crashes=0, error=None, worker=None, updated_at=self.now())
            ).rowcount
            if count:
                ended = and_(batches.c.id == batch_id, batches.c.ended_at.is_not(None))  # a paused one stays paused
                connection.execute(batches.update().where(ended).values(state="open", ended_at=None))
                self.note(connection, "lines retried", batch_id=batch_id, detail={"lines": count, "line": line})
        return count

    # A model's queue

    def pause_queue(self, name: str, reason: str) -> None:
        with write(self.engine) as connection:
            connection.execute(queues.delete().where(queues.c.name == name))
            connection.execute(queues.insert().values(name=name, paused_at=self.now(), reason=reason))
            self.note(connection, "queue paused", detail={"queue": name, "reason": reason})

    def resume_queue(self, name: str) -> bool:
        with write(self.engine) as connection:
            changed = connection.execute(queues.delete().where(queues.c.name == name)).rowcount
            if changed:
                self.note(connection, "queue resumed", detail={"queue": name})
        return bool(changed)

    def queue_is_paused(self, name: str) -> bool:
        with self.engine.connect() as connection:
            return connection.execute(select(queues.c.name).where(queues.c.name == name)).first() is not None

    # Lines and takes

    def cached_takes(self, keys: Iterable[str]) -> dict[str, CachedTake]:
        """Finished takes by key; of several the newest, which was made because the older one's file had gone."""
        found: dict[str, CachedTake] = {}
        with self.engine.connect() as connection:
            for chunk in chunks(keys, 500):
                rows = connection.execute(
                    select(takes.c.key, takes.c.id, takes.c.path, takes.c.sha256)
                    .where(takes.c.key.in_(chunk), takes.c.state == "done")
                    .order_by(takes.c.ended_at)
                )
                found.update({row.key: CachedTake(row.id, row.path, row.sha256) for row in rows})
        return found

    def claim(self, line_id: str, worker: str) -> Claim | None:
        """Take a queued line of an open batch for this worker; None when it is not (or no longer) to be rendered."""
        with write(self.engine) as connection:
            row = (
                connection.execute(
                    select(lines, batches.c.out.label("out"))
                    .join(batches, batches.c.id == lines.c.batch_id)
                    .where(lines.c.id == line_id, lines.c.state == "queued", batches.c.state == "open")
                    .with_for_update(of=lines)
                )
                .mappings()
                .first()
            )
            if row is None:
                return None
            twin = connection.execute(
                select(takes.c.id, takes.c.path, takes.c.sha256)
                .where(takes.c.key == row["key"], takes.c.state == "done")
                .order_by(takes.c.ended_at.desc())
            ).first()
            connection.execute(
                lines.update()
                .where(lines.c.id == line_id)
                .values(state="rendering", worker=worker, updated_at=self.now())
            )
        return Claim(
            line_id=line_id,
            cached=CachedTake(twin.id, twin.path, twin.sha256) if twin else None,
            **{name: row[name] for name in CLAIM_COLUMNS},
            worker=worker,
        )

    def open_take(self, claim: Claim, seed: int, facts: EngineFacts) -> tuple[Claim, str] | None:
        """Begin the line's next take. Returns the claim with its attempt number and the take's id.

        None when the claim has been lost (cancelled, or given to another worker).
        """
        take_id = secrets.token_hex(8)
        request = claim.request
        with write(self.engine) as connection:
            attempt = claim.attempt + 1
            mine = lines.update().where(still_claimed(claim))
            if not connection.execute(mine.values(attempt=attempt, updated_at=self.now())).rowcount:
                return None
            connection.execute(
                takes.insert().values(
                    id=take_id,
                    batch_id=claim.batch_id,
                    line_id=claim.line_id,
                    attempt=attempt,
                    state="rendering",
                    key=claim.key,
                    profile=claim.model,
                    engine=f"{facts.engine} {facts.version}",
                    model=facts.model,
                    revision=facts.revision,
                    device=facts.device,
                    dtype=facts.dtype,
                    voices=request["voices"],
                    seed=seed,
                    params=request["params"],
                    control_hash=claim.control_hash,
                    text=claim.text,
                    worker=claim.worker,
                    created_at=self.now(),
                )
            )
        return replace(claim, attempt=attempt), take_id

    def close_take(self, take_id: str, outcome: Outcome) -> None:
        """End a take that is not kept: failed_qc, failed, cancelled or superseded."""
        with write(self.engine) as connection:
            self.record(connection, take_id, outcome)

    def keep_take(self, claim: Claim, take_id: str, outcome: Outcome, publish: Callable[[], None]) -> bool:
        """The line is done with this take. False, and the take superseded, when the claim has been lost.

        `publish` renames the finished file into place. It runs inside the write transaction, so that a worker that
        was thought dead cannot put its file over that of its successor.
        """
        with write(self.engine) as connection:
            if not connection.execute(select(lines.c.id).where(still_claimed(claim)).with_for_update()).first():
                self.record(connection, take_id, replace(outcome, state="superseded", path=None))
                return False
            publish()
            self.record(connection, take_id, outcome)
            connection.execute(
                lines.update()
                .where(lines.c.id == claim.line_id)
                .values(
                    state="done",
                    take_id=take_id,
                    path=outcome.path,
                    sha256=outcome.sha256,
                    error=None,
                    updated_at=self.now(),
                )
            )
        return True

    def keep_cached(self, claim: Claim, cached: CachedTake, path: str, publish: Callable[[], None]) -> bool:
        """The line is served by an equal take's file, now also at `path`. False when the claim has been lost."""
        with write(self.engine) as connection:
            if not connection.execute(select(lines.c.id).where(still_claimed(claim)).with_for_update()).first():
                return False
            publish()
            connection.execute(
                lines.update()
                .where(lines.c.id == claim.line_id)
                .values(state="cached", take_id=cached.take_id, path=path, sha256=cached.sha256, updated_at=self.now())
            )
        return True

    def fail_line(self, claim: Claim, error: str) -> bool:
        """The line has failed for good. False when the claim has been lost."""
        return self.release(claim, "failed", error)

    def put_back(self, claim: Claim) -> bool:
        """The line waits again, as if it had not been claimed. False when the claim has been lost."""
        return self.release(claim, "queued", None)

    def release(self, claim: Claim, state: str, error: str | None) -> bool:
        with write(self.engine) as connection:
            changed = connection.execute(
                lines.update()
                .where(still_claimed(claim))
                .values(state=state, error=error, worker=None, updated_at=self.now())
            ).rowcount
            if changed and state == "failed":
                self.note(
                    connection,
                    "line failed",
                    batch_id=claim.batch_id,
                    line_id=claim.line_id,
                    worker=claim.worker,
                    detail={"error": error},
                )
        return bool(changed)

    def cancelled_among(self, line_ids: Sequence[str]) -> set[str]:
        """Which of these lines have been cancelled; asked by the worker between steps."""
        if not line_ids:
            return set()
        with self.engine.connect() as connection:
            query = select(lines.c.id).where(lines.c.id.in_(line_ids), lines.c.state == "cancelled")
            return set(connection.execute(query).scalars())

    def rendering_by(self) -> dict[str, list[str]]:
        """Line ids in work, by worker name."""
        by_worker: dict[str, list[str]] = {}
        with self.engine.connect() as connection:
            for row in connection.execute(select(lines.c.id, lines.c.worker).where(lines.c.state == "rendering")):
                by_worker.setdefault(row.worker or "", []).append(row.id)
        return by_worker

    def abandon(self, worker: str, crash_limits: Mapping[str, int]) -> list[tuple[str, str]]:
        """A worker is dead: its takes crashed; its lines wait again, or fail after their model's limit of crashes.

        Returns (line id, batch id) of every line that was in its hands.
        """
        now = self.now()
        mine = and_(lines.c.worker == worker, lines.c.state == "rendering")
        with write(self.engine) as connection:
            rows = connection.execute(
                select(lines.c.id, lines.c.batch_id, lines.c.model, lines.c.crashes).where(mine)
            ).all()
            for row in rows:
                crashes = row.crashes + 1
                failed = crashes > crash_limits.get(row.model, 0)
                error = f"its worker died {crashes} times while rendering it" if failed else None
                connection.execute(
                    lines.update()
                    .where(lines.c.id == row.id)
                    .values(
                        state="failed" if failed else "queued",
                        crashes=crashes,
                        worker=None,
                        error=error,
                        updated_at=now,
                    )
                )
            connection.execute(
                takes.update()
                .where(takes.c.worker == worker, takes.c.state == "rendering")
                .values(state="crashed", error="the worker died", ended_at=now)
            )
            connection.execute(workers.update().where(workers.c.id == worker).values(state="dead", ended_at=now))
            self.note(connection, "worker died", worker=worker, detail={"lines": [row.id for row in rows]})
        return [(row.id, row.batch_id) for row in rows]

    def waiting_lines(
        self, *, model: str | None = None, batch_id: str | None = None, ids: Sequence[str] | None = None
    ) -> list[tuple[str, str, str]]:
        """(line id, model, priority) of queued lines of open batches, oldest batch first."""
        query = (
            select(lines.c.id, lines.c.model, batches.c.priority)
            .join(batches, batches.c.id == lines.c.batch_id)
            .where(lines.c.state == "queued", batches.c.state == "open")
            .order_by(batches.c.created_at, lines.c.number)
        )
        if model is not None:
            query = query.where(lines.c.model == model)
        if batch_id is not None:
            query = query.where(lines.c.batch_id == batch_id)
        if ids is not None:
            query = query.where(lines.c.id.in_(ids))
        with self.engine.connect() as connection:
            return [(row.id, row.model, row.priority) for row in connection.execute(query)]

    def waiting_count(self, model: str) -> int:
        query = (
            select(func.count())
            .select_from(lines.join(batches, batches.c.id == lines.c.batch_id))
            .where(lines.c.state == "queued", lines.c.model == model, batches.c.state == "open")
        )
        with self.engine.connect() as connection:
            return connection.execute(query).scalar_one()

    # Workers and events

    def worker_started(self, name: str, profile: str, host: str, pid: int, facts: Mapping[str, Any]) -> None:
        with write(self.engine) as connection:
            connection.execute(
                workers.insert().values(
                    id=name, profile=profile, host=host, pid=pid, state="running", facts=facts, started_at=self.now()
                )
            )
            self.note(connection, "worker started", worker=name)

    def worker_stopped(self, name: str) -> None:
        with write(self.engine) as connection:
            connection.execute(
                workers.update().where(workers.c.id == name).values(state="stopped", ended_at=self.now())
            )
            self.note(connection, "worker stopped", worker=name)

    def record(self, connection: Connection, take_id: str, outcome: Outcome) -> None:
        values = {name: value for name, value in vars(outcome).items() if name != "qc"}
        if outcome.wall_s is not None and outcome.duration_s:
            values["rtf"] = outcome.wall_s / outcome.duration_s
        in_work = and_(takes.c.id == take_id, takes.c.state == "rendering")
        ended = connection.execute(takes.update().where(in_work).values(**values, ended_at=self.now())).rowcount
        if ended and outcome.qc:
            connection.execute(
                qc_results.insert(),
                [
                    {"take_id": take_id, "position": position, "name": name, "value": value, "limit": limit, "ok": ok}
                    for position, (name, value, limit, ok) in enumerate(outcome.qc)
                ],
            )

    def note(
        self,
        connection: Connection,
        kind: str,
        *,
        batch_id: str | None = None,
        line_id: str | None = None,
        worker: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        connection.execute(
            events.insert().values(
                id=secrets.token_hex(8),
                at=self.now(),
                kind=kind,
                batch_id=batch_id,
                line_id=line_id,
                worker=worker,
                detail=detail,
            )
        )


def final_state(states: Collection[str]) -> str:
    """The state of a batch whose lines have these, none of them open."""
    return "failed" if "failed" in states else "cancelled" if "cancelled" in states else "done"


CLAIM_COLUMNS = (
    "batch_id", "line", "number", "chapter", "model", "out", "key", "control_hash", "text", "request", "takes",
    "attempt", "crashes",
)  # fmt: skip


def still_claimed(claim: Claim) -> Any:
    """The condition that the line is still this claim's: the fence against late finishers."""
    return and_(
        lines.c.id == claim.line_id,
        lines.c.state == "rendering",
        lines.c.worker == claim.worker,
        lines.c.attempt == claim.attempt,
    )


def line_key(batch_id: str, number: int) -> str:
    """The ledger's id of a line, which is also its job's: letters, digits and dashes are all that rq allows."""
    return f"{batch_id}-{number:05d}"


def line_row(batch_id: str, line: PlannedLine, cached: tuple[CachedTake, str] | None, now: str) -> dict[str, Any]:
    take, path = cached if cached else (None, None)
    return {
        **vars(line),
        "id": line_key(batch_id, line.number),
        "batch_id": batch_id,
        "state": "cached" if take else "queued",
        "attempt": 0,
        "crashes": 0,
        "take_id": take.take_id if take else None,
        "path": path,
        "sha256": take.sha256 if take else None,
        "created_at": now,
        "updated_at": now,
    }


assert set(schema.LINE_STATES) == {*LINE_OPEN, *schema.LINE_ENDED}
