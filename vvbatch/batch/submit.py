"""From a plan to a batch: check for space, write the ledger, link equal takes, fill the queue, in that order."""

from __future__ import annotations

import contextlib
import re
import secrets
import unicodedata
from pathlib import Path

import msgspec
import redis

from vvbatch import fault_points
from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.output import BYTES_PER_SECOND, StagedFile, line_name, open_store
from vvbatch.batch.plan import Plan
from vvbatch.errors import require_utf8
from vvbatch.home import Home
from vvbatch.ledger import CachedTake, Ledger, NewBatch
from vvbatch.ledger.batches import record_batch, set_batch_state
from vvbatch.ledger.queries import cached_takes
from vvbatch.ledger.queues import waiting_lines
from vvbatch.ledger.records import AddedBatch, BatchKind, chunks, line_key
from vvbatch.script.model import SECONDS_PER_CHARACTER
from vvbatch.store import StoreError
from vvbatch.transport import queue
from vvbatch.transport.connection import ServerUnreachable, connect

SERVED_AT_ONCE = 100  # cached lines; their files get their names while the ledger is locked


def submit(
    plan: Plan,
    ledger: Ledger,
    connection: redis.Redis,
    out: Path,
    priority: str | None = None,
    *,
    kind: BatchKind = BatchKind.SCRIPT,
) -> AddedBatch:
    """Record a plan as a batch and queue what is not cached.

    A batch with the same work that is still open is resumed instead: what is done of it stays done, its priority and
    pauses become those of this submit. `priority` None is normal, or leaves an open batch's. Raises StoreError when the
    output folder cannot take the files, InputError when its name is not UTF-8, and redis.ConnectionError; nothing is
    recorded then.
    """
    connection.ping()
    out = Path(out).absolute()
    require_utf8(str(out), "the output folder")
    room = int(sum(len(line.text) for line in plan.lines) * SECONDS_PER_CHARACTER * BYTES_PER_SECOND)
    open_store(out).check_writable("", room)
    # An id stands in logs and reports: the title of speech is its text.
    name = "synth" if kind == BatchKind.SPEECH else slug(plan.title)
    batch_id = f"{name}-{secrets.token_hex(4)}"
    fingerprint = plan.fingerprint(str(out))
    if kind == BatchKind.SPEECH:  # each request has its own: a client that leaves cancels no other
        fingerprint += f" {batch_id}"
    batch = NewBatch(
        batch_id,
        plan.title,
        plan.script,
        fingerprint,
        plan.profile,
        priority,
        str(out),
        kind,
        msgspec.to_builtins(plan.book),
    )
    added = record_batch(ledger, batch, plan.lines)
    if added.created:
        fault_points.point("submit.recorded")
        serve_cached(plan, ledger, out, batch_id)
        queue.enqueue(connection, waiting_lines(ledger, batch_id=batch_id))
        end_if_complete(ledger, batch_id)
    else:
        set_batch_state(ledger, added.id, "open", only_from=("paused",))
        restore(ledger, connection, added.id)
        if added.old_priority:
            moved = [(line_id, profile) for line_id, profile, _ in waiting_lines(ledger, batch_id=added.id)]
            queue.withdraw(connection, moved, added.old_priority)
    return added


def restore(ledger: Ledger, connection: redis.Redis, batch_id: str) -> int:
    """Put a batch's waiting lines into the queue; one that is there already is still rendered once."""
    waiting = waiting_lines(ledger, batch_id=batch_id)
    queue.enqueue(connection, waiting)
    return len(waiting)


def restore_where_it_runs(ledger: Ledger, home: Home, batch_id: str) -> bool:
    """As `restore`; False where the queue's server does not run: workers restore the lines when they start."""
    try:
        with connect(home) as connection:
            restore(ledger, connection, batch_id)
    except (ServerUnreachable, redis.exceptions.RedisError):
        return False
    return True


def serve_cached(plan: Plan, ledger: Ledger, out: Path, batch_id: str) -> None:
    """Bring the files of equal takes into the new batch; one that is gone or changed is not used.

    The batch is recorded already, so that files of a submit that dies here belong to lines that wait, and are replaced.
    """
    output, takes = open_store(out), cached_takes(ledger, plan.lines)
    known = [line for line in plan.lines if line.key in takes]
    for chunk in chunks(known, SERVED_AT_ONCE):
        with contextlib.ExitStack() as staged_files:
            served: list[tuple[str, CachedTake, StagedFile]] = []
            for line in chunk:
                take = takes[line.key]
                name = line_name(batch_id, line.chapter, line.number, line.line)
                with contextlib.suppress(OSError, StoreError):
                    staged = staged_files.enter_context(output.stage_copy(take.path, name, take.sha256))
                    served.append((line_key(batch_id, line.number), take, staged))
            ledger.serve_cached(batch_id, served)


def slug(title: str, longest: int = 40) -> str:
    """A title as part of a folder's name: lower-case ASCII letters, digits and dashes; never empty."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:longest].strip("-") or "batch"
