"""A ledger with lines that a test submits, renders, rejects and prefers, without processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from jobs.render import Context, Ended, render_line
from jobs.takes import Paces, Rendered
from tests.support.ledgers import FACTS, planned
from tests.support.ready import speechlike
from vvbatch.batch.by_ear import Preferred, Rejected, prefer, reject
from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.held_takes import Pending
from vvbatch.batch.plan import Plan
from vvbatch.batch.submit import serve_cached
from vvbatch.batch.verify_files import verify
from vvbatch.engine.contract import Request
from vvbatch.ledger import Ledger, NewBatch
from vvbatch.ledger.batches import record_batch
from vvbatch.ledger.queues import waiting_lines
from vvbatch.ledger.schema import batches, lines, takes

TEXTS = ("The lamp went out.", "The tide came in.", "Mara waited for them.")


class House:
    """A ledger, a folder for output, and a worker that the test calls."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite3'}")
        pending = Pending(folder / "pending")
        pending.folder.mkdir()
        self.context = Context(self.ledger, "w", "ready", FACTS, pending, Paces())
        voice = folder / "voice.wav"
        voice.write_bytes(b"a voice")
        self.voice = (str(voice), hashlib.sha256(b"a voice").hexdigest())

    def submit(self, batch: str, *texts: str, takes: int = 1, keep: bool = False) -> str:
        """Lines of the same text have the same key in every batch."""
        work = []
        for number, text in enumerate(texts, start=1):
            line = planned(number, text, "any", profile="ready")
            voice = replace_voice(line.request.voices[0], *self.voice)
            seed = 1000 + sum(map(ord, text))
            request = changed(line.request, voices=(voice,), seed=seed, keep_takes=keep)
            chapter = 1 if number < 3 else 2
            work.append(replace(line, key=f"key of {text}", takes=takes, request=request, chapter=chapter))
        plan = Plan("t", "s.yaml", "ready", tuple(work))
        new = NewBatch(batch, "t", "s.yaml", f"fingerprint {batch}", "ready", "normal", str(self.out))
        record_batch(self.ledger, new, plan.lines)
        serve_cached(plan, self.ledger, self.out, batch)
        end_if_complete(self.ledger, batch)
        return batch

    def render(self, batch: str | None = None) -> None:
        """Everything that waits."""
        for line_id, _, _ in waiting_lines(self.ledger, batch_id=batch):
            self.render_line(line_id)

    def render_line(self, line_id: str, meanwhile: Callable[[], object] = lambda: None) -> Ended:
        """`meanwhile` happens when the engine has the line."""
        rendering = render_line(line_id, self.context)
        try:
            wanted = next(rendering)
            meanwhile()
            while True:
                assert isinstance(wanted, Request)
                wanted = rendering.send(Rendered([speechlike(wanted)], 0.1, 0.1))
        except StopIteration as stopped:
            assert isinstance(stopped.value, Ended)
            return stopped.value

    def reject(self, batch: str, *words: str, **options: Any) -> Rejected:
        return reject(self.ledger, batch, words, by="ann", **options)

    def prefer(self, take: str) -> Preferred:
        return prefer(self.ledger, take, by="ann")

    def line(self, batch: str, number: int = 1) -> Any:
        query = select(lines).where(lines.c.batch_id == batch, lines.c.number == number)
        with self.ledger.engine.connect() as connection:
            return connection.execute(query).one()

    def take(self, take_id: str) -> Any:
        with self.ledger.engine.connect() as connection:
            return connection.execute(select(takes).where(takes.c.id == take_id)).one()

    def takes_of(self, batch: str) -> list[Any]:
        query = select(takes).where(takes.c.batch_id == batch).order_by(takes.c.attempt)
        with self.ledger.engine.connect() as connection:
            return list(connection.execute(query))

    def state(self, batch: str) -> str:
        with self.ledger.engine.connect() as connection:
            return str(connection.execute(select(batches.c.state).where(batches.c.id == batch)).scalar_one())

    def is_whole(self) -> None:
        """Every file is what the ledger says, and nothing else is there."""
        assert verify(self.ledger).problems == []


def changed(request: Any, **values: Any) -> Any:
    return msgspec.structs.replace(request, **values)


def replace_voice(voice: Any, path: str, sha256: str) -> Any:
    return changed(voice, path=path, sha256=sha256)


def bytes_of(line: Any) -> str:
    return hashlib.sha256(Path(line.path).read_bytes()).hexdigest()
