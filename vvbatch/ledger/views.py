"""What is read out of the ledger. msgspec makes `--json` documents of these: a field is a key, in this order.

`model` is a profile's name wherever `profile` is a key beside it; in takes and metrics it is the model that rendered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, UnsetType

from vvbatch.book.document import BookView

if TYPE_CHECKING:
    from vvbatch.processes.supervisor import SupervisorState
    from vvbatch.regress.schedule import ScheduleStatus

Json = object
"""A value as a JSON column has it."""


class CheckView(Struct, omit_defaults=True, gc=False):
    name: str
    value: Json
    limit: Json
    ok: bool
    weight: float
    detail: Json = None


def tried_takes(stored: Sequence[Mapping[str, Json]] | None) -> list[dict[str, Json]]:
    """The takes of a line that were not kept, as the row lists them (TriedTake), with `profile` beside `model`."""
    return [{**take, "profile": take["model"]} for take in stored] if stored else []


class LineView(Struct, gc=False):
    """`qc` is that of the kept take, or of a failed line's last one; `troubles` counts each class of trouble.

    A part of a long line is a line of its own; `part_of` is the id of the line that was divided.
    """

    id: str
    state: str
    profile: str
    path: str | None
    sha256: str | None
    take: str | None
    score: float | None
    chosen: str | None
    tried: Json
    qc: Sequence[CheckView]
    error: str | None
    trouble: str | None
    troubles: Mapping[str, int]
    role: str
    part_of: str | None
    part: int | None
    script_line: int | None  # where its text begins in the script
    script_column: int | None


class BatchHead(Struct):
    """`eta_s` is None when it cannot be known, 0 when the batch has ended."""

    batch: str
    script: str
    state: str
    counts: Mapping[str, int]
    out: str
    eta_s: int | None


class BatchView(BatchHead):
    lines: Sequence[LineView]
    kind: str
    unserved: Mapping[str, int] | UnsetType = UNSET  # lines by profile that no running worker serves
    created_at: str = ""
    ended_at: str | None = None


class SubmittedView(BatchView, kw_only=True):
    """What `submit` and `run` print: `changes` of a batch that was open already."""

    created: bool
    changes: Changes
    book: BookView | UnsetType = UNSET  # of `run`, where a book was made


class Changes(Struct, omit_defaults=True):
    priority: Sequence[str] | None = None  # old, new
    pauses: int = 0  # lines whose pause_after_s was changed


class BatchRow(BatchHead):
    title: str
    kind: str
    model: str | None
    profile: str | None
    priority: str
    created_at: str
    ended_at: str | None


class LineRow(Struct):
    batch: str
    line: str
    number: int
    chapter: int
    chapter_title: str
    model: str
    profile: str
    state: str
    attempt: int
    crashes: int
    text: str
    spoken: str
    written: str
    take: str | None
    path: str | None
    sha256: str | None
    duration_s: float | None
    score: float | None
    chosen: str | None
    tried: Json
    error: str | None
    worker: str | None
    created_at: str
    updated_at: str
    role: str
    part_of: str | None
    part: int | None
    break_after: str
    pause_after_s: float
    pause_given_s: float | None
    script: str
    script_line: int | None
    script_column: int | None


class TakeRow(Struct):
    take: str
    batch: str
    line: str
    state: str
    attempt: int
    profile: str
    model: str
    revision: str
    device: str
    dtype: str
    voices: Json
    seed: int
    params: Json
    control_hash: str
    text: str
    spoken: str
    written: str
    path: str | None
    sha256: str | None
    duration_s: float | None
    wall_s: float | None
    rtf: float | None
    first_chunk_s: float | None
    peak_dbfs: float | None
    loudness_lufs: float | None
    score: float | None
    chosen: str | None
    qc: Sequence[CheckView]
    error: str | None
    worker: str
    created_at: str
    part_of: str | None
    part: int | None
    rejected_at: str | None
    rejected_by: str | None
    rejected_why: str | None


class MetricsRow(Struct):
    profile: str
    model: str
    device: str
    dtype: str
    day: str | UnsetType
    takes: int
    done: int
    failed_qc: int
    failed: int
    crashed: int
    audio_s: float
    wall_s: float
    speed: float | None
    rtf_median: float | None
    rtf_p95: float | None
    first_chunk_s_median: float | None
    score_median: float | None
    fail_rate: float | None


class Totals(Struct):
    takes: int
    audio_s: float
    rendered_s: float
    wall_s: float
    speed: float | None
    failed: int  # takes that failed, of which most were rendered again
    began_at: str | None  # the first take


class Failure(Struct):
    """A failed line, its text, and its place in the script."""

    batch: str
    line: str
    error: str | None
    at: str
    trouble: str | None
    number: int
    chapter: int
    chapter_title: str
    text: str  # as it is written
    profile: str
    script: str
    script_line: int | None
    script_column: int | None


class QueueView(Struct):
    """Lines `waiting` for a worker, `rendering`, `held` by a paused batch; `paused` says why, or is None."""

    model: str
    profile: str
    waiting: int = 0
    rendering: int = 0
    held: int = 0
    paused: str | None = None
    paused_at: str | None = None
    served: bool | UnsetType | None = UNSET  # whether a worker is running; None when Redis does not answer


class WorkerView(Struct):
    worker: str
    model: str
    profile: str
    host: str
    pid: int
    device: str | None
    dtype: str | None
    rendering: int
    started_at: str
    alive: bool | UnsetType | None = UNSET  # None when Redis does not answer
    slots: int | None = None  # None: a worker of an older version did not record them


class TroubleView(Struct):
    model: str
    profile: str
    trouble: str
    state: str
    lines: int


class Rates(Struct):
    window_s: int
    takes: int
    takes_per_min: float | None
    speed: float | None


class Overview(Struct):
    batches: list[BatchRow]
    queues: list[QueueView]
    workers: list[WorkerView]
    failures: list[Failure]
    troubles: list[TroubleView]
    rates: Rates
    totals: Mapping[str, Totals]  # of the batches listed that ended within the last day


class ServerView(Struct):
    reachable: bool
    address: str | None
    error: str | None = None
    waiting: Mapping[str, int] = {}  # jobs by profile
    lost: Mapping[str, int] = {}  # lines by profile that wait in the ledger and have no job


class StatusView(Overview):
    """What `vvbatch status` prints: the overview, with what Redis, the supervisor and the schedules say."""

    redis: ServerView
    supervisor: SupervisorState | None
    nights: Sequence[ScheduleStatus]
