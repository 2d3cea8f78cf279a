"""A parsed script: chapters of lines, each part with its position in the file; and the problems of a script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from vvbatch.errors import InputError
from vvbatch.script.excerpt import excerpt, visible

MAX_PROBLEMS = 1000
SHOWN = 50
"""The number of problems that the text of a ScriptError shows; the others are counted."""
LONGEST_PAUSE_S = 60.0
SECONDS_PER_CHARACTER = 0.065
"""Of English speech at an even pace, where nothing better is known."""

Normalise = Literal["off", "light", "full"]
"""off: as written. light: what models read wrongly, which is roman numerals after "Chapter" or a king's name, and
abbreviations before a number. full: numbers, money, dates, units and abbreviations as well.
"""


@dataclass(frozen=True)
class Position:
    """A position in a script file. Both numbers count from 1; columns count characters."""

    line: int
    column: int


@dataclass(frozen=True)
class Problem:
    """One problem of a script: what was found at a position, and what is allowed there."""

    position: Position
    found: str
    allowed: str


@dataclass(frozen=True)
class ScriptWarning:
    """Something in a script that may be a mistake. The script is rendered all the same."""

    position: Position
    code: str  # the kind of mistake, the same in every version
    message: str
    remedy: str


class Problems(list[Problem]):
    """The problems found so far, and the warnings: at most MAX_PROBLEMS of each."""

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        super().__init__(problems)
        self.warnings: list[ScriptWarning] = []

    def warn(self, position: Position, code: str, message: str, remedy: str) -> None:
        if len(self.warnings) < MAX_PROBLEMS:
            self.warnings.append(ScriptWarning(position, code, message, remedy))

    def add(self, position: Position, found: str, allowed: str) -> None:
        """Raises TooManyProblems when the list is full."""
        self.append(Problem(position, found, allowed))
        if len(self) >= MAX_PROBLEMS:
            self.append(Problem(position, f"more than {MAX_PROBLEMS} problems", "fix these first"))
            raise TooManyProblems


class Refused(Exception):
    """A value is not allowed. `found` names it, `allowed` says what is allowed instead."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(found, allowed)
        self.found, self.allowed = found, allowed


class TooManyProblems(Exception):
    """Parsing stops: there are MAX_PROBLEMS problems."""


class ScriptError(InputError):
    """All problems of one script. `str()` shows each as file:line:column with a caret under the position."""

    def __init__(self, path: Path, problems: list[Problem], source: str = "") -> None:
        self.path = path
        self.problems = sorted(problems, key=lambda problem: (problem.position.line, problem.position.column))
        self.source = source
        super().__init__(self.path, self.problems)

    def __str__(self) -> str:
        lines = self.source.split("\n")
        shown: list[str] = []
        for problem in self.problems[:SHOWN]:
            line, column = problem.position.line, problem.position.column
            shown.append(f"{visible(str(self.path))}:{line}:{column}: {problem.found}; {problem.allowed}")
            if self.source and line <= len(lines):
                shown += excerpt(lines[line - 1], column)
        if len(self.problems) > SHOWN:
            shown.append(f"… and {len(self.problems) - SHOWN} more problems")
        return "\n".join(shown)


class PauseKind(StrEnum):
    PAUSE = "pause"  # of a given length
    SECTION = "section"  # between two scenes or sections


class Role(StrEnum):
    """What a line is in its chapter."""

    LINE = "line"
    TITLE = "title"  # the chapter's title, spoken


class BreakAfter(StrEnum):
    """What ends with a line: how long the silence after it may be, unless the author gives one."""

    LINE = "line"
    PARAGRAPH = "paragraph"
    SECTION = "section"


@dataclass(frozen=True)
class Pause:
    """Silence that a script has between two lines."""

    kind: PauseKind
    seconds: float


@dataclass(frozen=True)
class ScriptTurn:
    """What one speaker says. `voice` is a name that is not resolved yet."""

    speaker: str
    voice: str
    text: str  # as it is spoken
    position: Position
    voice_position: Position
    written: str | None = None  # with single spaces and in Unicode form NFC; None if it is spoken as it is written


@dataclass(frozen=True)
class ScriptLine:
    """A unit of speech: one turn, or a dialogue of several turns that is rendered in one take."""

    id: str
    turns: tuple[ScriptTurn, ...]
    position: Position
    model: str | None = None
    seed: int | None = None
    cfg_scale: float | None = None
    steps: int | None = None
    takes: int | None = None
    escalate: str | None = None  # a profile, or `none`
    max_duration_s: float | None = None
    pause_after_s: float = 0.0  # at least the sum of `pauses`
    pauses: tuple[Pause, ...] = ()  # between this line and the next
    pause_given_s: float | None = None  # as `pause_after_s`, without the length of a section break; None: none given
    break_after: BreakAfter = BreakAfter.LINE
    role: Role = Role.LINE
    part_of: str | None = None  # of a part of a long line: the id of that line
    part: int | None = None  # its number, from 1
    divisible: bool = False  # a paragraph of plain text: may be divided at the ends of sentences
    positions: Mapping[str, Position] = field(default_factory=dict)  # of each key that the line has or inherits


@dataclass(frozen=True)
class ScriptSound:
    """An audio file among the lines of a chapter."""

    path: str  # relative to the folder of the script
    position: Position
    before: int  # index of the line that it is played before; the number of lines at the end of the chapter
    pause_after_s: float | None = None


@dataclass(frozen=True)
class Chapter:
    title: str  # empty for lines outside chapters
    lines: tuple[ScriptLine, ...]
    sounds: tuple[ScriptSound, ...] = ()


@dataclass(frozen=True)
class BookFields:
    """What a script says of the finished book. None and empty: not stated."""

    formats: tuple[str, ...] = ()
    preset: str | None = None
    narrator: str | None = None  # a person's name, for the tags
    description: str | None = None
    copyright: str | None = None
    date: str | None = None
    genre: str | None = None


@dataclass(frozen=True)
class Script:
    path: Path
    source: str  # the decoded text with \n newlines, for excerpts in later errors
    title: str
    model: str | None
    model_position: Position | None
    chapters: tuple[Chapter, ...]
    warnings: tuple[ScriptWarning, ...] = ()
    language: str | None = None  # of its texts, as a language tag: "de", "en-GB"; None: detected in each text
    author: str | None = None
    narrator: str | None = None  # a speaker; None: the script names none
    cover: str | None = None  # a picture, relative to the folder of the script
    pronounce: Mapping[str, str] = field(default_factory=dict)  # words, as they are spoken
    normalise: Normalise | None = None  # None: as the profile says
    pauses: Mapping[str, float] = field(default_factory=dict)  # seconds, by the names of vvbatch.book.pauses
    book: BookFields | None = None
    speak_titles: bool = False  # whether the titles of the chapters are spoken
