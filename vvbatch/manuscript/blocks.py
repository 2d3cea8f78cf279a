"""What every reader makes of a manuscript: blocks of text in the order of reading, and the table of contents."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from vvbatch.manuscript.model import Cover, Kind

INITIAL = "\ufdd0"
"""Stands behind the initial of a paragraph until it is joined to its word. No text has it: it is no character."""


MAX_BLOCKS = 300_000


class TooLong(Exception):
    """A manuscript has more than MAX_BLOCKS blocks."""


class BlockKind(StrEnum):
    PARAGRAPH = "paragraph"
    HEADING = "heading"
    BREAK = "break"  # a rule or a line of ornaments
    BLANK = "blank"  # an empty paragraph, which may be a section break


@dataclass(frozen=True)
class Block:
    kind: BlockKind
    text: str  # with single spaces
    place: str
    level: int = 0  # of a heading, from 1; 0: the title of the book
    part: int = 0  # the number of the file, or of another unit of the manuscript, that it stands in
    role: Kind | None = None  # set: it is left out unless kept
    linked: int = 0  # characters within links to other places of the manuscript
    language: str | None = None  # where it says one
    speaker: str | None = None  # where the manuscript names one


@dataclass(frozen=True)
class TocEntry:
    title: str
    depth: int  # from 1
    index: int | None  # of the block that the chapter begins with; None: only a title above others
    page: str = ""  # the file of that block


@dataclass
class Draft:
    """A manuscript as its reader found it."""

    title: str = ""
    author: str | None = None
    language: str | None = None
    cover: Cover | None = None
    blocks: list[Block] = field(default_factory=list)
    toc: list[TocEntry] = field(default_factory=list)
    voices: dict[str, str] = field(default_factory=dict)  # of the speakers that the blocks name
