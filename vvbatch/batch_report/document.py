"""What the report of a batch says, and `vvbatch report --json` prints. A field is a key: add keys, never rename one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from vvbatch.ledger.views import CheckView


class TakeOfLine(Struct, frozen=True):
    """One of the takes that were made for a line. `path` is that of its own file, if it has one."""

    take: str
    state: str
    profile: str
    seed: int
    score: float | None
    duration_s: float | None
    wall_s: float | None
    why: str | None  # why it was kept, or what was wrong with it
    path: str | None
    sha256: str | None


class LineToHear(Struct, frozen=True):
    """A line that a person should listen to. `why`: failed, rejected, or weakest: it passed with the least room."""

    id: str
    why: str
    number: int
    chapter: int
    script_line: int | None  # where its text begins in the script
    state: str
    written: str
    spoken: str
    score: float | None
    reasons: Sequence[str]  # in words
    checks: Sequence[CheckView]
    takes: Sequence[TakeOfLine]
    path: str | None
    sha256: str | None


class ChapterSummary(Struct, frozen=True):
    number: int
    title: str
    lines: int
    ready: int  # lines that have a file
    audio_s: float
    work_s: float  # of all takes of its lines, each counted by itself


class Work(Struct, frozen=True):
    """Takes of one kind, and the seconds that each of them was in work, together."""

    kind: str  # kept, not kept, rejected, failed its checks, failed
    takes: int
    work_s: float
    share: float  # of the seconds of all takes


class ProfileWork(Struct, frozen=True):
    profile: str
    device: str
    dtype: str
    takes: int
    audio_s: float
    work_s: float
    rtf: float | None


class TimeSpent(Struct, frozen=True):
    """`busy_s`: wall seconds with at least one take in work. Takes are in work side by side: their sum is longer."""

    began_at: str | None
    ended_at: str | None
    elapsed_s: float | None
    busy_s: float
    audio_s: float
    rendered_s: float
    speed: float | None  # of what was rendered, x real time
    cached: int  # lines that cost nothing
    work: Sequence[Work]
    profiles: Sequence[ProfileWork]


class Master(Struct, frozen=True):
    """A file of the finished book; its levels are None for subtitles, and in a book of an older version."""

    path: str
    format: str
    preset: str
    size_bytes: int
    duration_s: float
    made_at: str
    sha256: str
    loudness_lufs: float | None
    true_peak_dbtp: float | None


class Series(Struct, frozen=True):
    """A measure of the kept takes by voice: pairs of a line's number in the batch and its value."""

    measure: str
    title: str
    voices: Mapping[str, Sequence[tuple[int, float]]]


class Report(Struct, frozen=True):
    batch: str
    title: str
    script: str
    state: str
    counts: Mapping[str, int]
    out: str
    created_at: str
    to_hear: Sequence[LineToHear]
    not_shown: Mapping[str, int]  # lines that would be in `to_hear` but are too many, by why
    remedies: Sequence[tuple[str, str]]  # of the failed lines: what to do, and the command or the place
    chapters: Sequence[ChapterSummary]
    time: TimeSpent
    masters: Sequence[Master]
    drift: Sequence[Series]
