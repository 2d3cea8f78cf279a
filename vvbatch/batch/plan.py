"""From a parsed script to the lines to render: looks up voices and models, checks limits, makes keys and seeds.

A line's key covers everything that its audio depends on. Lines with equal keys sound the same, so one take serves all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from vvbatch import profiles
from vvbatch.batch.book_order import NOTHING_STATED, BookOrder, book_order
from vvbatch.batch.line_request import Escalation, LineRequest, Params, VoiceUsed
from vvbatch.engine.contract import VERSIONS, Voice
from vvbatch.profiles import Profile, ProfileError, UnknownProfile
from vvbatch.qc.language import code_of, other_than, unspoken
from vvbatch.script.model import (
    BreakAfter,
    Position,
    Problem,
    Role,
    Script,
    ScriptError,
    ScriptLine,
    ScriptTurn,
    ScriptWarning,
)
from vvbatch.script.sentences import divided
from vvbatch.script.written import written_parts
from vvbatch.speech_text import lint
from vvbatch.speech_text.lexicon import Pronunciation
from vvbatch.speech_text.parts import parts_of
from vvbatch.speech_text.reading import Reading

AUDIO_FORMAT = "24 kHz mono PCM16, peak -1 dBFS, 1"
"""Part of every key: raise the number when the processing of an engine's samples changes."""
NO_ESCALATION = "none"


class LineProblems(Exception):
    """The problems of one line, collected into the script's ScriptError."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


class Voices(Protocol):
    def resolve(self, name: str) -> Voice:
        """Raises LookupError with what was found and what is allowed."""


@dataclass(frozen=True)
class PlannedLine:
    """A line ready to be rendered."""

    line: str  # the id in the script
    number: int  # place in the batch, from 1
    chapter: int  # from 1
    chapter_title: str
    profile: str
    key: str
    control_hash: str
    text: str  # as it is spoken
    request: LineRequest
    takes: int = 1
    written: str | None = None  # None if the text is spoken as it is written
    pause_after_s: float = 0.0
    escalate: Escalation | None = None  # used when no take passes its checks
    part_of: str | None = None  # of a part: the id of the line that was divided
    part: int | None = None  # its number, from 1
    role: Role = Role.LINE
    break_after: BreakAfter = BreakAfter.LINE
    pause_given_s: float | None = None
    script_line: int | None = None  # where its text begins in the script, from 1
    script_column: int | None = None


class Prompt(NamedTuple):
    """A voice that is cloned, and where the script names it first."""

    name: str
    path: Path
    position: Position


@dataclass(frozen=True)
class Plan:
    title: str
    script: str
    profile: str | None
    lines: tuple[PlannedLine, ...]
    warnings: tuple[ScriptWarning, ...] = ()
    pronounced: frozenset[str] = frozenset()  # words whose pronunciation the script or the lexicon gives
    prompts: tuple[Prompt, ...] = ()
    book: BookOrder = NOTHING_STATED

    def fingerprint(self, out: str) -> str:
        """Equal for the same lines, takes and output folder."""
        work = [
            [line.line, line.key, line.takes, *([line.escalate.key] if line.escalate else [])] for line in self.lines
        ]
        return digest([self.title, out, work, *(["keep takes"] if self.keeps_takes else [])])

    @property
    def keeps_takes(self) -> bool:
        return any(line.request.keep_takes for line in self.lines)

    def streamed(self) -> Plan:
        """The same plan, with the audio sent on while it is rendered."""
        lines = (replace(line, request=msgspec.structs.replace(line.request, stream=True)) for line in self.lines)
        return replace(self, lines=tuple(lines))

    @property
    def profiles(self) -> list[str]:
        return sorted({line.profile for line in self.lines})

    @property
    def escalations(self) -> list[str]:
        """Profiles that lines may be escalated to."""
        return sorted({line.escalate.profile for line in self.lines if line.escalate})


@dataclass(frozen=True)
class Overrides:
    """Settings of the command line for every line of a script; None leaves the choice to the script and the profile."""

    profile: str | None = None
    takes: int | None = None
    escalate: str | None = None  # a profile, or `none`
    keep_takes: bool = False
    language: str | None = None  # of the texts, as a language tag
    whole_lines: bool = False  # no line is divided


def make_plan(
    script: Script, voices: Voices, overrides: Overrides = Overrides(), lexicon: Iterable[Pronunciation] = ()
) -> Plan:
    """Plan every line of a script, with the home's lexicon. Raises ScriptError with all problems at once, and
    ProfileError for an override that names no profile."""
    for name in (overrides.profile, overrides.escalate):
        if name and name != NO_ESCALATION:
            profiles.load(name)
    language = overrides.language or script.language
    reading = Reading.of(script, lexicon, language)
    problems: list[Problem] = []
    planned: list[PlannedLine] = []
    warnings = list(script.warnings)
    prompts: dict[str, Prompt] = {}
    for number, chapter in enumerate(script.chapters, start=1):
        for line in chapter.lines:
            try:
                profile = profile_of(line, script, overrides.profile)
                parts = [line] if overrides.whole_lines else list(within_limits(line, profile, warnings))
                read = [reading.line(part, profile) for part in parts]
                planned += [
                    planned_line(
                        part,
                        Place(len(planned) + index, number, chapter.title, language),
                        profile,
                        voices,
                        overrides,
                    )
                    for index, part in enumerate(read, start=1)
                ]
            except LineProblems as error:  # of one part: the others have the same
                problems += error.problems
                continue
            warnings += unspoken_turns(read[0] if len(read) == 1 else reading.line(line, profile), profile, language)
            if profile.engine == "vibevoice":
                for part, own in zip(parts, planned[-len(parts) :], strict=True):
                    warnings += lint.of_line(part, profile.text.part_words)
                    for voice, turn in zip(own.request.voices, first_turns(part), strict=True):
                        prompts.setdefault(voice.sha256, Prompt(voice.name, Path(voice.path), turn.voice_position))
        warnings += lint.of_chapter(chapter)
    book, book_problems = book_order(script)
    problems += book_problems
    if problems:  # lines that a script's own `model` refuses have it at the same place
        raise ScriptError(script.path, list(dict.fromkeys(problems)), script.source)
    profile_name = overrides.profile or script.model
    return Plan(
        title=script.title,
        script=str(script.path),
        profile=profile_name,
        lines=tuple(planned),
        warnings=tuple(warnings),
        pronounced=reading.words,
        prompts=tuple(prompts.values()),
        book=book,
    )


def first_turns(line: ScriptLine) -> list[ScriptTurn]:
    """The first turn of each speaker, in the order of the request's voices."""
    first: dict[str, ScriptTurn] = {}
    for turn in line.turns:
        first.setdefault(turn.speaker, turn)
    return list(first.values())


class Place(NamedTuple):
    """Of a line in its batch, and what it has from its script."""

    number: int
    chapter: int
    chapter_title: str
    language: str | None


def planned_line(line: ScriptLine, place: Place, profile: Profile, voices: Voices, overrides: Overrides) -> PlannedLine:
    """A line, or a part of one, ready to be rendered. Raises LineProblems."""
    takes = overrides.takes or line.takes or profile.takes
    request = request_of(line, profile, voices, takes)
    keep_takes = overrides.keep_takes or profile.keep_takes
    return PlannedLine(
        line=line.id,
        number=place.number,
        chapter=place.chapter,
        chapter_title=place.chapter_title,
        profile=profile.name,
        key=line_key(request, profile, takes),
        control_hash=control_hash(profile, request.params),
        text=" ".join(turn.text for turn in line.turns),
        request=msgspec.structs.replace(request, keep_takes=keep_takes, language=place.language),
        takes=takes,
        written=written_of(line),
        pause_after_s=line.pause_after_s,
        escalate=escalation_of(line, profile, voices, overrides),
        part_of=line.part_of,
        part=line.part,
        role=line.role,
        break_after=line.break_after,
        pause_given_s=line.pause_given_s,
        script_line=line.turns[0].position.line,
        script_column=line.turns[0].position.column,
    )


def written_of(line: ScriptLine) -> str | None:
    """The texts of the line's turns as the author wrote them; None if all are spoken as they are written."""
    if all(turn.written is None for turn in line.turns):
        return None
    return " ".join(turn.text if turn.written is None else turn.written for turn in line.turns)


def unspoken_turns(line: ScriptLine, profile: Profile, language: str | None) -> Iterator[ScriptWarning]:
    """A warning for each turn that the profile's voices cannot speak, or that is not in the script's language."""
    for turn in line.turns:
        if what := unspoken(turn.text, profile.languages, language):
            message = f"line {line.id!r}: {what}, which the voices of profile {profile.name!r} cannot speak"
            remedy = f"they speak {', '.join(profile.languages)}: translate it, or choose another profile"
            yield ScriptWarning(turn.position, "language", message, remedy)
        elif language and (other := other_than(turn.text, code_of(language))):
            message = f"line {line.id!r}: a text in the language {other!r}, in a script in {language!r}"
            remedy = "translate it, or put it into a script of its own with its language and a voice that speaks it"
            yield ScriptWarning(turn.position, "other-language", message, remedy)


def within_limits(line: ScriptLine, profile: Profile, warnings: list[ScriptWarning]) -> Iterator[ScriptLine]:
    """The line, or its parts where the profile has `part_words`.

    Where it has none, a paragraph of plain text that is too long for the profile is divided, with a warning.
    """
    if profile.text.part_words:
        yield from parts_of(line, profile.text)
        return
    turn, longest = line.turns[0], profile.text.max_chars
    texts = divided(turn.text, longest) if line.divisible and len(turn.text) > longest else None
    if not texts:
        yield line
        return
    message = f"a paragraph of {len(turn.text):,} characters is divided into {len(texts)} lines at ends of sentences"
    remedy = f"divide it with blank lines where it may pause: a line has at most {longest:,} characters"
    warnings.append(ScriptWarning(turn.position, "divided", message, remedy))
    of_each = texts if turn.written is None else written_parts(texts, turn.written)
    for number, (text, written) in enumerate(zip(texts, of_each, strict=True), start=1):
        last = number == len(texts)
        yield replace(
            line,
            id=line.id if number == 1 else f"{line.id}-part-{number}",
            turns=(replace(turn, text=text, written=None if written == text else written),),
            pause_after_s=line.pause_after_s if last else 0.0,
            pauses=line.pauses if last else (),
            pause_given_s=line.pause_given_s if last else None,
            break_after=line.break_after if last else BreakAfter.LINE,
        )


def profile_of(line: ScriptLine, script: Script, override: str | None) -> Profile:
    name = override or line.model or script.model or "draft"
    return profile_at(line.positions.get("model") or script.model_position or line.position, name)


def profile_at(place: Position, name: str) -> Profile:
    """Raises LineProblems for a name that no profile has, and for a profile that cannot be used."""
    try:
        return profiles.load(name)
    except UnknownProfile as error:
        raise LineProblems([Problem(place, error.found, error.allowed)]) from error
    except ProfileError as error:
        raise LineProblems([Problem(place, str(error), "correct the profile")]) from error


def escalation_of(line: ScriptLine, profile: Profile, voices: Voices, overrides: Overrides) -> Escalation | None:
    """The line as the profile that it may be escalated to would render it. Raises LineProblems."""
    name = overrides.escalate or line.escalate or profile.escalate
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
    takes = overrides.takes or line.takes or other.takes
    request = request_of(line, other, voices, takes)
    key = line_key(request, other, takes)
    return Escalation(other.name, key, control_hash(other, request.params), takes, request.seed, request.params)


def request_of(line: ScriptLine, profile: Profile, voices: Voices, takes: int) -> LineRequest:
    """The line's request for this profile. Raises LineProblems.

    A seed that the script does not give is made from everything else, so that an equal line has an equal key.
    """
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
    values: dict[str, float] = {}
    golden = True
    for name in ("cfg_scale", "steps", "temperature"):
        setting = getattr(profile.generation, name)
        given = getattr(line, name, None)
        value = values[name] = setting.golden if given is None else given
        golden &= value == setting.golden
        if not setting.min <= value <= setting.max:
            place: Position = line.positions.get(name, line.position)
            allowed = f"{setting.min:g} to {setting.max:g} with model {profile.name} (golden: {setting.golden:g})"
            problems.append(Problem(place, f"{name} {value:g}", allowed))
    if problems:
        raise LineProblems(problems)
    request = LineRequest(
        turns=tuple((speakers.index(turn.speaker), turn.text) for turn in line.turns),
        speakers=tuple(speakers),
        voices=tuple(map(VoiceUsed.of, cast)),
        seed=line.seed or 0,
        params=Params(
            cfg_scale=float(values["cfg_scale"]),
            steps=int(values["steps"]),
            temperature=float(values["temperature"]),
            max_duration_s=line.max_duration_s,
            golden=golden,
        ),
    )
    if line.seed is not None:
        return request
    made = digest([line_key(request, profile, takes, seeded=False), "seed"])
    return msgspec.structs.replace(request, seed=int(made[:8], 16))


def line_key(request: LineRequest, profile: Profile, takes: int, *, seeded: bool = True) -> str:
    """sha256 over everything that the line's audio depends on; without its seed unless `seeded`."""
    draft = profile.engine == "draft"  # one voice, which speaks as each of the library's
    return digest(
        [
            AUDIO_FORMAT,
            request.turns,
            [[voice.sha256, voice.rate, voice.pitch] if draft else [voice.sha256] for voice in request.voices],
            request.seed if seeded else None,
            takes,
            control_hash(profile, request.params),
        ]
    )


def control_hash(profile: Profile, params: Params) -> str:
    """sha256 over the whole parameter surface: engine and its version, model, device, dtype and every generation
    parameter. Slots, threads and the kind of CPU may change the last bits of a take, but are no part of it."""
    values = {name: value for name, value in msgspec.structs.asdict(params).items() if name != "golden"}
    surface = [profile.engine, VERSIONS[profile.engine], msgspec.to_builtins(profile.model), profile.device]
    surface += [profile.dtype, profile.generation.voice_seed]
    return digest([*surface, sorted(values.items())])


def seed_of_take(seed: int, number: int) -> int:
    """The seed of a line's take: the line's own first, then ones derived from it."""
    return seed if number == 0 else int(digest([seed, number])[:8], 16)


def seeds_from(seed: int, rolls: int, rejected: Collection[int]) -> Iterator[tuple[int, int]]:
    """The seeds of a line's next takes without the rejected ones, each with the `rolls` that stand after it."""
    return ((n + 1, each) for n in count(rolls) if (each := seed_of_take(seed, n)) not in rejected)


def digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
