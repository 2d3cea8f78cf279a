"""What a plan will cost: lines to render, cached lines, audio and wall time from the ledger's own history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct
from sqlalchemy import func, select

from vvbatch import profiles
from vvbatch.batch.plan import Plan, PlannedLine
from vvbatch.batch.speeds import throughput
from vvbatch.engine.measure import Speed
from vvbatch.ledger import Ledger
from vvbatch.ledger.ahead import place_in_queue
from vvbatch.ledger.forecast import Throughput, throughput_of
from vvbatch.ledger.queries import WORK_COLUMNS, cached_takes, work_of
from vvbatch.ledger.schema import LINE_OPEN, batches, lines, qc_results, takes
from vvbatch.ledger.states import BatchState
from vvbatch.script.model import SECONDS_PER_CHARACTER
from vvbatch.speech_text.candidates import Candidate, candidates
from vvbatch.voices import quality

Speeds = Callable[[str], Speed | None]
"""The measured speed of a profile: vvbatch.batch.speeds.known_speed of a home."""


class ModelEstimate(Struct):
    """A profile's part; `speed` is x real time: of these lines, so that few lines have less than a large batch. None
    where nothing was rendered or measured yet. `ready_s` also counts the lines that are queued before these."""

    model: str
    profile: str
    title: str
    lines: int
    audio_s: float
    speed: float | None
    wall_s: float | None
    ready_s: float | None = None
    queued_before: int = 0  # lines


class WarningView(Struct):
    """Something in a script that may be a mistake; `code` is its kind, the same in every version."""

    file: str
    line: int
    column: int
    code: str
    message: str
    remedy: str


class Estimate(Struct):
    """`lines` are those of the script; `parts` what they are rendered in, and what `cached` and `to_render` count."""

    script: str
    title: str
    lines: int
    cached: int
    to_render: int
    chapters: int
    characters: int
    voices: Mapping[str, int]  # lines by voice
    not_golden: Sequence[str]
    models: Sequence[ModelEstimate]
    may_escalate: Mapping[str, int]  # lines by profile
    chapter_titles: Sequence[str]
    warnings: Sequence[WarningView]
    candidates: Sequence[Candidate]  # words that may need a pronunciation
    parts: int


def estimate(plan: Plan, ledger: Ledger, speeds: Speeds = lambda _profile: None) -> Estimate:
    """A plan's lines, cached lines, warnings, expected audio and wall seconds (None where nothing is known)."""
    cached = {key: take for key, take in cached_takes(ledger, plan.lines).items() if there(take.path)}
    fresh = [line for line in plan.lines if line.key not in cached]
    models = [
        of_profile(profile, [len(line.text) * line.takes for line in fresh if line.profile == profile], ledger, speeds)
        for profile in plan.profiles
    ]
    by_voice = {(voice.name, each.part_of or each.line): None for each in plan.lines for voice in each.request.voices}
    return Estimate(
        script=plan.script,
        title=plan.title,
        lines=len({line.part_of or line.line for line in plan.lines}),
        cached=len(plan.lines) - len(fresh),
        to_render=len(fresh),
        chapters=max((line.chapter for line in plan.lines), default=0),
        characters=sum(len(line.text) for line in plan.lines),
        voices=dict(Counter(name for name, _ in by_voice)),
        not_golden=list(
            dict.fromkeys(line.part_of or line.line for line in plan.lines if not line.request.params.golden)
        ),
        models=models,
        may_escalate=dict(Counter(line.escalate.profile for line in fresh if line.escalate)),
        chapter_titles=list({line.chapter: line.chapter_title for line in plan.lines}.values()),
        warnings=[*warning_views(plan), *prompt_warnings(plan)],
        candidates=candidates(written_texts(plan), plan.pronounced, misheard(ledger, plan.script)),
        parts=len(plan.lines),
    )


def of_profile(profile: str, characters: Sequence[int], ledger: Ledger, speeds: Speeds) -> ModelEstimate:
    """What lines of so many characters (once for each of their takes) cost with a profile."""
    past, queued = history(ledger, profile, speeds(profile)), queued_before(ledger, profile)
    audio_s = sum(characters) * past.audio_s_per_character
    wall_s = ready_s = None
    if past.throughput:
        total, longest = sum(characters), max(characters, default=0)
        wall_s = past.throughput.seconds_left(total, longest)
        ready_s = past.throughput.seconds_left(total + queued.characters, max(longest, queued.longest))
    return ModelEstimate(
        model=profile,
        profile=profile,
        title=profiles.load(profile).title,
        lines=len(characters),
        audio_s=round(audio_s, 1),
        speed=round(audio_s / wall_s, 3) if wall_s else None,
        wall_s=None if wall_s is None else round(wall_s, 1),
        ready_s=None if ready_s is None else round(ready_s, 1),
        queued_before=queued.lines,
    )


class Queued(NamedTuple):
    """What waits and is in work for a profile."""

    lines: int
    characters: int
    longest: int


def queued_before(ledger: Ledger, profile: str) -> Queued:
    """Lines of open batches that are rendered before those of a batch that is submitted now, with normal priority."""
    characters = func.length(lines.c.text) * lines.c.takes
    query = (
        select(batches.c.priority, batches.c.created_at, func.count(), func.sum(characters), func.max(characters))
        .join_from(lines, batches, batches.c.id == lines.c.batch_id)
        .where(lines.c.model == profile, lines.c.state.in_(LINE_OPEN), batches.c.state == BatchState.OPEN)
        .group_by(batches.c.id, batches.c.priority, batches.c.created_at)
    )
    now = place_in_queue("normal", ledger.now())
    with ledger.engine.connect() as connection:
        found = [
            Queued(count, int(total), longest)
            for priority, created_at, count, total, longest in connection.execute(query)
            if place_in_queue(priority, created_at) <= now
        ]
    return Queued(
        sum(each.lines for each in found),
        sum(each.characters for each in found),
        max((each.longest for each in found), default=0),
    )


def written_texts(plan: Plan) -> list[str]:
    return [line.text if line.written is None else line.written for line in plan.lines]


def misheard(ledger: Ledger, script: str) -> Counter[str]:
    """Words in small letters, by the number of this script's takes in which the recognizer wrote another word."""
    newest = (
        select(qc_results.c.detail)
        .join(takes, takes.c.id == qc_results.c.take_id)
        .join(batches, batches.c.id == takes.c.batch_id)
        .where(batches.c.script == script, qc_results.c.name == "wer")
        .order_by(takes.c.ended_at.desc())
        .limit(5000)
    )
    with ledger.engine.connect() as connection:
        details = [row.detail or {} for row in connection.execute(newest)]
    return Counter(word for detail in details for word in {pair[0] for pair in detail.get("wrong", ())})


class SpokenLine(Struct):
    """What a line says, and what was written of it."""

    id: str
    chapter: int
    written: str
    spoken: str


def spoken_line(line: PlannedLine) -> SpokenLine:
    return SpokenLine(line.line, line.chapter, line.text if line.written is None else line.written, line.text)


def warning_views(plan: Plan) -> list[WarningView]:
    return [
        WarningView(
            plan.script,
            warning.position.line,
            warning.position.column,
            warning.code,
            warning.message,
            warning.remedy,
        )
        for warning in plan.warnings
    ]


def prompt_warnings(plan: Plan) -> Iterator[WarningView]:
    """The flaws of the voices that are cloned."""
    for name, path, position in plan.prompts:
        for flaw in quality.flaws(name, path):
            yield WarningView(plan.script, position.line, position.column, flaw.code, flaw.message, flaw.remedy)


def there(path: str) -> bool:
    return Path(path).is_file()


class History(NamedTuple):
    audio_s_per_character: float
    throughput: Throughput | None


def history(ledger: Ledger, profile: str, measured: Speed | None = None) -> History:
    """From the profile's last 500 takes, of any batch; as it was `measured` where none of them is good."""
    recent = (
        select(
            *(takes.c[name] for name in WORK_COLUMNS), takes.c.duration_s, func.length(takes.c.text).label("characters")
        )
        .where(takes.c.profile == profile, takes.c.ended_at.is_not(None))
        .order_by(takes.c.ended_at.desc())
        .limit(500)
    )
    with ledger.engine.connect() as connection:
        rows = connection.execute(recent).all()
    works = [work_of(row, row.ended_at) for row in rows]
    audio_s = sum(row.duration_s or 0.0 for row, work in zip(rows, works, strict=True) if work.good)
    characters = sum(work.characters for work in works if work.good)
    found = throughput_of(works)
    if found is None and measured is not None:
        return History(measured.audio_s_per_character, throughput(measured))
    return History(audio_s / characters if audio_s and characters else SECONDS_PER_CHARACTER, found)
