"""A parsed script: chapters of lines, each part with its position in the file; and the problems of a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vvbatch.errors import InputError
from vvbatch.script.excerpt import excerpt, visible

MAX_PROBLEMS = 1000
SHOWN = 50
"""The number of problems that the text of a ScriptError shows; the others are counted."""


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


class Problems(list[Problem]):
    """The problems found so far, at most MAX_PROBLEMS."""

    def add(self, position: Position, found: str, allowed: str) -> None:
        """Raises TooManyProblems when the list is full."""
        self.append(Problem(position, found, allowed))
        if len(self) >= MAX_PROBLEMS:
            self.append(Problem(position, f"more than {MAX_PROBLEMS} problems", "fix these first"))
            raise TooManyProblems


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


@dataclass(frozen=True)
class ScriptTurn:
    """The text of one speaker. `voice` is a name that is not resolved yet."""

    speaker: str
    voice: str
    text: str
    position: Position
    voice_position: Position


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
    pause_after_s: float = 0.0
    positions: Mapping[str, Position] = field(default_factory=dict)  # of each key that the line has or inherits


@dataclass(frozen=True)
class Chapter:
    title: str  # empty for lines outside chapters
    lines: tuple[ScriptLine, ...]


@dataclass(frozen=True)
class Script:
    path: Path
    source: str  # the decoded text with \n newlines, for excerpts in later errors
    title: str
    model: str | None
    model_position: Position | None
    chapters: tuple[Chapter, ...]
