"""What goes into the ledger and comes out of it: batches to record, claims that fence, outcomes of takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import and_

from vvbatch.ledger.schema import lines

if TYPE_CHECKING:  # reading commands start quicker without what planning needs
    from vvbatch.batch.plan import PlannedLine
    from vvbatch.engine.contract import EngineFacts

Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """itertools.batched, which Python 3.11 does not have."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def utc_now() -> str:
    """ISO 8601 in UTC with microseconds: sorts as text."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class BatchKind(StrEnum):
    """What a batch was made for. Commands that take no kind mean scripts."""

    SCRIPT = "script"
    SPEECH = "speech"  # one line, by `vvbatch synth`
    NIGHT = "night"  # a run of a regression suite


@dataclass(frozen=True)
class NewBatch:
    id: str
    title: str
    script: str
    fingerprint: str
    model: str | None
    priority: str | None  # None: normal, and that of an open batch stays
    out: str
    kind: BatchKind = BatchKind.SCRIPT


@dataclass(frozen=True)
class AddedBatch:
    """The batch that has the work: a new one, or the one that is open already, with what this submit changed of it."""

    id: str
    created: bool
    priority: str = "normal"
    old_priority: str | None = None  # when the priority was changed
    pauses_changed: int = 0  # lines whose pause_after_s was changed


@dataclass(frozen=True)
class CachedTake:
    """A finished take with the same key; the caller checks that its file still has its hash."""

    take_id: str
    path: str
    sha256: str


class Fence(Protocol):
    """Whose attempt at which line: identifies a late finisher."""

    @property
    def line_id(self) -> str: ...
    @property
    def worker(self) -> str: ...
    @property
    def attempt(self) -> int: ...


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
    rolls: int = 0
    escalate: Mapping[str, Any] | None = None
    tried: Sequence[Mapping[str, Any]] = ()  # by earlier claims: with another model
    cached: CachedTake | None = None
    troubles: Mapping[str, int] = field(default_factory=dict)
    take: str = ""  # the take that was begun last by this claim
    seed: int = 0  # of that take

    def with_take(self, take_id: str, seed: int) -> Claim:
        return replace(self, attempt=self.attempt + 1, take=take_id, seed=seed)


class FirstTake(NamedTuple):
    """What a claim needs to begin the line's first take in the same transaction."""

    facts: EngineFacts
    seed: Callable[[Claim], int]


class CheckRow(NamedTuple):
    """A check as the ledger keeps it."""

    name: str
    value: Any
    limit: Any
    ok: bool
    weight: float = 1.0
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a take ended, in the ledger's columns. `qc` rows are those of CheckRow, or its first four."""

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
    score: float | None = None
    chosen: str | None = None
    qc: Sequence[Sequence[Any]] = ()


CLAIM_COLUMNS = (
    "batch_id", "line", "number", "chapter", "model", "out", "key", "control_hash", "text", "request", "takes",
    "attempt", "crashes", "rolls", "escalate",
)  # fmt: skip


def still_claimed(claim: Fence) -> Any:
    """The condition that the line is still this claim's: the fence against late finishers."""
    return and_(
        still_at_attempt(claim),
        lines.c.state == "rendering",
        lines.c.worker == claim.worker,
    )


def still_at_attempt(claim: Fence) -> Any:
    """The condition that no other take of the line has begun."""
    return and_(lines.c.id == claim.line_id, lines.c.attempt == claim.attempt)


def line_key(batch_id: str, number: int) -> str:
    """The ledger's id of a line, which is also its job's: letters, digits and dashes are all that rq allows."""
    return f"{batch_id}-{number:05d}"


def line_row(batch_id: str, line: PlannedLine, now: str) -> dict[str, object]:
    return {
        **vars(line),
        "escalate": vars(line.escalate) if line.escalate else None,
        "id": line_key(batch_id, line.number),
        "batch_id": batch_id,
        "state": "queued",
        "attempt": 0,
        "crashes": 0,
        "created_at": now,
        "updated_at": now,
    }


def take_row(claim: Claim, facts: EngineFacts, now: str) -> dict[str, object]:
    """A take that has just been begun."""
    return {
        "id": claim.take,
        "batch_id": claim.batch_id,
        "line_id": claim.line_id,
        "attempt": claim.attempt,
        "state": "rendering",
        "key": claim.key,
        "profile": claim.model,
        "engine": f"{facts.engine} {facts.version}",
        "model": facts.model,
        "revision": facts.revision,
        "device": facts.device,
        "dtype": facts.dtype,
        "voices": claim.request["voices"],
        "seed": claim.seed,
        "params": claim.request["params"],
        "control_hash": claim.control_hash,
        "text": claim.text,
        "worker": claim.worker,
        "created_at": now,
    }


def final_state(states: Collection[str]) -> str:
    """The state of a batch whose lines have these, none of them open."""
    return "failed" if "failed" in states else "cancelled" if "cancelled" in states else "done"
