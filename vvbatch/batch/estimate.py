"""What a plan will cost: lines to render, cached lines, audio and wall time from the ledger's own history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from sqlalchemy import func, select

from vvbatch import profiles
from vvbatch.batch.plan import Plan
from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import cached_takes
from vvbatch.ledger.schema import takes

SECONDS_PER_CHARACTER = 0.065  # of English speech at an even pace, when nothing has been rendered yet


class ModelEstimate(Struct):
    """A profile's part; `speed` is x real time. None where the ledger has no history."""

    model: str
    profile: str
    title: str
    lines: int
    audio_s: float
    speed: float | None
    wall_s: float | None


class Estimate(Struct):
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


def estimate(plan: Plan, ledger: Ledger) -> Estimate:
    """A plan's lines, cached lines, warnings, expected audio and wall seconds (None where nothing is known)."""
    cached = {key: take for key, take in cached_takes(ledger, plan.lines).items() if there(take.path)}
    fresh = [line for line in plan.lines if line.key not in cached]
    models: list[ModelEstimate] = []
    for profile, characters in Counter(dict.fromkeys(plan.profiles, 0)).items():
        wanted = [line for line in fresh if line.profile == profile]
        characters = sum(len(line.text) * line.takes for line in wanted)
        pace, speed = history(ledger, profile)
        audio_s = characters * (pace or SECONDS_PER_CHARACTER)
        models.append(
            ModelEstimate(
                model=profile,
                profile=profile,
                title=profiles.load(profile).title,
                lines=len(wanted),
                audio_s=round(audio_s, 1),
                speed=speed,
                wall_s=round(audio_s / speed, 1) if speed else None,
            )
        )
    return Estimate(
        script=plan.script,
        title=plan.title,
        lines=len(plan.lines),
        cached=len(plan.lines) - len(fresh),
        to_render=len(fresh),
        chapters=max((line.chapter for line in plan.lines), default=0),
        characters=sum(len(line.text) for line in plan.lines),
        voices=dict(Counter(voice.name for line in plan.lines for voice in line.request.voices)),
        not_golden=[line.line for line in plan.lines if not line.request.params.golden],
        models=models,
        may_escalate=dict(Counter(line.escalate.profile for line in fresh if line.escalate)),
    )


def there(path: str) -> bool:
    return Path(path).is_file()


def history(ledger: Ledger, profile: str) -> tuple[float | None, float | None]:
    """Seconds of audio per character, and speed (x real time) of the profile's last 500 good takes.

    The speed counts what the worker did at the same time: audio made over the wall time in which anything was made.
    """
    recent = (
        select(takes.c.duration_s, takes.c.wall_s, func.length(takes.c.text).label("characters"), takes.c.metrics)
        .where(takes.c.profile == profile, takes.c.state == "done")
        .order_by(takes.c.ended_at.desc())
        .limit(500)
    )
    with ledger.engine.connect() as connection:
        rows = connection.execute(recent).all()
    audio_s = sum(row.duration_s for row in rows)
    characters = sum(row.characters for row in rows)
    # A take shares its wall time with the lines rendered at the same time: divide by their number.
    alone_s = sum(row.wall_s / max((row.metrics or {}).get("lines_at_once", 1), 1) for row in rows)
    if not rows or not characters or not alone_s:
        return None, None
    return audio_s / characters, round(audio_s / alone_s, 3)
