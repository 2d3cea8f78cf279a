"""What `vvbatch top` shows at one moment, as values: no widgets, no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vvbatch.ledger.states import LineState


@dataclass(frozen=True)
class Server:
    """What Redis says. `error` is None while it answers; `alive` has the names of workers with a current heartbeat."""

    error: str | None = None
    alive: frozenset[str] = frozenset()
    jobs: Mapping[str, int] = field(default_factory=dict)  # waiting in Redis, by profile
    asked: bool = False  # False until the first answer or error


@dataclass(frozen=True)
class Worker:
    name: str
    profile: str
    host: str
    pid: int
    device: str | None
    dtype: str | None
    slots: int | None
    rendering: int
    speed: float | None  # seconds of audio a second in work, over its newest takes
    takes: int  # that `speed` is of
    memory_bytes: int | None  # resident; None for a process of another machine, or one that is gone
    started_at: str


@dataclass(frozen=True)
class Queue:
    """Lines by the priority of their batch that wait for a worker; `held` are those of paused batches."""

    profile: str
    waiting: Mapping[str, int]
    rendering: int
    held: int
    paused: str | None  # why

    @property
    def total(self) -> int:
        return sum(self.waiting.values())


@dataclass(frozen=True)
class Batch:
    name: str
    title: str
    state: str
    profile: str | None
    priority: str
    out: str
    counts: Mapping[str, int]  # by state of lines
    counted: bool  # False while its lines are still being counted
    created_at: str
    ended_at: str | None
    ends_at: float | None  # Unix time at which its last line is expected to be rendered

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def ready(self) -> int:
        return self.counts.get(LineState.DONE, 0) + self.counts.get(LineState.CACHED, 0)

    @property
    def failed(self) -> int:
        return self.counts.get(LineState.FAILED, 0)

    @property
    def left(self) -> int:
        return self.counts.get(LineState.QUEUED, 0) + self.counts.get(LineState.RENDERING, 0)


@dataclass(frozen=True)
class Take:
    """A take that has ended."""

    name: str
    batch: str
    line: str
    number: int
    state: str
    profile: str
    worker: str
    duration_s: float | None
    wall_s: float | None
    score: float | None
    seed: int
    text: str
    error: str | None
    path: str | None
    ended_at: str
    span: tuple[float, float]  # Unix times: begun, ended


@dataclass(frozen=True)
class Failure:
    """A line that has failed."""

    batch: str
    line: str
    number: int
    text: str
    error: str | None
    at: str


@dataclass(frozen=True)
class Line:
    """A line of a batch with its kept take, or its last one."""

    name: str
    number: int
    state: str
    profile: str
    text: str
    score: float | None
    seed: int | None
    duration_s: float | None
    attempt: int
    take: str | None
    path: str | None
    error: str | None
    trouble: str | None
    worker: str | None


@dataclass(frozen=True)
class Page:
    """Some lines of a batch; `first` counts from 0 among those that were asked for."""

    batch: str
    lines: Sequence[Line]
    first: int
    more: bool
    chosen_at: str  # when it was last decided which lines these are; their values are newer


@dataclass(frozen=True)
class Snapshot:
    at: str
    workers: Sequence[Worker] = ()
    queues: Sequence[Queue] = ()
    batches: Sequence[Batch] = ()
    takes: Sequence[Take] = ()
    failures: Sequence[Failure] = ()
    page: Page | None = None
    speed: float | None = None  # of all workers together, x real time
    takes_per_min: float | None = None
    counting: bool = False  # lines of some batch are still being counted
    error: str | None = None  # why the ledger cannot be read; the rest is what was read last
