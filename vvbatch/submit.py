"""From a plan to a batch: ask for space, link equal takes, write the ledger, fill the queue, in that order."""

from __future__ import annotations

import re
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import redis

from vvbatch import faults, queue, store
from vvbatch.batches import end_if_complete
from vvbatch.ledger import CachedTake, Ledger, NewBatch
from vvbatch.ledger.records import line_key
from vvbatch.plan import Plan

SECONDS_PER_CHARACTER = 0.07  # of speech, for asking how much room the files will take
BYTES_PER_SECOND = 48_000


@dataclass(frozen=True)
class Submitted:
    batch_id: str
    created: bool  # False: the same work was still open, and goes on


def submit(
    plan: Plan, ledger: Ledger, connection: redis.Redis, out: Path, priority: str = "normal", *, at_front: bool = False
) -> Submitted:
    """Record a plan as a batch and queue what is not cached.

    The same work that is still open is taken up again instead: what is done of it stays done. Raises StoreError when
    the output folder cannot take the files, and redis.ConnectionError before anything is recorded.
    """
    connection.ping()
    out = Path(out).absolute()
    room = int(sum(len(line.text) for line in plan.lines) * SECONDS_PER_CHARACTER * BYTES_PER_SECOND)
    store.check_writable(out, room)
    batch_id = f"{slug(plan.title)}-{secrets.token_hex(4)}"
    cached = link_cached(plan, ledger, out, batch_id)
    batch = NewBatch(batch_id, plan.title, plan.script, plan.fingerprint(str(out)), plan.model, priority, str(out))
    found_id, created = ledger.add_batch(batch, plan.lines, cached)
    if created:
        faults.point("submit.recorded")
        waiting = [
            (line_key(batch_id, line.number), line.model, priority) for line in plan.lines if line.line not in cached
        ]
        queue.enqueue(connection, waiting, at_front=at_front)
        end_if_complete(ledger, batch_id)
    else:
        for _, path in cached.values():
            Path(path).unlink()
        ledger.set_batch_state(found_id, "open", only_from=("paused",))
        restore(ledger, connection, found_id)
    return Submitted(found_id, created)


def restore(ledger: Ledger, connection: redis.Redis, batch_id: str) -> int:
    """Put a batch's waiting lines into the queue; one that is there already is still rendered once."""
    waiting = ledger.waiting_lines(batch_id=batch_id)
    queue.enqueue(connection, waiting)
    return len(waiting)


def link_cached(plan: Plan, ledger: Ledger, out: Path, batch_id: str) -> dict[str, tuple[CachedTake, str]]:
    """Bring the files of equal takes into the new batch; one that is gone or changed is not used."""
    takes = ledger.cached_takes(line.key for line in plan.lines)
    linked: dict[str, tuple[CachedTake, str]] = {}
    for line in plan.lines:
        take = takes.get(line.key)
        if take is None:
            continue
        path = store.line_path(out, batch_id, line.chapter, line.number, line.line)
        try:
            store.link_or_copy(Path(take.path), path, take.sha256)
        except (OSError, store.StoreError):
            continue
        linked[line.line] = (take, str(path))
    return linked


def slug(title: str, longest: int = 40) -> str:
    """A title as part of a folder's name: lower-case ASCII letters, digits and dashes; never empty."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:longest].strip("-") or "batch"
