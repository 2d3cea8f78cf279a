"""Writes to lines and takes. Each method is one transaction; its docstring says when it changes nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from sqlalchemy import Connection, and_, exists, or_, select

from vvbatch import fault_points
from vvbatch.ledger import entries
from vvbatch.ledger.database import open_database, write
from vvbatch.ledger.entries import Entry
from vvbatch.ledger.equal_takes import equal_take, rejected_seeds, sounds_rejected, still_serves
from vvbatch.ledger.records import (
    CachedTake,
    CheckRow,
    Claim,
    Fence,
    FirstTake,
    Outcome,
    TriedTake,
    still_at_attempt,
    still_claimed,
    take_row,
    utc_now,
)
from vvbatch.ledger.schema import batches, events, lines, qc_results, takes
from vvbatch.ledger.states import LineState, TakeState, Trouble

if TYPE_CHECKING:  # reading commands start quicker without what planning needs
    from vvbatch.batch.output import StagedFile
    from vvbatch.engine.contract import EngineFacts


UNRECORDED = (TakeState.RENDERING, TakeState.CRASHED)
"""Takes of a worker that has died, which the ledger has not recorded as finished."""
NOTED = ("trouble", "troubles", "model")
"""Columns that the event of a line that was put back or has failed repeats."""


class Ledger:
    """One per process; safe to use from several threads. Raises LedgerError when it cannot be opened."""

    def __init__(
        self,
        url: str,
        now: Callable[[], str] = utc_now,
        committed: Callable[[Sequence[Entry]], None] = lambda entries: None,
    ) -> None:
        self.url = url
        self.engine = open_database(url)
        self.now = now
        self.committed = committed  # gets a transaction's entries for the journal

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that may write, committed at the end of the block."""
        with write(self.engine) as connection:
            collected = entries.begin(connection)
            yield connection
        if collected:
            self.committed(collected)

    # Lines and takes

    def claim(
        self, line_id: str, worker: str, first: FirstTake | None = None, *, profile: str | None = None
    ) -> Claim | None:
        """Take a queued line of an open batch for this worker; None when it is not (or no longer) to be rendered.

        With `first`, and when no equal take may serve it, the line's first take is begun as well: `claim.take`. With
        `profile` only a line for that one is taken.
        """
        wanted = and_(lines.c.id == line_id, lines.c.state == "queued", batches.c.state == "open")
        if profile is not None:
            wanted = and_(wanted, lines.c.model == profile)
        with self.transaction() as connection:
            row = (
                connection.execute(
                    select(lines, batches.c.out.label("out"))
                    .join(batches, batches.c.id == lines.c.batch_id)
                    .where(wanted)
                    .with_for_update(of=lines)
                )
                .mappings()
                .first()
            )
            if row is None:
                return None
            claim = Claim.of(row, worker, equal_take(connection, row), rejected_seeds(connection, row["key"]))
            now = self.now()
            if first and not claim.cached:
                claim = claim.with_take(secrets.token_hex(8), first.seed(claim))
                connection.execute(takes.insert().values(take_row(claim, first.facts, now)))
            mine = {"state": "rendering", "worker": worker, "attempt": claim.attempt, "updated_at": now}
            connection.execute(lines.update().where(lines.c.id == line_id).values(mine))
            entries.add(connection, "line", line=line_id, batch=claim.batch_id, state="rendering", worker=worker)
            if claim.take:
                entries.take_begun(connection, claim, claim.take, claim.seed, claim.profile)
        return claim

    def with_rejected(self, claim: Claim) -> Claim:
        """The claim with the seeds that are rejected by now."""
        with self.engine.connect() as connection:
            return replace(claim, rejected=rejected_seeds(connection, claim.key))

    def open_take(
        self, claim: Claim, seed: int, facts: EngineFacts, closing: Sequence[tuple[str, Outcome]] = ()
    ) -> Claim | None:
        """Begin the line's next take, and end others of its takes. Returns the claim with the take and its number.

        None, with the others ended, when the claim has been lost (cancelled, or given to another worker).
        """
        with self.transaction() as connection:
            for take_id, outcome in closing:
                self.record(connection, take_id, outcome, claim)
            now = self.now()
            begun = claim.with_take(secrets.token_hex(8), seed)
            mine = lines.update().where(still_claimed(claim))
            if not connection.execute(mine.values(attempt=begun.attempt, updated_at=now)).rowcount:
                return None
            connection.execute(takes.insert().values(take_row(begun, facts, now)))
            entries.take_begun(connection, begun, begun.take, seed, begun.profile)
        return begun

    def close_takes(self, closing: Iterable[tuple[str, Outcome]]) -> None:
        """End takes that are not kept: failed_qc, failed, cancelled or superseded."""
        with self.transaction() as connection:
            for take_id, outcome in closing:
                self.record(connection, take_id, outcome)

    def keep_take(
        self,
        claim: Fence,
        take_id: str,
        outcome: Outcome,
        publish: Callable[[], None],
        *,
        closing: Sequence[tuple[str, Outcome]] = (),
        tried: Sequence[TriedTake] = (),
        orphaned: bool = False,
        discard: Callable[[], None] = lambda: None,
    ) -> bool:
        """The line is done with this take.

        False, and the take superseded, when the claim has been lost or a take that sounds the same has been rejected.

        `publish` renames the finished file into place. It runs inside the write transaction, so that a worker that
        was thought to have died cannot put its file over that of its successor. `closing` are the line's other takes,
        `tried` what the line's row says about them. An `orphaned` take, whose worker has died, may also serve a line
        that was queued again and not begun, unless the take was recorded before its worker died: it may have been
        rejected since. Otherwise `discard` removes its file, or puts back what it replaced.
        """
        mine = still_claimed(claim)
        if orphaned:
            mine = or_(mine, and_(still_at_attempt(claim), lines.c.state == "queued"))
            mine = and_(mine, exists().where(takes.c.id == take_id, takes.c.state.in_(UNRECORDED)))
        mine = and_(mine, ~exists().where(takes.c.id == take_id, sounds_rejected()))
        with self.transaction() as connection:
            if not connection.execute(select(lines.c.id).where(mine).with_for_update()).first():
                now_there = connection.execute(select(lines.c.sha256).where(lines.c.id == claim.line_id)).scalar()
                if now_there != outcome.sha256:
                    discard()
                for other_id, other in ((take_id, outcome), *closing):
                    lost = replace(other, path=None, sha256=None, size_bytes=None, chosen=None)
                    ended = replace(lost, state=TakeState.SUPERSEDED) if other.state == TakeState.DONE else lost
                    self.record(connection, other_id, ended, claim)
                return False
            publish()
            for other_id, other in closing:
                self.record(connection, other_id, other, claim)
            self.record(connection, take_id, outcome, claim, orphaned=orphaned)
            fault_points.point("ledger.recorded")
            connection.execute(
                lines.update()
                .where(lines.c.id == claim.line_id)
                .values(
                    state="done",
                    take_id=take_id,
                    path=outcome.path,
                    sha256=outcome.sha256,
                    error=None,
                    tried=list(tried) or None,
                    worker=claim.worker,
                    updated_at=self.now(),
                )
            )
            entries.add(connection, "line", line=claim.line_id, state="done", path=outcome.path)
        fault_points.point("ledger.committed")
        return True

    def keep_cached(self, claim: Claim, cached: CachedTake, path: str, publish: Callable[[], None]) -> bool:
        """The line is served by an equal take's file, now also at `path`.

        False when the claim has been lost, or the take has been rejected meanwhile.
        """
        with self.transaction() as connection:
            served = and_(still_claimed(claim), still_serves(cached.take_id))
            if not connection.execute(select(lines.c.id).where(served).with_for_update()).first():
                return False
            publish()
            connection.execute(
                lines.update()
                .where(lines.c.id == claim.line_id)
                .values(state="cached", take_id=cached.take_id, path=path, sha256=cached.sha256, updated_at=self.now())
            )
            about = {"line": claim.line_id, "batch": claim.batch_id, "take": cached.take_id, "path": path}
            entries.add(connection, "line", **about, state="cached")
            where = {"batch_id": claim.batch_id, "line_id": claim.line_id, "worker": claim.worker}
            self.event(connection, "line cached", **where, detail={"take": cached.take_id})
        return True

    def serve_cached(self, batch_id: str, served: Iterable[tuple[str, CachedTake, StagedFile]]) -> None:
        """Publish equal takes' files for lines that are still queued. Raises OSError."""
        with self.transaction() as connection:
            count = 0
            for line_id, take, staged in served:
                values = {"take_id": take.take_id, "path": staged.location, "sha256": take.sha256}
                waits = and_(lines.c.id == line_id, lines.c.state == "queued", still_serves(take.take_id))
                served_now = {**values, "state": "cached", "updated_at": self.now()}
                if connection.execute(lines.update().where(waits).values(served_now)).rowcount:
                    staged.publish()
                    count += 1
                    about = {"line": line_id, "batch": batch_id, "take": take.take_id, "path": staged.location}
                    entries.add(connection, "line", **about, state="cached")
            if count:
                self.event(connection, "lines cached", batch_id=batch_id, detail={"lines": count})

    def put_back(self, claim: Claim, closing: Sequence[tuple[str, Outcome]], rolls: int) -> bool:
        """The line waits again, and its next claim begins after `rolls` seeds. False when the claim has been lost."""
        return self.release(claim, LineState.QUEUED, None, closing, rolls=rolls)

    def note_trouble(
        self,
        claim: Claim,
        trouble: Trouble,
        error: str,
        limit: int,
        closing: Sequence[tuple[str, Outcome]] = (),
        **values: Any,
    ) -> LineState | Literal["lost"]:
        """Put the line back, or fail it when this has happened more than `limit` times; `values` are further columns.

        Returns the line's state, or `lost` when the claim has been lost.
        """
        count = claim.troubles.get(trouble, 0) + 1
        state = LineState.FAILED if count > limit else LineState.QUEUED
        troubles = {**claim.troubles, trouble: count}
        released = self.release(claim, state, error, closing, trouble=trouble, troubles=troubles, **values)
        return state if released else "lost"

    def escalate(
        self, claim: Claim, error: str, closing: Sequence[tuple[str, Outcome]], tried: Sequence[TriedTake]
    ) -> bool:
        """Queue the line for the profile that `claim.escalate` names, as planned when it was submitted.

        Counts and seeds restart, attempts continue. False when the claim has been lost.
        """
        other = claim.escalate
        assert other is not None
        request = msgspec.structs.replace(claim.request, seed=other.seed, params=other.params)
        return self.release(
            claim,
            LineState.QUEUED,
            error,
            closing,
            trouble=Trouble.QC,
            tried=list(tried),
            model=other.profile,
            key=other.key,
            control_hash=other.control_hash,
            takes=other.takes,
            request=request,
            escalate=None,
            rolls=0,
            crashes=0,
            suspicion=0,
            troubles=None,
        )

    def release(
        self,
        claim: Claim,
        state: LineState,
        error: str | None,
        closing: Sequence[tuple[str, Outcome]] = (),
        drop_take: str | None = None,
        **values: Any,
    ) -> bool:
        """The line is released, its takes ended as `closing` says. False when the claim has been lost.

        `drop_take`: a take that was begun with the claim, and of which nothing was rendered.
        """
        with self.transaction() as connection:
            for take_id, outcome in closing:
                self.record(connection, take_id, outcome, claim)
            if drop_take:
                connection.execute(takes.delete().where(takes.c.id == drop_take))
                values["attempt"] = claim.attempt - 1
            changed = connection.execute(
                lines.update()
                .where(still_claimed(claim))
                .values(state=state, error=error, worker=None, updated_at=self.now(), **values)
            ).rowcount
            if changed:
                model = {"model": values["model"]} if "model" in values else {}
                about = {"line": claim.line_id, "batch": claim.batch_id, "state": state, "error": error}
                entries.add(connection, "line", **about, **model)
            if changed and error:
                put_back = "line escalated" if "model" in values else "line put back"
                self.event(
                    connection,
                    "line failed" if state == "failed" else put_back,
                    batch_id=claim.batch_id,
                    line_id=claim.line_id,
                    worker=claim.worker,
                    detail={"error": error, **{name: values[name] for name in NOTED if name in values}},
                )
        return bool(changed)

    # Within a transaction

    def record(
        self,
        connection: Connection,
        take_id: str,
        outcome: Outcome,
        fence: Fence | None = None,
        *,
        orphaned: bool = False,
    ) -> None:
        values = {name: value for name, value in vars(outcome).items() if name != "qc"}
        if outcome.wall_s is not None and outcome.duration_s:
            values["rtf"] = outcome.wall_s / outcome.duration_s
        states = UNRECORDED if orphaned else (TakeState.RENDERING,)
        in_work = and_(takes.c.id == take_id, takes.c.state.in_(states))
        ended = connection.execute(takes.update().where(in_work).values(**values, ended_at=self.now())).rowcount
        if ended:
            entries.take_ended(connection, take_id, outcome, fence)
        if ended and outcome.qc:
            connection.execute(
                qc_results.insert(),
                [
                    {"take_id": take_id, "position": position, **CheckRow(*row)._asdict()}
                    for position, row in enumerate(outcome.qc)
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
        """An event in the ledger and in the journal."""
        self.event(connection, kind, batch_id=batch_id, line_id=line_id, worker=worker, detail=detail)
        about = {"batch": batch_id, "line": line_id, "worker": worker, "detail": detail}
        entries.add(connection, kind, **{name: value for name, value in about.items() if value is not None})

    def event(
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
