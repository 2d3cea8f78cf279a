"""Pause, resume, cancel and retry a batch, and what each says of it: the document of `--json`."""

from __future__ import annotations

import redis
from msgspec import UNSET, Struct, UnsetType

from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.submit import restore
from vvbatch.errors import InputError, VvbatchError
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import cancel_lines, retry_lines, set_batch_state
from vvbatch.ledger.queries import line_ids
from vvbatch.ledger.states import BatchState
from vvbatch.script.fields import did_you_mean

OPEN = (BatchState.OPEN, BatchState.PAUSED)


class Ended(VvbatchError):
    """The batch has ended: what was asked for has no meaning any more."""


class UnknownLine(InputError):
    """The batch has no line of that id."""


class Changed(Struct, frozen=True):
    """What was done to a batch; `queued` and `cancelled` count lines."""

    batch: str
    state: str | UnsetType = UNSET
    cancelled: int | UnsetType = UNSET
    queued: int | UnsetType = UNSET


def pause(ledger: Ledger, batch_id: str) -> Changed:
    """Raises Ended."""
    if not set_batch_state(ledger, batch_id, BatchState.PAUSED, only_from=OPEN):
        raise Ended(f"{batch_id} has ended: there is nothing to pause")
    return Changed(batch_id, BatchState.PAUSED)


def resume(ledger: Ledger, connection: redis.Redis, batch_id: str) -> Changed:
    """Raises Ended."""
    if not set_batch_state(ledger, batch_id, BatchState.OPEN, only_from=OPEN):
        raise Ended(f"{batch_id} has ended: `vvbatch retry {batch_id}` queues its failed lines again")
    return Changed(batch_id, BatchState.OPEN, queued=restore(ledger, connection, batch_id))


def cancel(ledger: Ledger, batch_id: str, line: str | None = None) -> Changed:
    """Cancel a batch's open lines, or one of them with all its parts. Raises UnknownLine."""
    require_line(ledger, batch_id, line)
    cancelled = cancel_lines(ledger, batch_id, line)
    end_if_complete(ledger, batch_id)
    return Changed(batch_id, cancelled=len(cancelled))


def retry(ledger: Ledger, connection: redis.Redis, batch_id: str, line: str | None = None) -> Changed:
    """Queue a batch's failed and cancelled lines again, or one of them. Raises UnknownLine."""
    require_line(ledger, batch_id, line)
    count = retry_lines(ledger, batch_id, line)
    if count:
        restore(ledger, connection, batch_id)
    return Changed(batch_id, queued=count)


def require_line(ledger: Ledger, batch_id: str, line: str | None) -> None:
    if line is not None and line not in (known := line_ids(ledger, batch_id)):
        raise UnknownLine(f"{batch_id} has no line {line!r}{did_you_mean(line, known)}")
