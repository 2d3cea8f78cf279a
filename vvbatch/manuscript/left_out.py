"""Parts of a manuscript that do not say what they are: page numbers, copyright pages, pages of links, an index."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace
from itertools import groupby

from vvbatch.manuscript.blocks import Block, BlockKind
from vvbatch.manuscript.model import Kind, Notes, shown

PAGE = re.compile(
    r"[\[({]?\s*(?:pages?|pg\.?|p\.|seite|página|pagina)\s*(?P<a>[0-9]{1,4})\s*[\])}]?|[-–—]\s*(?P<b>[0-9]{1,4})\s*[-–—]",
    re.I,
)
_NUMBER = re.compile(r"[0-9]{1,4}")
_SENTENCE_ENDS = tuple(".!?…:”’\"'»")
LEAST_PAGES = 3  # bare numbers that count on

_STRONG = (
    r"©|\(c\) ?(?:19|20)[0-9]{2}|\bcopyright,? (?:©|\(c\)|by |(?:19|20)[0-9]{2})",
    r"\ball rights reserved\b|\balle rechte vorbehalten\b|\btous droits r[ée]serv[ée]s\b"
    r"|\btodos los derechos reservados\b",
    r"\bisbn(?:-1[03])?:?\s*[0-9][0-9xX‑–-]{8,}|\beisbn\b",
    r"\bno part of this\b|\bpublic domain\b|\blibrary of congress\b|\bcataloguing\b",
)
_WEAK = (
    r"\bpublished (?:by|in)\b|\bfirst (?:published|edition|printing)\b|\bpublisher\b|\bverlag\b",
    r"\bwithout (?:the )?(?:prior )?(?:written )?permission\b|\breproduced\b|\bcopyright\b|\blicen[cs]e\b",
    r"\btrademarks?\b|\bmoral rights?\b",
    r"\bprinted (?:and bound )?in\b|\btypeset\b|\bcover (?:design|art)\b",
    r"\bwork of fiction\b.{0,300}\b(?:coincidental|imagination)\b",
)
_STRONG_SIGNS, _WEAK_SIGNS = (
    [re.compile(sign, re.IGNORECASE | re.DOTALL) for sign in signs] for signs in (_STRONG, _WEAK)
)
LONGEST_COPYRIGHT, LONGEST_DOUBTFUL = 6000, 2000  # characters
CONTENTS = re.compile(
    r"(?:table of )?contents|inhalt(?:sverzeichnis)?|sommaire|table des mati[èe]res|[íi]ndice|indice|inhoud|sumario"
    r"|содержание|目次|目录",
    re.IGNORECASE,
)
_LEADER = re.compile(r"(?:[.·…_]\s?){2,}\s*[0-9ivxlc]{1,4}\s*$|\s[0-9]{1,4}$", re.IGNORECASE)
GUTENBERG = re.compile(r"\*{3}\s*(START|END) OF (?:THE|THIS) PROJECT GUTENBERG.*", re.IGNORECASE)


def marked(blocks: Sequence[Block], about: str = "") -> list[Block]:
    """As many blocks, with a role for those that belong to such a part. `about`: the title and the author."""
    names = set(_words(about))
    found = [*_gutenberg([*_numbers(blocks)])]
    return [block for section in _sections(found) for block in _of_section(section, names)]


def rejoined(blocks: Sequence[Block], keep: frozenset[Kind]) -> list[Block]:
    """As many blocks; a sentence that a page number divided into two paragraphs is one again, the second empty."""
    done = list(blocks)
    if Kind.PAGE_NUMBERS in keep:
        return done
    for index in range(2, len(done)):
        first, page, second = done[index - 2 : index + 1]
        divided = page.role is Kind.PAGE_NUMBERS and _plain(first) and _plain(second)
        if divided and second.text[:1].islower() and first.text[-1:] not in _SENTENCE_ENDS:
            done[index] = replace(first, text=f"{first.text} {second.text}")
            done[index - 2] = replace(first, text="")
    return done


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def report(blocks: Sequence[Block], keep: frozenset[Kind], notes: Notes) -> None:
    """List what is left out: each note, caption and table; pages as a whole."""
    left = [block for block in blocks if block.role and block.role not in keep and block.text]
    for (role, _), group in groupby(left, lambda block: (block.role, block.part)):
        several = list(group)
        assert role
        if role in (Kind.FOOTNOTES, Kind.CAPTIONS, Kind.HIDDEN, Kind.PAGE_NUMBERS):
            name = {Kind.FOOTNOTES: "a note", Kind.CAPTIONS: "a caption", Kind.PAGE_NUMBERS: "a page number"}
            for block in several:
                notes.skip(role, f"{name.get(role, role.value)}: {shown(block.text)}", block.place)
        else:
            characters = sum(len(block.text) for block in several)
            what = f"{role.value.replace('-', ' ')}, {characters:,} characters: {shown(several[0].text)}"
            notes.skip(role, what, several[0].place)


def _numbers(blocks: Sequence[Block]) -> Iterator[Block]:
    """Paragraphs that are page numbers: `[Pg 12]`, `- 12 -`, and bare numbers that count on from any page but 1."""
    bare = [int(block.text) for block in blocks if _plain(block) and _NUMBER.fullmatch(block.text)]
    count_on = len(bare) >= LEAST_PAGES and bare[0] > 1 and bare == list(range(bare[0], bare[0] + len(bare)))
    for block in blocks:
        is_page = _plain(block) and (
            PAGE.fullmatch(block.text) or (count_on and _NUMBER.fullmatch(block.text) is not None)
        )
        yield replace(block, role=Kind.PAGE_NUMBERS) if is_page else block


def _plain(block: Block) -> bool:
    return block.kind is BlockKind.PARAGRAPH and block.role is None


def _gutenberg(blocks: Sequence[Block]) -> Iterator[Block]:
    """What stands before and after the text of a Project Gutenberg book is its licence."""
    marks = {found[1].upper(): index for index, block in enumerate(blocks) if (found := GUTENBERG.match(block.text))}
    start, end = marks.get("START", -1), marks.get("END", len(blocks))
    for index, block in enumerate(blocks):
        outside = index <= start or index >= end
        yield replace(block, role=block.role or Kind.COPYRIGHT) if outside else block


def _sections(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Runs of blocks of one file that begin with a heading."""
    section: list[Block] = []
    for block in blocks:
        new = block.part != section[-1].part if section else False
        heads = block.kind is BlockKind.HEADING and any(each.kind is not BlockKind.HEADING for each in section)
        if new or heads:
            yield section
            section = []
        section.append(block)
    if section:
        yield section


def _of_section(section: list[Block], names: Set[str]) -> Iterator[Block]:
    tests: tuple[tuple[Kind, Callable[[list[Block]], bool]], ...] = (
        (Kind.TOC, _is_contents),
        (Kind.COPYRIGHT, _is_copyright),
        (Kind.TITLE_PAGE, lambda blocks: _is_title_page(blocks, names)),
    )
    spoken = [block for block in section if block.role is None]
    role = next((kind for kind, test in tests if spoken and test(spoken)), None)
    for block in section:
        yield replace(block, role=role) if role and not block.role else block


def _is_contents(section: list[Block]) -> bool:
    """Links only, or rows that end in page numbers below `Contents`."""
    rows = [block for block in section if block.kind is BlockKind.PARAGRAPH]
    characters = sum(len(block.text) for block in rows)
    if len(rows) >= 3 and sum(block.linked for block in rows) > 0.8 * characters:
        return True
    titled = any(CONTENTS.fullmatch(block.text.strip(" .:")) for block in section[:2])
    ended = sum(bool(_LEADER.search(block.text)) for block in rows)
    return titled and (ended > len(rows) / 2 or sum(block.linked for block in rows) > characters / 2)


def _is_copyright(section: list[Block]) -> bool:
    text = "\n".join(block.text for block in section)
    if len(text) > LONGEST_COPYRIGHT:
        return False
    strong, weak = (sum(bool(sign.search(text)) for sign in signs) for signs in (_STRONG_SIGNS, _WEAK_SIGNS))
    heading = section[0].text.casefold() if section[0].kind is BlockKind.HEADING else ""
    if heading in ("copyright", "impressum", "imprint", "legal"):
        return strong + weak > 0
    return strong >= 2 or (strong == 1 and weak >= 3 and len(text) < LONGEST_DOUBTFUL)


_TITLE_WORDS = "by a an the novel novella stories story book von de par di un roman eine ein tale"
_OF_TITLES = frozenset(_TITLE_WORDS.split())


def _is_title_page(section: list[Block], names: Set[str]) -> bool:
    """Two blocks or more with the words of the title and the author, and hardly any other."""
    texts = [block.text for block in section if block.text]
    words = set(_words(" ".join(texts)))
    return len(texts) > 1 and bool(words & names) and words <= names | _OF_TITLES and sum(map(len, texts)) < 400
