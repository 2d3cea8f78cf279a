"""The log of what happened: one JSON object a line for every take and every change of state, in the home's logs.

Several processes write to it, so a line is appended, and the file rotated, under a lock. (logging's RotatingFileHandler
is for one process: with two, one goes on writing into the file that the other has renamed.)
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, select

from vvbatch.engine.contract import EngineFacts
from vvbatch.home import Home
from vvbatch.ledger import CachedTake, Claim, Ledger, Outcome
from vvbatch.ledger.records import CheckRow, Fence, FirstTake
from vvbatch.ledger.schema import lines, takes
from vvbatch.ledger.states import LineState

FILE_BYTES = 10 << 20
KEPT = 5  # rotated files, `.1` the newest

OF_MANY = frozenset({"batch submitted", "lines cancelled", "lines retried", "lines repaired", "worker died"})
"""Events of the ledger that stand for a change of several lines."""

log = logging.getLogger("vvbatch.ledger.journal")


class Journal:
    """Appends to `path`; `path.1` to `path.5` are what it was before."""

    def __init__(self, path: Path, file_bytes: int = FILE_BYTES, kept: int = KEPT) -> None:
        self.path, self.file_bytes, self.kept = path, file_bytes, kept

    def write(self, *all_facts: Mapping[str, object]) -> None:
        """Append a line for each. Raises OSError."""
        encoded = [msgspec.json.encode(facts) + b"\n" for facts in all_facts]
        lock = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            size = self.path.stat().st_size if self.path.exists() else 0
            fitting: list[bytes] = []
            for line in encoded:
                if size and size + len(line) > self.file_bytes:
                    self.append(fitting)
                    self.rotate()
                    size, fitting = 0, []
                fitting.append(line)
                size += len(line)
            self.append(fitting)
        finally:
            os.close(lock)

    def append(self, encoded: Sequence[bytes]) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write(b"".join(encoded))

    def rotate(self) -> None:
        for number in range(self.kept, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            if newer.exists():
                newer.replace(older)


def ledger_of(home: Home) -> Ledger:
    """The home's ledger, with what it records also in the journal. Raises LedgerError."""
    return JournalledLedger(home.ledger_url, Journal(home.logs / "journal.jsonl"))


class JournalledLedger(Ledger):
    """A ledger that writes a line for each change that it has made; nothing when the ledger refused the change."""

    def __init__(self, url: str, journal: Journal) -> None:
        super().__init__(url)
        self.journal = journal

    def write(self, kind: str, **facts: object) -> None:
        self.write_all([{"kind": kind, **facts}])

    def write_all(self, all_facts: Sequence[Mapping[str, object]]) -> None:
        try:
            self.journal.write(*({"at": self.now(), **facts} for facts in all_facts))
        except OSError as error:  # the ledger is the truth: a full disk must not undo what it has recorded
            log.warning("%s could not be written: %s", self.journal.path, error)

    def claim(
        self, line_id: str, worker: str, first: FirstTake | None = None, *, model: str | None = None
    ) -> Claim | None:
        claim = super().claim(line_id, worker, first, model=model)
        if claim is not None:
            self.write("line", line=line_id, batch=claim.batch_id, state="rendering", worker=worker)
            if claim.take:
                self.begun(claim)
        return claim

    def open_take(
        self, claim: Claim, seed: int, facts: EngineFacts, closing: Sequence[tuple[str, Outcome]] = ()
    ) -> Claim | None:
        begun = super().open_take(claim, seed, facts, closing)
        self.closed(closing)
        if begun is not None:
            self.begun(begun)
        return begun

    def close_takes(self, closing: Iterable[tuple[str, Outcome]]) -> None:
        closing = list(closing)
        super().close_takes(closing)
        self.closed(closing)

    def keep_take(
        self, claim: Fence, take_id: str, outcome: Outcome, publish: Callable[[], None], **about: Any
    ) -> bool:
        kept = super().keep_take(claim, take_id, outcome, publish, **about)
        self.closed(about.get("closing", ()))
        self.take(take_id, outcome.state if kept else "superseded", claim, **measured(outcome))
        if kept:
            self.write("line", line=claim.line_id, state="done", path=outcome.path)
        return kept

    def keep_cached(self, claim: Claim, cached: CachedTake, path: str, publish: Callable[[], None]) -> bool:
        kept = super().keep_cached(claim, cached, path, publish)
        if kept:
            self.write("line", line=claim.line_id, batch=claim.batch_id, state="cached", take=cached.take_id, path=path)
        return kept

    def release(
        self,
        claim: Claim,
        state: LineState,
        error: str | None,
        closing: Sequence[tuple[str, Outcome]] = (),
        drop_take: str | None = None,
        **values: Any,
    ) -> bool:
        released = super().release(claim, state, error, closing, drop_take, **values)
        self.closed(closing)
        if released:
            model = {"model": values["model"]} if "model" in values else {}
            self.write("line", line=claim.line_id, batch=claim.batch_id, state=state, error=error, **model)
        return released

    def note(self, connection: Connection, kind: str, **about: Any) -> None:
        super().note(connection, kind, **about)
        if kind not in ("line failed", "line put back", "line escalated"):  # told by `release`
            self.write(kind, **{name.removesuffix("_id"): value for name, value in about.items()})
        if kind in OF_MANY:
            self.write_all(list(changed(connection, **about)))

    def begun(self, claim: Claim) -> None:
        self.take(claim.take, "rendering", claim, attempt=claim.attempt, seed=claim.seed, model=claim.model)

    def closed(self, closing: Iterable[tuple[str, Outcome]]) -> None:
        for take_id, outcome in closing:
            self.take(take_id, outcome.state, None, **measured(outcome))

    def take(self, take_id: str, state: str, claim: Fence | None, **facts: object) -> None:
        of = {"line": claim.line_id, "worker": claim.worker} if claim else {}
        self.write("take", take=take_id, state=state, **of, **facts)


def changed(
    connection: Connection, batch_id: str | None = None, detail: Mapping[str, Any] | None = None, **_about: object
) -> Iterator[dict[str, object]]:
    """The lines that a change of many has just changed, as they are now, and their takes that it has ended."""
    named = (detail or {}).get("lines")
    if isinstance(named, list):
        which: ColumnElement[bool] = lines.c.id.in_(named)
    else:  # all that the batch's newest change has changed, at one time
        newest = select(func.max(lines.c.updated_at)).where(lines.c.batch_id == batch_id).scalar_subquery()
        which = and_(lines.c.batch_id == batch_id, lines.c.updated_at == newest)
    for row in connection.execute(select(lines.c.id, lines.c.batch_id, lines.c.state, lines.c.error).where(which)):
        yield {"kind": "line", "line": row.id, "batch": row.batch_id, "state": row.state, "error": row.error}
        if isinstance(named, list):
            of_line = select(takes.c.id, takes.c.state, takes.c.error).where(takes.c.line_id == row.id)
            last = connection.execute(of_line.order_by(takes.c.attempt.desc()).limit(1)).first()
            if last and last.state in ("crashed", "superseded"):
                yield {"kind": "take", "take": last.id, "state": last.state, "line": row.id, "error": last.error}


def measured(outcome: Outcome) -> dict[str, object]:
    """What a take's line says of it."""
    names = ("error", "duration_s", "wall_s", "first_chunk_s", "peak_dbfs", "score", "sha256")
    failed = [check.name for row in outcome.qc if not (check := CheckRow(*row)).ok]
    return {**{name: getattr(outcome, name) for name in names}, "failed_checks": failed}
