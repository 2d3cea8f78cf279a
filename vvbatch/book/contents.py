"""What a book is made of: chapters of takes and sounds, and what its files say about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.errors import InputError, UnavailableError

RATE = SAMPLE_RATE
"""A chapter is assembled and levelled at the rate of its takes."""


class BookError(InputError):
    """A book cannot be made of what was given; the message names the thing, the value and the remedy."""


class BookExtraMissing(UnavailableError):
    """A package of the extra `book` is not installed."""


class Break(StrEnum):
    """What comes between a take and the next, as far as the text says."""

    PART = "part"  # both are parts of one line
    LINE = "line"
    PARAGRAPH = "paragraph"
    SECTION = "section"


@dataclass(frozen=True)
class Word:
    text: str
    start_s: float
    stop_s: float


@dataclass(frozen=True)
class Speech:
    """A take in the book: one line, or a part of one."""

    line: str
    path: Path  # mono PCM16 at RATE
    sha256: str
    voice: str  # a dialogue names all its voices
    text: str
    title: bool = False  # of the chapter, spoken
    break_after: Break = Break.LINE
    pause_after_s: float | None = None  # None: as `Pauses` says
    words: tuple[Word, ...] | None = None  # as they were recognised, in seconds of the take; None: nothing listened


@dataclass(frozen=True)
class Sound:
    """Audio without a speaker, such as a jingle; it is brought to the level of the speech."""

    path: Path
    sha256: str
    pause_after_s: float | None = None


Item = Speech | Sound


@dataclass(frozen=True)
class Chapter:
    number: int  # from 1
    title: str
    items: tuple[Item, ...]

    @property
    def speeches(self) -> list[Speech]:
        return [item for item in self.items if isinstance(item, Speech)]


@dataclass(frozen=True)
class About:
    """What a book's files say about it. Empty: not stated."""

    title: str
    author: str = ""
    narrator: str = ""
    language: str = ""  # a tag: "en", "de-AT"
    description: str = ""
    copyright: str = ""
    date: str = ""
    genre: str = "Audiobook"
    cover: Path | None = None


@dataclass(frozen=True)
class Span:
    """Where samples of an item lie in its chapter. All numbers count samples at RATE."""

    item: int  # index into the chapter's items
    start: int  # in the chapter
    source: int  # in the item's audio
    length: int
    fade_in: int = 0
    fade_out: int = 0

    @property
    def stop(self) -> int:
        return self.start + self.length


@dataclass(frozen=True)
class Mark:
    """A chapter of a finished file."""

    number: int
    title: str
    start_s: float
    duration_s: float

    @property
    def stop_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True)
class Cue:
    """A line in a finished book, from its first sound to its last."""

    line: str
    chapter: int
    voice: str
    text: str
    start_s: float
    stop_s: float
    words: Sequence[Word] = field(default=())


Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


def unseen(done: int, total: int) -> None:
    """The progress of what no one watches."""
