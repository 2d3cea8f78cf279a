"""A page of XHTML or HTML → blocks of text: what a reader of the page sees, without what only its layout needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lxml import etree

from vvbatch.manuscript.blocks import INITIAL, MAX_BLOCKS, Block, BlockKind, TooLong
from vvbatch.manuscript.model import Kind, Notes, shown
from vvbatch.manuscript.roles import (
    QUIET,
    UNSPOKEN,
    is_initial,
    is_mark,
    language_of,
    role_of,
)
from vvbatch.manuscript.tables import is_layout
from vvbatch.manuscript.tree import Element, attribute, name_of, text_of
from vvbatch.script.headings import is_break, is_number

_BLOCK_NAMES = (
    "p div section article blockquote li ul ol dl dt dd h1 h2 h3 h4 h5 h6 header footer main aside figure "
    "figcaption table thead tbody tfoot tr caption pre hr address body html form fieldset center nav details "
    "summary hgroup legend menu dir"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HEADING = re.compile(r"h([1-6])")
_SUPERSCRIPT = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_SUBSCRIPT = str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋")
_BEFORE_MARK = re.compile(r"(?<=[.,;:!?”’\"')»])\s*$|(?<=[^\W\d_]{3})$")
_ORNAMENT = re.compile(r"ornament|asterism|scene-?break|section-?break|divider|separator", re.IGNORECASE)
_CONTAINER_NAMES = "html body div section article main blockquote ul ol dl figure table tbody tr"
_CONTAINERS = frozenset(_CONTAINER_NAMES.split())
_SILENT = re.compile("[\u00ad\u200b\u2060\ufeff]")
LATEST_INITIAL = 20  # pieces of text that may stand before the initial of a paragraph
LONGEST_BREAK = 100  # characters of a line of ornaments
PLACE = "vvbatch-line"
"""An attribute with the line in the manuscript, where the page was made from something else."""


@dataclass
class Walk:
    """The blocks of several pages, in order, and where the places are that links point to."""

    notes: Notes
    keep: frozenset[Kind]
    is_link: Callable[[str, str], bool] = lambda page, href: href.startswith("#")  # to a place of the manuscript
    blocks: list[Block] = field(default_factory=list)
    anchors: dict[tuple[str, str], int] = field(default_factory=dict)
    """The page and id → the index of the block that it stands in or before; id "": the first block of the page."""

    def page(self, name: str, root: Element, part: int, role: Kind | None = None) -> None:
        """Add the blocks of a page; all of them have the role, if there is one."""
        self.anchors[name, ""] = len(self.blocks)
        _Page(self, name, part, [_Open(root, role, language_of(root))]).read(root)


@dataclass
class _Open:
    """An element that is open while its content is read."""

    element: Element
    role: Kind | None
    language: str
    heading: int = 0
    link: bool = False
    initial_from: int = -1  # where the text of an initial begins in the buffer
    quote: bool = False
    numerals: Mapping[int, int] | None = None  # of a raised or lowered text
    mute: bool = False  # the characters below a reading that is spoken in their place
    skipped: bool = False


@dataclass
class _Page:
    walk: Walk
    name: str
    part: int
    open: list[_Open]
    text: list[str] = field(default_factory=list)
    line: int | None = None  # of the block that is read
    visible: bool = False  # whether there is more than spaces in `text`
    linked: int = 0
    ruby: int = 0

    def read(self, root: Element) -> None:
        walker = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
        for event, element in walker:
            if event in ("comment", "pi"):
                self.add(element.tail)
            elif event == "start":
                if not self.start(element):
                    walker.skip_subtree()
                    self.open.append(_Open(element, None, "", skipped=True))
            else:
                self.end(element)
        self.flush()
        if self.ruby:
            self.walk.notes.skip(Kind.RUBY, f"{self.ruby:,} reading{'s' if self.ruby != 1 else ''}", self.name)

    @property
    def place(self) -> str:
        return f"{self.name}:{self.line}" if self.line else self.name

    def start(self, element: Element) -> bool:
        """Returns False for an element whose content is left out."""
        name, above = name_of(element), self.open[-1]
        role = above.role or role_of(element, name)
        if role is None and name == "table" and not is_layout(element):
            role = Kind.TABLES
        leaves = role is not None and not above.role and role not in self.walk.keep
        block = name in _BLOCKS and not (leaves and self.has_text() and name_of(above.element) not in _CONTAINERS)
        if block:
            self.flush()
        self.anchor(element, name)
        if name == "head" or (name in ("rt", "rp", "rtc") and not self.reads(name)):
            return False
        if name in UNSPOKEN or name == "img":
            self.image(element) if name == "img" else self.unspoken(element, name)
            return False
        if role and leaves and not block:
            self.skip(element, name, role)
            return False
        if name == "sup" and self.is_unlinked_mark(element):
            self.skip(element, name, Kind.FOOTNOTES)
            return False
        opened = _Open(element, role, language_of(element) or above.language, above.heading, above.link)
        if heading := _HEADING.fullmatch(name):
            opened.heading = int(heading[1])
        elif element.get("role") == "heading":
            level = element.get("aria-level") or ""
            opened.heading = int(level) if level in tuple("123456") else 2
        opened.mute = (above.mute and name != "rt") or (name == "ruby" and Kind.RUBY in self.walk.keep)
        self.inline(element, name, opened)
        self.open.append(opened)
        self.add(element.text)
        return True

    def inline(self, element: Element, name: str, opened: _Open) -> None:
        if name == "a":
            opened.link = opened.link or self.walk.is_link(self.name, attribute(element, "href"))
        elif name == "br":
            before = "".join(self.text).strip()
            self.add(": " if opened.heading and is_number(before) and before[-1].isalnum() else " ")
        elif name == "hr":
            self.emit(BlockKind.BREAK, "")
        elif name == "q":
            opened.quote = True
            self.add("“")
        elif name in ("td", "th") and self.has_text():
            if opened.role is Kind.TABLES:
                while self.text[-1].isspace():
                    self.text.pop()
                self.text[-1] = self.text[-1].rstrip()
                self.text.append(", ")
            else:
                self.flush()
        elif name in ("sup", "sub") and text_of(element).strip("+-−").isdigit():
            opened.numerals = _SUPERSCRIPT if name == "sup" else _SUBSCRIPT
        if is_initial(element) or (not self.has_text() and name in ("span", "b", "big", "font", "strong", "i", "em")):
            opened.initial_from = len(self.text)

    def end(self, element: Element) -> None:
        opened = self.open.pop()
        name = name_of(element)
        if opened.skipped:
            self.add(element.tail)
            return
        if 0 <= opened.initial_from < LATEST_INITIAL:
            initial = "".join(self.text[opened.initial_from :]).strip()
            before = "".join(self.text[: opened.initial_from]).strip()
            if sum(map(str.isalpha, initial)) == 1 and len(initial) <= 3 and not any(map(str.isalnum, before)):
                self.text.append(INITIAL)
        if opened.quote:
            self.add("”")
        if name in _BLOCKS:
            self.open.append(opened)
            if name == "p" and not self.has_text() and _ORNAMENT.search(_classes(element)):
                self.emit(BlockKind.BREAK, "", opened.role)
            self.flush(empty=name == "p" and not any(name_of(each) in ("img", "svg") for each in element.iter()))
            self.open.pop()
        self.add(element.tail)

    def anchor(self, element: Element, name: str) -> None:
        for key in (attribute(element, "id"), element.get("name") if name == "a" else None):
            if key:
                self.walk.anchors.setdefault((self.name, key), len(self.walk.blocks))
        if self.line is None or not self.has_text():
            self.line = line_of(element)

    def add(self, text: str | None) -> None:
        if not text:
            return
        opened = self.open[-1]
        if opened.mute:
            return
        if opened.numerals:
            text = text.translate(opened.numerals)
        if opened.link:
            self.linked += len(text.strip())
        self.visible = self.visible or not text.isspace()
        self.text.append(text)

    def has_text(self) -> bool:
        return self.visible

    def flush(self, *, empty: bool = False) -> None:
        """End the block that is read. An `empty` paragraph is kept: it may be a section break."""
        text = " ".join(_SILENT.sub("", "".join(self.text)).split())
        linked, self.linked = self.linked, 0
        self.text.clear()
        self.visible = False
        opened = self.open[-1]
        if not text.strip(INITIAL):
            if empty and not opened.role:
                self.emit(BlockKind.BLANK, "")
        elif len(text) <= LONGEST_BREAK and is_break(text) and not opened.heading:
            self.emit(BlockKind.BREAK, "", opened.role)
        else:
            kind = BlockKind.HEADING if opened.heading else BlockKind.PARAGRAPH
            self.emit(kind, text, opened.role, linked)

    def emit(self, kind: BlockKind, text: str, role: Kind | None = None, linked: int = 0) -> None:
        opened = self.open[-1]
        if len(self.walk.blocks) >= MAX_BLOCKS:
            raise TooLong
        self.walk.blocks.append(
            Block(kind, text, self.place, opened.heading, self.part, role, linked, opened.language or None)
        )

    def unspoken(self, element: Element, name: str) -> None:
        alternative = element.get("alttext") or element.get("aria-label")
        if name == "math" and alternative:
            self.add(f" {alternative} ")
        if name not in QUIET:
            text = alternative or ("" if name == "script" else text_of(element))
            what = UNSPOKEN[name] + (f": {shown(text)}" if text else "")
            self.walk.notes.skip(Kind.OTHER, what, self.at(element), "it cannot be spoken")
        if self.has_text():
            self.add(" ")

    def image(self, element: Element) -> None:
        """An image of an initial is a letter of the text; other descriptions are left out."""
        text = " ".join((element.get("alt") or "").split())
        if len(text) == 1 and text.isalpha() and not self.has_text():
            self.add(text)
            self.add(INITIAL)
        elif text and any(map(str.isalnum, text)):
            if Kind.IMAGES in self.walk.keep:
                self.add(f" {text} ")
            else:
                self.walk.notes.skip(Kind.IMAGES, f"a picture: {shown(text)}", self.at(element))

    def reads(self, name: str) -> bool:
        """Whether a reading is spoken."""
        if Kind.RUBY in self.walk.keep:
            return name != "rp"
        self.ruby += name == "rt"
        return False

    def is_unlinked_mark(self, element: Element) -> bool:
        """Whether a raised number stands behind a word or its punctuation: 10³ and m² are none."""
        if Kind.FOOTNOTES in self.walk.keep or not text_of(element).isdigit() or self.open[-1].link:
            return False
        return not len(element) and bool(_BEFORE_MARK.search("".join(self.text[-3:])))

    def skip(self, element: Element, name: str, role: Kind) -> None:
        for each in element.iter():
            self.anchor(each, name_of(each))
        text = text_of(element)
        what = {
            Kind.FOOTNOTES: "the mark of a note" if is_mark(element, name) else "a note",
            Kind.PAGE_NUMBERS: "a page number",
        }.get(role, role.value)
        if text:
            self.walk.notes.skip(role, f"{what}: {shown(text)}", self.at(element))

    def at(self, element: Element) -> str:
        line = line_of(element)
        return f"{self.name}:{line}" if line else self.name


def line_of(element: Element) -> int | None:
    """The line of an element in the manuscript."""
    each = element
    while each is not None:
        given = each.get(PLACE)
        if given and given.isdigit():
            return int(given)
        each = each.getparent()
    line: int | None = element.sourceline
    return line


def _classes(element: Element) -> str:
    return " ".join(each.get("class") or "" for each in (element, *element))
