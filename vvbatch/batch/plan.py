"""From a parsed script to the lines to render: voices and models looked up, limits held, keys and seeds made.

A line's key covers all that its audio depends on. Lines with one key sound the same, so a finished take serves both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from vvbatch import profiles
from vvbatch.engine.contract import VERSIONS, Manner, Request, Turn, Voice
from vvbatch.profiles import Profile, ProfileError
from vvbatch.script.model import Position, Problem, Script, ScriptError, ScriptLine

AUDIO_FORMAT = "24 kHz mono PCM16, peak -1 dBFS, 1"
"""Part of every key: raise the number when what is made of an engine's samples changes."""
NO_ESCALATION = "none"


class LineProblems(Exception):
    """What is wrong with one line, gathered into the script's ScriptError."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


class Voices(Protocol):
    def resolve(self, name: str) -> Voice:
        """Raises an exception (LookupError) whose text says what there is instead."""


@dataclass(frozen=True)
class Escalation:
    """How another profile would render a line: what differs from the line's own plan."""

    model: str
    key: str
    control_hash: str
    takes: int
    seed: int
    params: Mapping[str, Any]


@dataclass(frozen=True)
class PlannedLine:
    """A line ready to be rendered; `request` is plain data, read back by `request_of`."""

    line: str  # the id in the script
    number: int  # place in the batch, from 1
    chapter: int  # from 1
    chapter_title: str
    model: str  # profile
    key: str
    control_hash: str
    text: str
    request: Mapping[str, Any]
    takes: int = 1
    pause_after_s: float = 0.0
    escalate: Escalation | None = None  # when no take passes


@dataclass(frozen=True)
class Plan:
    title: str
    script: str
    model: str | None
    lines: tuple[PlannedLine, ...]

    def fingerprint(self, out: str) -> str:
        """Equal for the same work into the same folder."""
        work = [
            [line.line, line.key, line.takes, *([line.escalate.key] if line.escalate else [])] for line in self.lines
        ]
        return digest([self.title, out, work, *(["keep takes"] if self.keeps_takes else [])])

    @property
    def keeps_takes(self) -> bool:
        return any(line.request.get("keep_takes") for line in self.lines)

    def streamed(self) -> Plan:
        """The same plan for somebody who listens while it is rendered."""
        return replace(
            self, lines=tuple(replace(line, request={**line.request, "stream": True}) for line in self.lines)
        )

    @property
    def models(self) -> list[str]:
        return sorted({line.model for line in self.lines})

    @property
    def escalations(self) -> list[str]:
        """Models that some line may be escalated to."""
        return sorted({line.escalate.model for line in self.lines if line.escalate})


@dataclass(frozen=True)
class Wishes:
    """What the command line says of every line of a script; None leaves it to the script and the profile."""

    model: str | None = None
    takes: int | None = None
    escalate: str | None = None  # a profile, or `none`
    keep_takes: bool = False


def make_plan(script: Script, voices: Voices, wishes: Wishes = Wishes()) -> Plan:
    """Plan every line of a script. Raises ScriptError with all problems at once."""
    problems: list[Problem] = []
    planned: list[PlannedLine] = []
    for chapter_number, chapter in enumerate(script.chapters, start=1):
        for line in chapter.lines:
            try:
                profile = profile_of(line, script, wishes.model)
                requested = request_data(line, profile, voices)
                other = escalation_of(line, profile, voices, wishes)
            except LineProblems as error:
                problems += error.problems
                continue
            takes = wishes.takes or line.takes or profile.takes
            requested, key = keyed(requested, profile, takes)
            if wishes.keep_takes or profile.keep_takes:
                requested["keep_takes"] = True
            planned.append(
                PlannedLine(
                    line=line.id,
                    number=len(planned) + 1,
                    chapter=chapter_number,
                    chapter_title=chapter.title,
                    model=profile.name,
                    key=key,
                    control_hash=control_hash(profile, requested["params"]),
                    text=" ".join(turn.text for turn in line.turns),
                    request=requested,
                    takes=takes,
                    pause_after_s=line.pause_after_s,
                    escalate=other,
                )
            )
    if problems:
        raise ScriptError(script.path, problems, script.source)
    return Plan(script.title, str(script.path), wishes.model or script.model, tuple(planned))


def profile_of(line: ScriptLine, script: Script, override: str | None) -> Profile:
    name = override or line.model or script.model or "draft"
    return profile_at(line.positions.get("model") or script.model_position or line.position, name)


def profile_at(place: Position, name: str) -> Profile:
    """Raises LineProblems for a name that no profile has."""
    try:
        return profiles.load(name)
    except ProfileError as error:
        raise LineProblems([Problem(place, str(error), "")]) from error


def escalation_of(line: ScriptLine, profile: Profile, voices: Voices, wishes: Wishes) -> Escalation | None:
    """The line as the profile that it may be escalated to would render it. Raises LineProblems."""
    name = wishes.escalate or line.escalate or profile.escalate
    if name is None or name == NO_ESCALATION:
        return None
    place = line.positions.get("escalate", line.position)
    other = profile_at(place, name)
    if other.name == profile.name:
        found = f"escalate {name!r} of a line that model {name} renders anyway"
        raise LineProblems([Problem(place, found, f"name another profile, or {NO_ESCALATION}")])
    if other.escalate:
        found = f"escalate {name!r}, a profile that escalates to {other.escalate!r} itself"
        raise LineProblems([Problem(place, found, "a line is escalated once: name a profile without `escalate`")])
    takes = wishes.takes or line.takes or other.takes
    requested, key = keyed(request_data(line, other, voices), other, takes)
    params = requested["params"]
    return Escalation(other.name, key, control_hash(other, params), takes, requested["seed"], params)


def keyed(requested: dict[str, Any], profile: Profile, takes: int) -> tuple[dict[str, Any], str]:
    """The request with a seed, and its key. The same line always gets the same seed, so that what was rendered once is
    found again."""
    if requested["seed"] is None:
        made = int(digest([line_key(requested, profile, takes), "seed"])[:8], 16)
        requested = {**requested, "seed": made}
    return requested, line_key(requested, profile, takes)


def request_data(line: ScriptLine, profile: Profile, voices: Voices) -> dict[str, Any]:
    """A request without its id, as plain data. Raises LineProblems."""
    problems: list[Problem] = []
    speakers: list[str] = []
    cast: list[Voice] = []
    for turn in line.turns:
        if turn.speaker in speakers:
            continue
        try:
            voice = voices.resolve(turn.voice)
        except LookupError as error:
            problems.append(Problem(turn.voice_position, *(*error.args, "")[:2]))
            continue
        speakers.append(turn.speaker)
        cast.append(voice)
    characters = sum(len(turn.text) for turn in line.turns)
    if characters > profile.text.max_chars:
        problems.append(
            Problem(
                line.turns[0].position,
                f"a text of {characters:,} characters",
                f"at most {profile.text.max_chars:,} with model {profile.name}: split it into several lines",
            )
        )
    if len(speakers) > profile.text.max_speakers:
        problems.append(
            Problem(line.position, f"{len(speakers)} speakers", f"at most {profile.text.max_speakers} in one dialogue")
        )
    settings: dict[str, float] = {}
    golden = True
    for name in ("cfg_scale", "steps", "temperature"):
        setting = getattr(profile.generation, name)
        asked = getattr(line, name, None)
        value = setting.golden if asked is None else asked
        golden &= value == setting.golden
        settings[name] = int(value) if name == "steps" else float(value)
        if not setting.min <= value <= setting.max:
            place: Position = line.positions.get(name, line.position)
            allowed = f"{setting.min:g} to {setting.max:g} with model {profile.name} (golden: {setting.golden:g})"
            problems.append(Problem(place, f"{name} {value:g}", allowed))
    if problems:
        raise LineProblems(problems)
    return {
        "turns": [[speakers.index(turn.speaker), turn.text] for turn in line.turns],
        "speakers": speakers,
        "voices": [
            {"name": voice.name, "sha256": voice.sha256, "path": str(voice.path)}
            | {"rate": voice.manner.rate, "pitch": voice.manner.pitch}
            for voice in cast
        ],
        "seed": line.seed,
        "params": {**settings, "max_duration_s": line.max_duration_s, "golden": golden},
    }


def line_key(request: Mapping[str, Any], profile: Profile, takes: int) -> str:
    """sha256 over all that the line's audio depends on."""
    manner = ("sha256", "rate", "pitch") if profile.engine == "draft" else ("sha256",)
    return digest(
        [
            AUDIO_FORMAT,
            request["turns"],
            [[voice[name] for name in manner] for voice in request["voices"]],
            request["seed"],
            takes,
            control_hash(profile, request["params"]),
        ]
    )


def control_hash(profile: Profile, params: Mapping[str, Any]) -> str:
    """sha256 over the whole parameter surface: engine, model, device, dtype, slots (they give a step's products their
    shape, and so the last bits) and every generation parameter."""
    values = {name: value for name, value in params.items() if name != "golden"}
    surface = [profile.engine, VERSIONS[profile.engine], msgspec.to_builtins(profile.model), profile.device]
    surface += [profile.dtype, profile.slots, profile.generation.voice_seed]
    return digest([*surface, sorted(values.items())])


def request_of(data: Mapping[str, Any], request_id: str, seed: int) -> Request:
    """The engine's request from a planned line's plain data."""
    params = data["params"]
    return Request(
        id=request_id,
        turns=tuple(Turn(speaker, text) for speaker, text in data["turns"]),
        voices=tuple(voice_of(voice) for voice in data["voices"]),
        seed=seed,
        cfg_scale=params["cfg_scale"],
        steps=params["steps"],
        temperature=params["temperature"],
        max_duration_s=params["max_duration_s"],
        stream=data.get("stream", False),
    )


def voice_of(data: Mapping[str, Any]) -> Voice:
    manner = Manner(rate=data["rate"], pitch=data["pitch"])
    return Voice(name=data["name"], path=Path(data["path"]), sha256=data["sha256"], manner=manner)


def seed_of_take(seed: int, number: int) -> int:
    """The seed of a line's take: the line's own first, then ones derived from it."""
    return seed if number == 0 else int(digest([seed, number])[:8], 16)


def digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
