"""A manuscript that was read: chapters of paragraphs, what was left out of them, and where each thing stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from vvbatch.errors import InputError
from vvbatch.script.excerpt import visible
from vvbatch.script.model import Pause

MAX_SKIPPED = 100_000
MAX_WARNINGS = 1000


class ManuscriptError(InputError):
    """A manuscript cannot be read, or is refused; the message names the file, what was found, and the remedy."""

    def __init__(self, path: Path, found: str, remedy: str) -> None:
        super().__init__(f"{visible(str(path))}: {found}; {remedy}")


class Kind(StrEnum):
    """What may be left out. Its value is the word after `--keep`."""

    TOC = "toc"
    FOOTNOTES = "footnotes"
    PAGE_NUMBERS = "page-numbers"
    COPYRIGHT = "copyright"
    CAPTIONS = "captions"
    CODE = "code"
    TITLE_PAGE = "title-page"
    TABLES = "tables"
    RUBY = "ruby"
    IMAGES = "images"
    INDEX = "index"
    AUXILIARY = "auxiliary"
    HIDDEN = "hidden"
    SOUNDS = "sounds"
    OTHER = "other"  # cannot be spoken: scripts, formulas, paragraphs of signs


KEEPABLE = tuple(kind for kind in Kind if kind is not Kind.OTHER)

REASONS: Mapping[Kind, str] = {
    Kind.TOC: "a table of contents; the chapters are in the script",
    Kind.FOOTNOTES: "a note is not part of the running text",
    Kind.PAGE_NUMBERS: "a page number is not part of the running text",
    Kind.COPYRIGHT: "a copyright page or licence",
    Kind.CAPTIONS: "a caption belongs to something that a listener cannot see",
    Kind.CODE: "a listing of code is read by eye",
    Kind.TITLE_PAGE: "a title page; title and author are at the top of the script",
    Kind.TABLES: "a table is read by eye; kept, each row is one line",
    Kind.RUBY: "readings of the characters below them; kept, they are spoken in place of these characters",
    Kind.IMAGES: "the description of a picture",
    Kind.INDEX: "an index",
    Kind.AUXILIARY: "outside the order of reading (linear=no)",
    Kind.HIDDEN: "text that readers do not see",
    Kind.SOUNDS: "a description of sounds or music in subtitles",
}


@dataclass(frozen=True)
class Skipped:
    """Something that is not in the script."""

    kind: Kind
    what: str  # with the beginning of its text
    why: str
    place: str


@dataclass(frozen=True)
class ImportWarning:
    """Something that may be wrong in the script."""

    message: str
    place: str


@dataclass(frozen=True)
class Turn:
    """What one speaker says; None: the narrator."""

    speaker: str | None
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A line of the script. Several turns are a dialogue."""

    turns: tuple[Turn, ...]


Item = Paragraph | Pause


@dataclass(frozen=True)
class Chapter:
    title: str  # empty where the manuscript has no chapters
    items: tuple[Item, ...]

    @property
    def paragraphs(self) -> list[Paragraph]:
        return [item for item in self.items if isinstance(item, Paragraph)]


@dataclass(frozen=True)
class Cover:
    data: bytes
    suffix: str  # ".jpg" or ".png"


@dataclass(frozen=True)
class Manuscript:
    title: str
    author: str | None
    language: str | None
    cover: Cover | None
    chapters: tuple[Chapter, ...]
    speakers: Mapping[str, str]  # the voice of each speaker
    skipped: tuple[Skipped, ...]
    warnings: tuple[ImportWarning, ...]


@dataclass(frozen=True)
class Options:
    keep: frozenset[Kind] = frozenset()
    quotes: str | None = None  # the voice of quoted speech
    depth: int = 2  # levels of the table of contents that are chapters


@dataclass
class Notes:
    """What a reader leaves out and warns of, in the order in which it finds it."""

    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[ImportWarning] = field(default_factory=list)

    def skip(self, kind: Kind, what: str, place: str, why: str | None = None) -> None:
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(Skipped(kind, what, why or REASONS[kind], place))

    def warn(self, message: str, place: str) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(ImportWarning(message, place))


def shown(text: str, longest: int = 60) -> str:
    """The beginning of a text, for a list."""
    text = " ".join(text.split())
    return f"“{text}”" if len(text) <= longest else f"“{text[: longest - 1].rstrip()}…”"
