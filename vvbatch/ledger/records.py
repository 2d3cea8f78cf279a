"""What goes into the ledger and comes out of it: batches to record, claims, outcomes of takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgspec
from sqlalchemy import ColumnElement, RowMapping, and_, or_

from vvbatch.batch.line_request import Escalation, LineRequest
from vvbatch.ledger.schema import lines
from vvbatch.ledger.states import BatchState, LineState, TakeState

if TYPE_CHECKING:  # reading commands start quicker without what planning needs
    from vvbatch.batch.plan import PlannedLine
    from vvbatch.engine.contract import EngineFacts

Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """itertools.batched, which Python 3.11 does not have."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def timestamp(at: datetime) -> str:
    """ISO 8601 in UTC with microseconds: sorts as text. `at` has a zone."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_now() -> str:
    return timestamp(datetime.now(UTC))


def earlier(than: str, by_s: float) -> str:
    """The timestamp of so many seconds before another one."""
    return timestamp(datetime.fromisoformat(than) - timedelta(seconds=by_s))


class BatchKind(StrEnum):
    """What a batch was made for. Commands that take no kind mean scripts."""

    SCRIPT = "script"
    SPEECH = "speech"  # one line, by `vvbatch synth`
    NIGHT = "night"  # a run of a regression suite
    PROOF = "proof"  # 12 sentences, by `vvbatch models prove`


@dataclass(frozen=True)
class NewBatch:
    id: str
    title: str
    script: str
    fingerprint: str
    profile: str | None
    priority: str | None  # None: normal, and that of an open batch stays
    out: str
    kind: BatchKind = BatchKind.SCRIPT
    book: object = None  # vvbatch.batch.book_order.BookOrder


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
    """A finished take with the same key. The caller checks that its file still has the hash."""

    take_id: str
    path: str
    sha256: str


class Fence(Protocol):
    """Identifies one worker's attempt at one line, so that a worker that finishes late changes nothing."""

    @property
    def line_id(self) -> str: ...
    @property
    def worker(self) -> str: ...
    @property
    def attempt(self) -> int: ...


class TriedTake(msgspec.Struct, frozen=True):
    """A take that was not kept, as the line's row lists it."""

    take: str
    profile: str = msgspec.field(name="model")  # the stored key
    seed: int
    state: TakeState
    score: float | None
    error: str | None


@dataclass(frozen=True)
class Claim:
    """A line that this worker may render: what to render, and the attempt that identifies the claim."""

    line_id: str
    batch_id: str
    line: str
    number: int
    chapter: int
    profile: str
    out: str
    key: str
    control_hash: str
    text: str
    written: str | None
    request: LineRequest
    takes: int
    attempt: int
    crashes: int
    worker: str
    rolls: int = 0
    escalate: Escalation | None = None
    tried: Sequence[TriedTake] = ()  # by earlier claims
    cached: CachedTake | None = None
    rejected: frozenset[int] = frozenset()  # seeds of rejected takes with the same key
    troubles: Mapping[str, int] = field(default_factory=dict)
    take: str = ""  # the newest take of this claim
    seed: int = 0  # of that take

    @classmethod
    def of(cls, row: RowMapping, worker: str, cached: CachedTake | None, rejected: frozenset[int]) -> Claim:
        """From a row of `lines` with its batch's `out`."""
        return cls(
            line_id=row["id"],
            profile=row["model"],
            worker=worker,
            cached=cached,
            rejected=rejected,
            **{name: row[name] for name in CLAIM_COLUMNS},
            request=msgspec.convert(row["request"], LineRequest),
            escalate=msgspec.convert(row["escalate"], Escalation | None),
            tried=msgspec.convert(row["tried"] or [], list[TriedTake]),
            troubles=row["troubles"] or {},
        )

    def with_take(self, take_id: str, seed: int) -> Claim:
        return replace(self, attempt=self.attempt + 1, take=take_id, seed=seed)


class FirstTake(NamedTuple):
    """What a claim needs to open the line's first take in the same transaction."""

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

    state: TakeState
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
    "batch_id", "line", "number", "chapter", "out", "key", "control_hash", "text", "written", "takes",
    "attempt", "crashes", "rolls",
)  # fmt: skip


def still_claimed(claim: Fence) -> ColumnElement[bool]:
    """The condition that the line still belongs to this claim."""
    return and_(
        still_at_attempt(claim),
        lines.c.state == LineState.RENDERING,
        lines.c.worker == claim.worker,
    )


def still_at_attempt(claim: Fence) -> ColumnElement[bool]:
    """The condition that no newer take of the line exists."""
    return and_(lines.c.id == claim.line_id, lines.c.attempt == claim.attempt)


def is_line(line: str) -> ColumnElement[bool]:
    """The condition that a row is this line of a script, or one of its parts, or this part."""
    return or_(lines.c.line == line, lines.c.part_of == line)


def line_key(batch_id: str, number: int) -> str:
    """The ledger's id of a line, which its job's id begins with: rq allows only letters, digits and dashes."""
    return f"{batch_id}-{number:05d}"


def columns(record: NewBatch | PlannedLine) -> dict[str, object]:
    """The fields of a record by their columns: that of the profile is called `model`."""
    return {"model" if name == "profile" else name: value for name, value in vars(record).items()}


def line_row(batch_id: str, line: PlannedLine, now: str) -> dict[str, object]:
    return {
        **columns(line),
        "id": line_key(batch_id, line.number),
        "batch_id": batch_id,
        "state": LineState.QUEUED,
        "attempt": 0,
        "crashes": 0,
        "created_at": now,
        "updated_at": now,
    }


def take_row(claim: Claim, facts: EngineFacts, now: str) -> dict[str, object]:
    """A take that has just been opened."""
    return {
        "id": claim.take,
        "batch_id": claim.batch_id,
        "line_id": claim.line_id,
        "attempt": claim.attempt,
        "state": TakeState.RENDERING,
        "key": claim.key,
        "profile": claim.profile,
        "engine": f"{facts.engine} {facts.version}",
        "model": facts.model,
        "revision": facts.revision,
        "device": facts.device,
        "dtype": facts.dtype,
        "voices": claim.request.voices,
        "seed": claim.seed,
        "params": claim.request.params,
        "control_hash": claim.control_hash,
        "text": claim.text,
        "written": claim.written,
        "worker": claim.worker,
        "created_at": now,
    }


def final_state(states: Collection[str]) -> BatchState:
    """The state of a batch whose lines have these, none of them open."""
    if LineState.FAILED in states:
        return BatchState.FAILED
    return BatchState.CANCELLED if LineState.CANCELLED in states else BatchState.DONE
