"""Scripts in YAML: version 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from vvbatch.book.codecs import FORMATS, TEXT_FORMATS
from vvbatch.book.pauses import Pauses
from vvbatch.script.fields import (
    DEFAULT_VOICE,
    MAX_LINES,
    MAX_SPEAKERS,
    NARRATOR,
    RANGES,
    READERS,
    Given,
    author,
    choices,
    description,
    did_you_mean,
    file_name,
    flag,
    language,
    name,
    normalise,
    pause_length,
    quoted,
    title,
    word,
)
from vvbatch.script.items import Item, PauseItem, SoundItem, Spoken, Texts, chapters_of, lines_of
from vvbatch.script.markup import SECTION, timed
from vvbatch.script.model import (
    BookFields,
    Chapter,
    Pause,
    Position,
    Problems,
    Refused,
    Role,
    Script,
    ScriptLine,
    ScriptTurn,
)
from vvbatch.script.nodes import CUT, Broken, Fields, Items, Node, Scalar, read_nodes
from vvbatch.script.source import Source
from vvbatch.script.speech import Said, speech_of

T = TypeVar("T")

SCRIPT_KEYS = (
    "version",
    "title",
    "author",
    "narrator",
    "language",
    "cover",
    "speak_titles",
    "pronounce",
    "normalise",
    "pauses",
    "book",
    "model",
    "defaults",
    "speakers",
    "chapters",
    "lines",
)
FLAGS = ("speak_titles",)
ABOUT: Mapping[str, Callable[[str], Any]] = {
    "author": author,
    "normalise": normalise,
    "cover": file_name,
    **{key: flag(key) for key in FLAGS},
}
"""What a script says of itself: each is a field of `Script`."""
PAUSE_NAMES = Pauses.__struct_fields__
BOOK_TEXTS: Mapping[str, Callable[[str], str]] = {
    "preset": name("preset"),
    "narrator": author,
    "description": description,
    "copyright": author,
    "date": name("date"),
    "genre": name("genre"),
}
SOUND = "sound"
DEFAULTS_KEYS = ("voice", "escalate", *(key for key in RANGES if key != "seed"))
LINE_KEYS = ("text", "dialogue", *READERS)


def read(source: Source, problems: Problems) -> Script:
    """Parse the script as far as possible and add to `problems`. Lines without an id have an empty one."""
    return read_tree(source, read_nodes(source, problems), problems)


def read_tree(source: Source, root: Node, problems: Problems) -> Script:
    """`read` for a document that is already parsed."""
    return _Reader(source, problems).script(root)


@dataclass
class _Reader:
    source: Source
    problems: Problems
    defaults: Given = field(default_factory=dict)
    voices: dict[str, tuple[str, Position | None]] = field(default_factory=dict)  # by speaker
    narrator: str = NARRATOR  # who speaks the lines without a speaker
    narrates: bool = False  # whether there is such a line
    line_count: int = 0

    @property
    def texts(self) -> Texts:
        return Texts(self.source, self.problems)

    def script(self, root: Node) -> Script:
        pairs = self.pairs(root, "the script", SCRIPT_KEYS, required=("version",))
        if "version" in pairs:
            self.value(pairs["version"], "version", _version)
        script_title = self.value(pairs["title"], "title", title) if "title" in pairs else None
        model = self.value(pairs["model"], "model", name("model")) if "model" in pairs else None
        spoken = self.value(pairs["language"], "language", language) if "language" in pairs else None
        if "defaults" in pairs:
            self.defaults = self.given(self.pairs(pairs["defaults"], "defaults", DEFAULTS_KEYS))
        default_voice = self.defaults.pop("voice", None)
        self.voices[NARRATOR] = default_voice or (DEFAULT_VOICE, None)
        if "speakers" in pairs:
            self.speakers(pairs["speakers"])
        if "narrator" in pairs:
            self.narrator = self.narrator_of(pairs["narrator"], default_voice)
        about = {key: self.value(pairs[key], key, read) for key, read in ABOUT.items() if key in pairs}
        pauses = self.pauses(pairs["pauses"]) if "pauses" in pairs else {}
        book = self.book(pairs["book"]) if "book" in pairs else None
        if "chapters" in pairs and "lines" in pairs:
            self.problem(pairs["lines"].position, "both chapters and lines", "put the lines into the chapters")
        elif isinstance(root, Fields) and "chapters" not in pairs and "lines" not in pairs:
            self.problem(root.position, "neither chapters nor lines", "a script has one of them")
        nodes = self.items(pairs.get("chapters"), "chapters")
        drafts = [self.chapter(node) for node in nodes]
        if about.get("speak_titles"):
            drafts = [
                (raw, [*self.spoken_title(raw, node), *items]) for (raw, items), node in zip(drafts, nodes, strict=True)
            ]
        if "lines" in pairs:
            drafts.append(("", self.lines(pairs["lines"])))
        chapters = chapters_of(drafts, self.problems)
        model_position = pairs["model"].position if "model" in pairs else None
        script = Script(self.source.path, self.source.text, script_title or "", model, model_position, chapters)
        script = replace(script, pauses=pauses, book=book)
        script = replace(script, language=spoken, narrator=self.narrator if "narrator" in pairs else None)
        if "pronounce" in pairs:
            script = replace(script, pronounce=self.pronunciations(pairs["pronounce"]))
        self.warn_of_silent_speakers(chapters)
        return replace(script, **{key: value for key, value in about.items() if value is not None})

    def pauses(self, node: Node) -> dict[str, float]:
        pairs = self.pairs(node, "pauses", PAUSE_NAMES)
        found = {key: self.value(value, f"pause {key}", pause_length) for key, value in pairs.items()}
        return {key: seconds for key, seconds in found.items() if seconds is not None}

    def book(self, node: Node) -> BookFields:
        pairs = self.pairs(node, "book", ("formats", *BOOK_TEXTS))
        texts = {key: self.value(pairs[key], key, read) for key, read in BOOK_TEXTS.items() if key in pairs}
        return BookFields(self.formats(pairs["formats"]) if "formats" in pairs else (), **texts)

    def formats(self, node: Node) -> tuple[str, ...]:
        """A list, or one text with commas."""
        found = []
        for item in node.items if isinstance(node, Items) else [node]:
            given = self.value(item, "format", str) or ""
            for each in filter(None, (part.strip() for part in given.split(","))):
                known = (*FORMATS, *TEXT_FORMATS)
                if each in known:
                    found.append(each)
                else:
                    self.problem(
                        item.position, f"book format {quoted(each)}{did_you_mean(each, known)}", choices(known)
                    )
        return tuple(found)

    def speakers(self, node: Node) -> None:
        pairs = self.mapping(node, "speakers")
        first: dict[str, str] = {NARRATOR: NARRATOR}
        seen = set()
        for key, value in pairs:
            speaker = self.value(key, "speaker", name("speaker"))
            if isinstance(value, Fields):
                value = self.pairs(value, "a speaker", ("voice",), required=("voice",)).get(
                    "voice", Broken(value.position)
                )
            voice = self.value(value, "voice", name("voice"))
            if speaker is None:
                continue
            if speaker in LINE_KEYS:
                self.problem(key.position, f"a speaker named {speaker!r}", "choose a name that is not a key of a line")
            other = first.setdefault(speaker.casefold(), speaker)
            if other != speaker or speaker in seen:
                found = f"speaker {speaker!r} again" if other == speaker else f"speaker {speaker!r} next to {other!r}"
                self.problem(key.position, found, "use one spelling of each name, once")
            seen.add(speaker)
            self.voices[speaker] = voice or DEFAULT_VOICE, value.position

    def pronunciations(self, node: Node) -> dict[str, str]:
        says: dict[str, str] = {}
        for key, value in self.mapping(node, "pronounce"):
            written = self.value(key, "a word", word("word"))
            say = self.value(value, "a pronunciation", word("pronunciation"))
            if written is not None and say is not None:
                says[written] = say
        return says

    def warn_of_silent_speakers(self, chapters: Iterable[Chapter]) -> None:
        speaking = {turn.speaker for chapter in chapters for line in chapter.lines for turn in line.turns}
        for speaker, (_, position) in self.voices.items():
            if position and speaker not in speaking and speaker != NARRATOR:
                remedy = "take it out, or check the names before the texts"
                self.problems.warn(position, "unused-speaker", f"speaker {speaker!r} speaks no line", remedy)

    def chapter(self, node: Node) -> tuple[str, list[Item]]:
        pairs = self.pairs(node, "a chapter", ("title", "lines"), required=("title", "lines"))
        chapter_title = self.value(pairs["title"], "title", title) if "title" in pairs else None
        return chapter_title or "", self.lines(pairs["lines"]) if "lines" in pairs else []

    def narrator_of(self, node: Node, default_voice: tuple[str, Position] | None) -> str:
        """The speaker whom the script names as narrator; NARRATOR if there is a problem."""
        speaker = self.value(node, "narrator", name("narrator"))
        if speaker is None or not self.known(speaker, node.position):
            return NARRATOR
        if default_voice and speaker != NARRATOR:
            found = f"both a narrator and the default voice {default_voice[0]!r}"
            self.problem(node.position, found, f"leave out one of them: {speaker!r} has a voice of its own")
        return speaker

    def title_speaker(self) -> str:
        """Who speaks the titles: the narrator, or the first speaker in a script in which no line is the narrator's."""
        declared = [speaker for speaker in self.voices if speaker != NARRATOR]
        if self.narrator != NARRATOR or self.narrates or self.voices[NARRATOR][1] or not declared:
            return self.narrator
        return declared[0]

    def spoken_title(self, raw: str, node: Node) -> list[Item]:
        """The chapter's title as a line of the narrator; none if there is nothing to speak, with a warning."""
        place = next((value.position for key, value in _pairs(node) if key.raw == "title"), node.position)
        try:
            said = [part.spoken for part in speech_of(raw).parts if isinstance(part, Said)] if raw else []
        except Refused:
            said = []
        if not said:
            if raw:
                message = f"the title {quoted(raw)} has nothing to speak; it is left out"
                self.problems.warn(place, "title", message, "write a title with a letter or a digit")
            return []
        speaker = self.title_speaker()
        voice, voice_position = self.voices[speaker]
        text = " ".join(said)
        turn = ScriptTurn(speaker, voice, text, place, voice_position or place, None if text == raw else raw)
        given = {key: value for key, value in self.defaults.items() if key != "pause_after_s"}
        lines = lines_of([turn], place, given)
        return [replace(line, role=Role.TITLE) for line in lines if isinstance(line, ScriptLine)]

    def lines(self, node: Node) -> list[Item]:
        lines: list[Item] = []
        for item in self.items(node, "lines"):
            self.line_count += 1
            if self.line_count > MAX_LINES:
                if self.line_count == MAX_LINES + 1:
                    self.problem(item.position, f"more than {MAX_LINES} lines", "split the script")
                break
            lines += self.line(item)
        return lines

    def line(self, node: Node) -> list[Item]:
        if not isinstance(node, Fields) or self.is_short(node):
            if (
                isinstance(node, Fields)
                and (key := node.pairs[0][0].raw) in (*PAUSE_ITEMS, SOUND)
                and key not in self.voices
            ):
                if key == SOUND:
                    path = self.value(node.pairs[0][1], key, file_name)
                    return [SoundItem(path, node.pairs[0][1].position)] if path else []
                pause = self.value(node.pairs[0][1], key, PAUSE_ITEMS[key])
                return [PauseItem(pause, node.position)] if pause else []
            return lines_of(self.turn(node, "a line"), node.position, self.defaults)
        pairs = self.pairs(node, "a line", LINE_KEYS)
        own = self.given({key: value for key, value in pairs.items() if key in READERS})
        given = self.defaults | own
        if "dialogue" in pairs:
            for key in ("text", "speaker", "voice"):
                if key in pairs:
                    allowed = "each turn of a dialogue is `speaker: text`, in the speaker's voice"
                    self.problem(pairs[key].position, f"both dialogue and {key}", allowed)
            return lines_of(self.dialogue(pairs["dialogue"]), node.position, given)
        if "text" not in pairs:
            if len(pairs) == len(node.pairs):  # otherwise an unknown key has been reported
                self.problem(node.position, "a line without text", "a line has text or dialogue")
            return []
        speaker, at = own.get("speaker", (self.narrator, node.position))
        self.narrates |= "speaker" not in own
        if "speaker" in own and not self.known(speaker, at):
            return []
        return lines_of(self.spoken(pairs["text"], speaker, own.get("voice")), node.position, given)

    def dialogue(self, node: Node) -> Spoken:
        spoken: Spoken = []
        speakers: set[str] = set()
        for item in self.items(node, "dialogue"):
            turns = self.turn(item, "a turn")
            spoken += turns
            for speaker in {turn.speaker for turn in turns if not isinstance(turn, Pause)} - speakers:
                if len(speakers) == MAX_SPEAKERS:
                    found = f"{speaker!r}, the fifth speaker of a dialogue"
                    self.problem(item.position, found, f"at most {MAX_SPEAKERS} different speakers")
                speakers.add(speaker)
        return spoken

    def is_short(self, node: Fields) -> bool:
        """Whether the mapping is `speaker: text`; the speaker may be unknown."""
        return len(node.pairs) == 1 and node.pairs[0][0].raw not in LINE_KEYS

    def turn(self, node: Node, what: str) -> Spoken:
        """A text of the narrator, or `speaker: text`; empty if there is a problem."""
        if isinstance(node, Fields):
            if not self.is_short(node):
                self.problem(node.position, f"a mapping as {what}", f"{what} is text or `speaker: text`")
                return []
            key, content = node.pairs[0]
            speaker = self.value(key, "speaker", name("speaker"))
            return self.spoken(content, speaker) if speaker and self.known(speaker, key.position, a_key=True) else []
        if isinstance(node, Items):
            self.problem(
                node.position, f"a list as {what}", f"{what} is text or `speaker: text`; put a text with [ in quotes"
            )
            return []
        self.narrates = True
        return self.spoken(node, self.narrator)

    def spoken(self, node: Node, speaker: str, voice: tuple[str, Position] | None = None) -> Spoken:
        content = self.value(node, "text", str)
        if content is None:
            return []
        voice_name, voice_position = voice or self.voices[speaker]
        length = node.length if isinstance(node, Scalar) else 0
        return self.texts.read(content, speaker, voice_name, node.position, voice_position or node.position, length)

    def known(self, speaker: str, position: Position, a_key: bool = False) -> bool:
        if speaker in self.voices:
            return True
        sentence = "; put a sentence with a colon in quotes" if a_key else ""
        found = f"unknown speaker {quoted(speaker)}{did_you_mean(speaker, self.voices)}"
        self.problem(position, found, choices(self.voices) + sentence)
        return False

    def given(self, pairs: dict[str, Node]) -> Given:
        """The values and positions of the fields in READERS; invalid ones are left out."""
        values = {key: self.value(node, key, READERS[key]) for key, node in pairs.items()}
        return {key: (value, pairs[key].position) for key, value in values.items() if value is not None}

    def value(self, node: Node, what: str, read: Callable[[str], T]) -> T | None:
        if isinstance(node, Broken):
            return None
        if not isinstance(node, Scalar):
            self.problem(node.position, f"{_kind(node)} as {what}", f"{what} is a single value")
        elif node.cut and what in ("text", "title", "author", "speaker"):
            self.problem(node.cut, *CUT)
        elif node.nothing:
            self.problem(node.position, f"no {what}", "give one; to speak the word null or ~, put it in quotes")
        elif not node.plain and what in (*RANGES, "version"):
            self.problem(node.position, f"{what} in quotes", "write a number without quotes")
        elif not node.plain and what in FLAGS:
            self.problem(node.position, f"{what} in quotes", "write true or false without quotes")
        else:
            try:
                return read(node.raw)
            except Refused as refused:
                self.problem(node.position, refused.found, refused.allowed)
        return None

    def items(self, node: Node | None, what: str) -> list[Node]:
        if isinstance(node, Items):
            if not node.items:
                self.problem(node.position, f"empty {what}", f"{what} is a list with one item or more")
            return node.items
        if node and not isinstance(node, Broken):
            self.problem(node.position, f"{_kind(node)} as {what}", f"{what} is a list; begin each item with `- `")
        return []

    def mapping(self, node: Node, what: str) -> list[tuple[Scalar, Node]]:
        """The keys and values. A repeated key is a problem; its first value counts."""
        if not isinstance(node, Fields):
            if isinstance(node, Scalar) and node.cut:  # `mara #1: alice` is the text `mara`
                self.problem(node.cut, *CUT)
            elif not isinstance(node, Broken):
                self.problem(node.position, f"{_kind(node)} as {what}", f"{what} is a mapping, `key: value`")
            return []
        pairs: dict[str, tuple[Scalar, Node]] = {}
        for key, value in node.pairs:
            first, _ = pairs.setdefault(key.raw, (key, value))
            if first is not key:
                at = f"{first.position.line}:{first.position.column}"
                self.problem(key.position, f"the key {quoted(key.raw)} again, first at {at}", "use each key once")
        return list(pairs.values())

    def pairs(self, node: Node, what: str, keys: Iterable[str], required: Iterable[str] = ()) -> dict[str, Node]:
        """The values of the mapping by key. Unknown and missing keys are problems."""
        keys = tuple(keys)
        pairs: dict[str, Node] = {}
        for key, value in self.mapping(node, what):
            if key.raw in keys:
                pairs[key.raw] = value
            else:
                speaker = "; write speaker: … and text: …" if key.raw in self.voices and "text" in keys else ""
                found = f"unknown key {quoted(key.raw)} in {what}{did_you_mean(key.raw, keys)}"
                self.problem(key.position, found, choices(keys) + speaker)
        if isinstance(node, Fields):
            for key_name in required:
                if key_name not in pairs:
                    self.problem(node.position, f"{what} without {key_name}", f"{what} has {' and '.join(required)}")
        return pairs

    def problem(self, position: Position, found: str, allowed: str) -> None:
        self.problems.add(position, found, allowed)


def _break(raw: str) -> Pause:
    if raw != "section":
        raise Refused(f"break {quoted(raw)}", "allowed: section")
    return SECTION


PAUSE_ITEMS: Mapping[str, Callable[[str], Pause]] = {"pause": timed, "break": _break}
"""`- pause: 1.5` and `- break: section` among lines; a speaker of that name wins."""


def _kind(node: Scalar | Items | Fields) -> str:
    if isinstance(node, Scalar):
        return "nothing" if node.nothing else quoted(node.raw)
    return "a list" if isinstance(node, Items) else "a mapping"


def _pairs(node: Node) -> list[tuple[Scalar, Node]]:
    return node.pairs if isinstance(node, Fields) else []


def _version(raw: str) -> int:
    if raw != "1":
        raise Refused(f"version {quoted(raw)}", "allowed: 1")
    return 1
