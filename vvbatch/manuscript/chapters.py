"""Where chapters begin and what they are called: by the table of contents, or by headings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from vvbatch.manuscript.blocks import Block, BlockKind, TocEntry
from vvbatch.manuscript.model import Notes
from vvbatch.script.headings import headings

LONGEST_TOGETHER = 1000  # characters of titles; whoever writes the title cuts it to 200 and says so
LEAST_ENTRIES = 2  # of a table of contents that says something
_PART = re.compile(r"(?:part|book|volume|teil|buch|band|partie|livre|tome|parte|libro|deel)\b", re.IGNORECASE)
MOST_TITLES = 3  # of parts above a chapter, that its own title follows


@dataclass(frozen=True)
class Section:
    """The blocks of a chapter without its headings. `titles` are those of the parts it begins, then its own."""

    titles: tuple[str, ...]
    blocks: tuple[Block, ...]
    place: str = ""


@dataclass(frozen=True)
class _Opening:
    index: int
    title: str
    depth: int = 0
    page: str = ""


def divided(blocks: Sequence[Block], toc: Sequence[TocEntry], depth: int, notes: Notes) -> list[Section]:
    """The chapters of a manuscript; blocks before the first one are a section without a title."""
    entries = _down_to(toc, depth)
    if sum(entry.index is not None for entry in entries) >= LEAST_ENTRIES:
        openings = _by_contents(entries)
    else:
        openings = _by_headings(blocks)
    first = openings[0].index if openings else len(blocks)
    sections = [_untitled(blocks[:first])]
    ends = [*(opening.index for opening in openings[1:]), len(blocks)][: len(openings)]
    waiting: list[str] = []
    for opening, end in zip(openings, ends, strict=True):
        own = blocks[opening.index : end]
        title, rest = _titled(opening.title, _spoken(own))
        if any(block.text for block in rest):
            sections.append(Section((*waiting[-MOST_TITLES:], title), tuple(rest), own[0].place))
            waiting = []
        elif title and any(block.text for block in own) and not any(block.role for block in own):
            waiting.append(title)
    for title in waiting:
        notes.warn(f"the title “{title}” has no text; it is left out", title)
    return [section for section in sections if any(block.text for block in section.blocks)]


def _down_to(toc: Sequence[TocEntry], depth: int) -> list[TocEntry]:
    """The entries of these levels. One without a place of its own has that of the first entry below the levels."""
    entries: list[TocEntry] = []
    for number, entry in enumerate(toc):
        if entry.depth > depth:
            continue
        if entry.index is None:
            first = _first_below(toc[number + 1 :], entry.depth)
            if first and first.depth > depth:
                entry = replace(entry, index=first.index, page=first.page)
        entries.append(entry)
    return entries


def _first_below(following: Sequence[TocEntry], depth: int) -> TocEntry | None:
    """The first entry below one of this depth that has a place."""
    for entry in following:
        if entry.depth <= depth:
            return None
        if entry.index is not None:
            return entry
    return None


def lone_title(blocks: Sequence[Block]) -> Block | None:
    """The heading that is the title of the whole manuscript: the first, if no other is of its level or above."""
    found = [block for block in blocks if block.kind is BlockKind.HEADING and block.role is None]
    if len(found) > 1 and all(block.level > found[0].level for block in found[1:]):
        return found[0]
    return None


def _spoken(blocks: Sequence[Block]) -> list[Block]:
    return [block for block in blocks if block.role is None]


def _untitled(blocks: Sequence[Block]) -> Section:
    """What stands before the first chapter: a dedication, an epigraph. Its own heading is its title."""
    spoken = _spoken(blocks)
    title, rest = _titled("", spoken)
    return Section((title,) if title else (), tuple(rest), spoken[0].place if spoken else "")


def _by_contents(entries: Sequence[TocEntry]) -> list[_Opening]:
    """Entries in the order of the text. Titles of one place, and those of a part without one, are joined."""
    placed: list[_Opening] = []
    waiting: list[str] = []
    for entry in entries:
        if entry.index is None:
            waiting.append(entry.title)
            continue
        title = together([*waiting[-MOST_TITLES:], entry.title])
        waiting = []
        placed.append(_Opening(entry.index, title, entry.depth, entry.page))
    ordered = sorted(placed, key=lambda opening: opening.index)
    merged: list[_Opening] = []
    for opening in ordered:
        if merged and merged[-1].index == opening.index:
            before = merged.pop()
            # A page without a text, such as a cover, is no chapter, unless it is that of the part above this one.
            joins = before.page == opening.page or before.depth < opening.depth
            merged.append(replace(opening, title=together([before.title, opening.title])) if joins else opening)
        else:
            merged.append(opening)
    return merged


def _by_headings(blocks: Sequence[Block]) -> list[_Opening]:
    found = [
        (index, block)
        for index, block in enumerate(blocks)
        if block.kind is BlockKind.HEADING and block.role is None and block.level
    ]
    if not found:
        return _by_texts(blocks)
    if title := lone_title(blocks):
        found = [(index, block) for index, block in found if block is not title]
    levels = _chapter_levels(blocks, found)
    openings: list[_Opening] = []
    before = -2
    for index, block in found:
        if block.level in levels:
            # Headings in a row are one title, unless the first is a part above a chapter: that has its own opening.
            if index == before + 1 and blocks[before].level == block.level:
                before = index
                continue
            openings.append(_Opening(index, ""))
            before = index
    return openings


def _chapter_levels(blocks: Sequence[Block], found: list[tuple[int, Block]]) -> set[int]:
    """The levels of headings that begin chapters: the highest that occurs more than once, and those above it; where
    these are mostly called parts, or followed by a heading of the next level at once, that one is chapters too."""
    counts: dict[int, int] = {}
    for _, block in found:
        counts[block.level] = counts.get(block.level, 0) + 1
    ordered = sorted(counts)
    top = next((level for level in ordered if counts[level] > 1), ordered[-1])
    levels = {level for level in ordered if level <= top}
    below = [level for level in ordered if level > top]
    if below:
        direct = sum(
            after == before + 1 and blocks[after].level == below[0]
            for (before, block), (after, _) in pairwise(found)
            if block.level == top
        )
        named = sum(block.level == top and bool(_PART.match(block.text)) for _, block in found)
        if max(direct, named) > counts[top] / 2 and counts[below[0]] > counts[top]:
            levels.add(below[0])
    return levels


def _by_texts(blocks: Sequence[Block]) -> list[_Opening]:
    """Paragraphs that read as headings: `Chapter 3: The Lamp`, `PROLOGUE`, numerals that count on."""
    starts: dict[int, int] = {}
    pieces: list[str] = []
    at = 0
    for index, block in enumerate(blocks):
        if block.kind is BlockKind.PARAGRAPH and block.role is None:
            starts[at] = index
            pieces.append(block.text)
            at += len(block.text) + 2
    found = headings("\n\n".join(pieces))
    return [_Opening(starts[heading.start], heading.title) for heading in found if heading.start in starts]


def _titled(title: str, blocks: list[Block]) -> tuple[str, list[Block]]:
    """The title of a chapter, and its blocks without those that say it.

    The headings that a chapter begins with are its title, unless the table of contents has more words than they. Where
    they have other words, they stay, and are spoken as text.
    """
    count = 0
    while count < len(blocks) and (
        not blocks[count].text
        or blocks[count].kind is BlockKind.HEADING
        or (title and _continues(title, _text(blocks[:count]), blocks[count]))
    ):
        count += 1
    heads = [block.text for block in blocks[:count] if block.text]
    if not heads:
        return title, blocks
    said = _joined(heads)
    if title and _words(title) == _words(said):
        return said if title.isupper() else title, blocks[count:]
    if not title or set(_words(title)) <= set(_words(said)):
        return said, blocks[count:]
    if set(_words(said)) <= set(_words(title)):
        return title, blocks[count:]
    return title, blocks


def _continues(title: str, before: str, block: Block) -> bool:
    """Whether a paragraph says the next words of the title, as in a chapter whose headings are paragraphs."""
    words, said = _words(title), _words(before)
    own = _words(block.text)
    if block.text[-1:] in ".!?" and not title.endswith(block.text[-1]):
        return False  # a sentence
    return bool(own) and words[: len(said)] == said and words[len(said) : len(said) + len(own)] == own


def _text(blocks: Sequence[Block]) -> str:
    return " ".join(block.text for block in blocks if block.text)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def together(titles: Sequence[str]) -> str:
    """`Part One` and `Chapter 1` → `Part One, Chapter 1`; `CHAPTER I.` and `The Lamp` → `CHAPTER I. The Lamp`."""
    return "".join(_separated(titles, ", "))[:LONGEST_TOGETHER]


def _joined(heads: Sequence[str]) -> str:
    """`Chapter 1` and `The Lamp` → `Chapter 1: The Lamp`."""
    return "".join(_separated(heads, ": "))


def _separated(heads: Sequence[str], mark: str) -> Iterator[str]:
    for before, head in zip(["", *heads], heads, strict=False):
        if before:
            yield " " if before[-1] in ".:!?…–—" else mark
        yield head
