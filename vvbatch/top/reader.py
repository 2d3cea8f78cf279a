"""Reads a Snapshot from the ledger, with a limited cost, however large the ledger is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import DBAPIError

from vvbatch.errors import VvbatchError
from vvbatch.ledger import Ledger, LedgerError
from vvbatch.ledger.forecast import InWork
from vvbatch.ledger.overview import running_workers
from vvbatch.ledger.queries import SCRIPTS, Left, eta_s, newest_takes, seconds
from vvbatch.ledger.records import final_state
from vvbatch.ledger.states import BatchState, LineState
from vvbatch.ledger.views import WorkerView
from vvbatch.top import figures
from vvbatch.top.page import Pages, Wanted
from vvbatch.top.slices import LINES_A_POLL, SIZE, Key, Slices, key_of
from vvbatch.top.snapshot import Batch, Queue, Snapshot, Take

IN_WORK = (LineState.QUEUED, LineState.RENDERING)
BEGUN = (LineState.RENDERING, LineState.DONE, LineState.FAILED)


class Reader:
    """Polls one ledger. What is costly is read a part at each poll, and kept when a poll fails."""

    def __init__(self, ledger: Ledger, kinds: Collection[str] = SCRIPTS) -> None:
        self.ledger, self.kinds = ledger, kinds
        self.slices = Slices()
        self.pages = Pages()
        self.ends: dict[str, float | None] = {}  # Unix time at which a batch is expected to end
        self.eta_turn: list[str] = []  # open batches, the one whose end was worked out first in front
        self.seen_event = ledger.now()
        self.takes: list[Take] = []
        self.polls = 0
        self.file: tuple[int, int] | None = None
        self.last = Snapshot(at=ledger.now())

    def poll(self, wanted: Wanted | None = None) -> Snapshot:
        """With lines of a batch, if they are `wanted`. Where the ledger cannot be read, what was read last and why."""
        try:
            self.check_file()
            with self.ledger.engine.connect() as connection:
                self.last = self.read(connection, wanted)
        except (DBAPIError, VvbatchError) as error:
            why = error.orig if isinstance(error, DBAPIError) else error
            self.last = replace(self.last, error=" ".join(str(why).split()))
        return self.last

    def check_file(self) -> None:
        """SQLite would go on with a file that was moved away, or make an empty one. Raises LedgerError."""
        if self.ledger.engine.dialect.name != "sqlite":
            return
        path = Path(str(self.ledger.engine.url.database))
        try:
            stat = path.stat()
        except OSError as error:
            self.ledger.engine.dispose()
            raise LedgerError(f"{path}: {error.strerror}") from error
        found = (stat.st_dev, stat.st_ino)
        if self.file not in (None, found):
            self.ledger.engine.dispose()
            self.slices, self.ends, self.takes = Slices(), {}, []
        self.file = found

    def read(self, connection: Connection, wanted: Wanted | None) -> Snapshot:
        now = self.ledger.now()
        views = running_workers(connection)
        in_work: Sequence[Any] = connection.execute(figures.LINES_IN_WORK).all()
        recent = figures.with_newest(connection, self.takes)
        rows = figures.batch_rows(connection, self.kinds)
        moving = self.moving(connection, recent, in_work)
        self.polls += 1
        expects = self.polls % 2 == 1  # working out when a batch ends costs about as much as a slice of lines
        most = LINES_A_POLL - SIZE * (expects + (wanted is not None))
        self.slices.read(connection, {row.id: row.ended_at for row in rows}, moving, most)
        if expects:
            self.expect_end(connection, rows, in_work, now)
        self.takes = recent
        ended = figures.in_window(recent, now)
        rate = figures.rate(ended)
        return Snapshot(
            at=now,
            workers=[figures.worker(view, ended) for view in views],
            queues=self.queues(connection, rows, views, in_work),
            batches=[self.batch(row) for row in rows],
            takes=recent,
            failures=self.slices.failures(),
            page=self.pages.read(connection, wanted, now) if wanted else None,
            speed=rate.speed,
            takes_per_min=rate.takes_per_min,
            counting=self.slices.counting,
        )

    def moving(self, connection: Connection, recent: Sequence[Take], in_work: Sequence[Any]) -> list[Key]:
        """Slices in which takes ended since the last poll or lines are in work. Notes batches to be counted again."""
        known = {take.name for take in self.takes}
        found = [key_of(take.batch, take.number) for take in recent if known and take.name not in known]
        found += [key_of(row.batch_id, row.number) for row in in_work]
        for batch, at in connection.execute(figures.CHANGED_BATCHES, {"since": self.seen_event}).all():
            self.seen_event = max(self.seen_event, at)
            self.slices.count_again(batch)
        return found

    def expect_end(self, connection: Connection, rows: Sequence[Row[Any]], in_work: Sequence[Any], now: str) -> None:
        """Work out when one of the open batches will end: at each poll another one."""
        counted = [row.id for row in rows if row.state == BatchState.OPEN and self.slices.known[row.id].whole]
        self.ends = {batch: at for batch, at in self.ends.items() if batch in counted}
        self.eta_turn = [batch for batch in self.eta_turn if batch in counted]
        self.eta_turn += [batch for batch in counted if batch not in self.eta_turn]
        if not self.eta_turn:
            return
        batch = self.eta_turn.pop(0)
        self.eta_turn.append(batch)
        left = self.slices.known[batch].queued()
        for row in in_work:
            if row.batch_id == batch:
                elapsed_s = max(0.0, seconds(now) - seconds(row.begun_at)) if row.begun_at else 0.0
                left.setdefault(row.model, Left(0, 0, [])).in_work.append(InWork(row.characters, elapsed_s))
        found = eta_s(left, newest_takes(connection, [batch], now).get(batch, {}))
        self.ends[batch] = None if found is None else seconds(now) + found

    def batch(self, row: Row[Any]) -> Batch:
        known = self.slices.known[row.id]
        counts, counted = known.counts(), known.whole
        state = str(row.state)
        if counted and counts and not any(counts.get(name) for name in IN_WORK):
            # Between its last line's end and its own a batch would seem to be in work with nothing left to do.
            state = final_state([name for name, count in counts.items() if count])
        elif state == BatchState.OPEN:
            state = "rendering" if any(counts.get(name) for name in BEGUN) else "queued"
        return Batch(
            name=row.id,
            title=row.title,
            state=state,
            profile=row.model,
            priority=row.priority,
            out=row.out,
            counts=counts,
            counted=counted,
            created_at=row.created_at,
            ended_at=row.ended_at,
            ends_at=self.ends.get(row.id) if state in ("rendering", "queued") else None,
        )

    def queues(
        self, connection: Connection, rows: Sequence[Row[Any]], views: Sequence[WorkerView], in_work: Sequence[Any]
    ) -> list[Queue]:
        """Queues in which lines wait or that are paused, and those that a worker serves."""
        waiting: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        rendering = Counter(str(row.model) for row in in_work)
        held: dict[str, int] = defaultdict(int)
        for row in rows:
            if row.ended_at is not None:
                continue
            for profile, count in self.slices.known[row.id].by_profile(LineState.QUEUED).items():
                if row.state == BatchState.PAUSED:
                    held[profile] += count
                else:
                    waiting[profile][row.priority] += count
        paused = {row.name: row.reason for row in connection.execute(figures.PAUSED_QUEUES)}
        names = {*waiting, *held, *rendering, *paused, *(view.profile for view in views)}
        return [
            Queue(name, dict(waiting.get(name, {})), rendering[name], held.get(name, 0), paused.get(name))
            for name in sorted(names)
        ]
