"""A request for speech, as OpenAI's API has it with a few fields more → a plan of one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from vvbatch import profiles
from vvbatch.batch.plan import Overrides, Plan, PlannedLine, make_plan
from vvbatch.home import Home
from vvbatch.profiles import Profile
from vvbatch.script.fields import MAX_SPEAKERS
from vvbatch.script.items import Texts
from vvbatch.script.labels import VOICES, labels_of
from vvbatch.script.model import (
    Chapter,
    Pause,
    Position,
    Problem,
    Problems,
    Script,
    ScriptError,
    ScriptLine,
    ScriptTurn,
)
from vvbatch.script.rows import rows
from vvbatch.script.source import UNSPEAKABLE, Source
from vvbatch.settings import ServeSettings
from vvbatch.speech_text import lexicon
from vvbatch.voices import Library
from vvbatch.web.errors import ApiError, with_choices
from vvbatch.web.parameters import Language, Name, Seed

MAX_TURNS = 200
TITLE_CHARACTERS = 40
SPEED = 1.0


class VoiceId(Struct, frozen=True, forbid_unknown_fields=True):
    id: Name


class SpokenTurn(Struct, frozen=True, forbid_unknown_fields=True):
    """What one voice says in a dialogue."""

    voice: Name
    text: str


class SpeechRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    model: Name
    voice: Name | VoiceId
    input: str = ""
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    stream_format: Literal["audio", "sse"] = "audio"
    speed: Annotated[float, Meta(ge=0.25, le=4)] = SPEED
    instructions: str | None = None
    # What OpenAI's API does not have: `extra_body` of its SDK.
    turns: Annotated[tuple[SpokenTurn, ...], Meta(max_length=MAX_TURNS)] = ()
    voices: Annotated[tuple[Name, ...], Meta(max_length=MAX_SPEAKERS)] = ()  # of Speaker 1, 2 …
    seed: Seed | None = None
    cfg_scale: float | None = None
    steps: int | None = None
    max_duration_s: Annotated[float, Meta(gt=0, le=7200)] | None = None
    language: Language | None = None


PLACES = {
    name: Position(line, 1)
    for line, name in enumerate(
        ("input", "voice", "model", "cfg_scale", "steps", "seed", "max_duration_s", "voices"), 1
    )
}
"""Each parameter has a position, so that a problem of the plan names its parameter."""
TURNS_FROM = 100
"""The position of the first of `turns`; its voice is in column 2."""


@dataclass(frozen=True)
class Wanted:
    """A request that can be rendered: its plan and what was not followed."""

    plan: Plan
    profile: Profile
    notes: tuple[str, ...]

    @property
    def line(self) -> PlannedLine:
        return self.plan.lines[0]


def profile_named(name: str, settings: ServeSettings) -> Profile:
    """Raises ApiError for a model that is neither a profile nor mapped to one."""
    mapped = settings.models.get(name, name)
    known = profiles.names()
    if mapped not in known:
        allowed = ", ".join(dict.fromkeys([*known, *settings.models]))
        raise ApiError(400, f"unknown model {name!r}: there is {allowed}", param="model", code="model_not_found")
    return profiles.load(mapped)


def wanted_of(request: SpeechRequest, home: Home, settings: ServeSettings) -> Wanted:
    """One take, no escalation; the golden parameters unless the request says otherwise. Raises ApiError."""
    profile = profile_named(request.model, settings)
    if request.speed != SPEED:
        message = f"speed {request.speed:g}: profile {profile.name!r} speaks at speed 1 only"
        raise ApiError(400, message, param="speed", code="invalid_value")
    if bool(request.input.strip()) == bool(request.turns):
        raise ApiError(400, "give either a text as `input`, or `turns`", param="input", code="invalid_value")
    problems = Problems()
    turns, notes = turns_of(request, settings, problems)
    if request.instructions:
        notes = (*notes, "instructions are ignored: a voice is cloned as its recording speaks")
    if problems:
        raise refusal(problems)
    given = {name: getattr(request, name) for name in ("seed", "cfg_scale", "steps", "max_duration_s")}
    line = ScriptLine("speech", turns, PLACES["input"], **given, positions=PLACES)
    title = turns[0].text[:TITLE_CHARACTERS]
    script = Script(Path("speech"), "", title, profile.name, PLACES["model"], (Chapter("", (line,)),))
    overrides = Overrides(profile.name, 1, "none", language=request.language, whole_lines=True)
    try:
        plan = make_plan(script, Library.of(home), overrides, lexicon.load(home))
    except ScriptError as error:
        raise refusal(error.problems) from error
    return Wanted(plan, profile, notes)


def turns_of(
    request: SpeechRequest, settings: ServeSettings, problems: Problems
) -> tuple[tuple[ScriptTurn, ...], tuple[str, ...]]:
    """The turns of a request, and notes on what is not spoken as it is written. Adds to `problems`."""
    if request.turns:
        said = [
            Said(turn.voice, turn.voice, turn.text, Position(TURNS_FROM + n, 1), Position(TURNS_FROM + n, 2))
            for n, turn in enumerate(request.turns)
        ]
    else:
        said = said_of(request.input, voice_name(request.voice), request.voices)
    turns: list[ScriptTurn] = []
    notes: list[str] = []
    for each in said:
        texts = Texts(Source(Path("speech"), UNSPEAKABLE.sub(" ", each.text)), Problems())
        spoken = texts.read(each.text, each.speaker, "", Position(1, 1), Position(1, 1))
        problems += [replace(problem, position=each.place) for problem in texts.problems]
        notes += [f"{warning.message}; {warning.remedy}" for warning in texts.problems.warnings]
        if any(isinstance(part, Pause) for part in spoken):
            notes.append("pauses within a text are left out: they are silence between lines of a script")
        parts = [part for part in spoken if isinstance(part, ScriptTurn)]
        if parts:
            voice = settings.voices.get(each.voice, each.voice)
            written = " ".join(part.text if part.written is None else part.written for part in parts)
            text = " ".join(part.text for part in parts)
            turns.append(
                ScriptTurn(
                    each.speaker, voice, text, each.place, each.voice_place, None if written == text else written
                )
            )
    if not turns and not problems:
        problems.add(PLACES["input"], "a text with nothing to speak", "a text needs a letter or a digit")
    return tuple(turns), tuple(notes)


@dataclass(frozen=True)
class Said:
    speaker: str
    voice: str
    text: str
    place: Position
    voice_place: Position


def said_of(text: str, voice: str, voices: Sequence[str]) -> list[Said]:
    """A text as it is, or the turns of one that labels its speakers: `Speaker 1: …`, each at the start of a row.

    The first number speaks with `voice`, others with the bundled voices; `voices` names them in the order of numbers.
    """
    labels = [label for label in labels_of(text, list(rows(text))).labels if label.number is not None]
    if not labels:
        return [Said("narrator", voice, text, PLACES["input"], PLACES["voice"])]
    numbers = sorted({label.number or 0 for label in labels})
    cast = dict(zip(numbers, voices or [voice, *(name for name in VOICES if name != voice)], strict=False))
    where = PLACES["voices" if voices else "voice"]
    before = text[: labels[0].start]
    said = [Said("narrator", voice, before, PLACES["input"], PLACES["voice"])] if before.strip() else []
    for label, end in zip(labels, [*(label.start for label in labels[1:]), len(text)], strict=True):
        name = cast.get(label.number or 0, voice)
        said.append(Said(label.speaker, name, text[label.end : end], PLACES["input"], where))
    return [each for each in said if each.text.strip()]


def voice_name(voice: str | VoiceId) -> str:
    return voice.id if isinstance(voice, VoiceId) else voice


def refusal(problems: Sequence[Problem]) -> ApiError:
    """400 with every problem; the parameter is the first one's."""
    message = "; ".join(said(problem) for problem in problems)
    return ApiError(400, message, param=parameter(problems[0].position), code="invalid_value")


def said(problem: Problem) -> str:
    name = parameter(problem.position)
    found = problem.found if problem.found.startswith(f"{name} ") else f"{name}: {problem.found}"
    return f"{found}; {problem.allowed}" if problem.allowed else found


def parameter(place: Position) -> str:
    if place.line >= TURNS_FROM:
        return f"turns[{place.line - TURNS_FROM}].{'voice' if place.column == 2 else 'text'}"
    return NAMES[place.line]


NAMES: Mapping[int, str] = {place.line: name for name, place in PLACES.items()}


def read(body: bytes) -> SpeechRequest:
    """Raises msgspec.ValidationError and msgspec.DecodeError."""
    try:
        return msgspec.json.decode(body, type=SpeechRequest)
    except msgspec.ValidationError as error:
        raise with_choices(error, SpeechRequest) from error
