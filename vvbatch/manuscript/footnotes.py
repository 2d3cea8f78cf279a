"""Notes that only their links give away: a mark such as `1` or `*` in a text links to a note further on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vvbatch.manuscript.roles import MARK, NOTE, ROLE, types_of
from vvbatch.manuscript.tree import Element, attribute, name_of, text_of

LONGEST_NOTE = 6000
_MARK = re.compile(
    r"[\[({]?\s*(?:[0-9]{1,4}|[ivxlc]{1,6}|[a-z]|[*†‡§¶#‖]{1,4}|note [0-9]{1,4})\s*[\])}]?[.:]?", re.IGNORECASE
)
_IN_BRACKETS = re.compile(r"\s*[\[({].*[\])}]\s*|\s*[*†‡§¶‖]+\s*")
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_CONTAINERS = {"section", "aside", "div", "ol", "ul", "dl", "body", "article"}
_BLOCKS = _CONTAINERS | {"p", "li", "dd", "dt", "td", "tr", "blockquote"}
_TITLE = re.compile(
    r"(?:foot|end)?notes?|notes and references|(?:chapter )?notes?.{0,20}|anmerkungen|(?:fuß|end)noten|notas?|note"
    r"|voetnoten|notes de (?:bas de page|fin)",
    re.IGNORECASE,
)
_RAISED = {"sup", "small"}


@dataclass(frozen=True)
class Page:
    """A parsed page, and the name by which links point to it."""

    name: str
    root: Element


Resolve = Callable[[str, str], tuple[str, str] | None]
"""The page that a page is named, and a link in it → the page and the fragment that the link points to."""


@dataclass(frozen=True)
class _Link:
    order: int
    element: Element
    target: tuple[str, str]
    marked: bool  # it says that it is the mark of a note
    raised: bool  # it looks like one


def find(pages: Sequence[Page], resolve: Resolve) -> None:
    """Set `ROLE` of the marks and of the notes that they link to."""
    targets: dict[tuple[str, str], tuple[int, Element]] = {}
    links: list[_Link] = []
    order = 0
    for page in pages:
        for element in page.root.iter():
            order += 1
            name = name_of(element)
            if not name:
                continue
            for key in {attribute(element, "id"), element.get("name") if name == "a" else None} - {"", None}:
                targets.setdefault((page.name, str(key)), (order, element))
            if name == "a" and (link := _link(page, element, order, resolve)):
                links.append(link)

    def links_back(note: Element, link: _Link) -> bool:
        """Whether a link within `note` points to the mark or to what is right around it."""
        mark = link.element
        near = [mark, mark.getprevious(), *mark, *_ancestors(mark, 3)]
        for each in note.iter():
            if name_of(each) == "a" and "#" in attribute(each, "href"):
                to = resolve(link.target[0], attribute(each, "href"))
                if to in targets and any(targets[to][1] is one for one in near):
                    return True
        return False

    notes: list[Element] = []
    short: dict[Element, bool] = {}  # blocks that many links may point to
    for link in links:
        found = targets.get(link.target)
        note = _note(link, found, links_back, short) if found else None
        if note is not None:
            _outermost(link.element).set(ROLE, MARK)
            if note.get(ROLE) != NOTE:
                note.set(ROLE, NOTE)
                notes.append(note)
        elif link.marked:
            _outermost(link.element).set(ROLE, MARK)
    _continue(notes)
    _mark_headings(notes)


def _link(page: Page, element: Element, order: int, resolve: Resolve) -> _Link | None:
    href = attribute(element, "href")
    target = resolve(page.name, href) if "#" in href else None
    if not target or not target[1]:
        return None
    text = text_of(element)
    marked = "noteref" in types_of(element)
    if not marked and not _MARK.fullmatch(text):
        return None
    parent = element.getparent()
    raised = bool(_IN_BRACKETS.fullmatch(text)) or any(
        each is not None and name_of(each) in _RAISED for each in (parent, *element)
    )
    classes = (element.get("class") or "").lower()
    return _Link(order, element, target, marked, raised or "note" in classes or "super" in classes)


def _note(
    link: _Link,
    found: tuple[int, Element],
    links_back: Callable[[Element, _Link], bool],
    short: dict[Element, bool],
) -> Element | None:
    """The block of the note that a link points to; None if it points to something else."""
    order, target = found
    if order <= link.order:
        return None
    block = next((each for each in (target, *_ancestors(target)) if name_of(each) in _BLOCKS), None)
    if block is None or name_of(block) in ("body", "td"):
        return None
    if block not in short:
        short[block] = len(text_of(block)) <= LONGEST_NOTE
    if not short[block]:
        return None
    if any(name_of(each) in _HEADINGS for each in (target, *_ancestors(target, 2), *block.iter())):
        return None
    if any(each is block for each in _ancestors(link.element)):
        return None
    if name_of(block) == "dt" and block.getnext() is not None and name_of(block.getnext()) == "dd":
        block.set(ROLE, NOTE)
        block = block.getnext()
    return block if link.marked or link.raised or links_back(block, link) else None


def _continue(notes: Sequence[Element]) -> None:
    """Paragraphs between two notes of one parent belong to the first of them."""
    for note in notes:
        between = []
        each = note.getnext()
        while each is not None and each.get(ROLE) != NOTE and name_of(each) not in _HEADINGS:
            between.append(each)
            each = each.getnext()
        if each is not None and each.get(ROLE) == NOTE and len(between) <= 10:
            for element in between:
                if name_of(element):
                    element.set(ROLE, NOTE)


def _mark_headings(notes: Sequence[Element]) -> None:
    """Set `ROLE` of headings over nothing but notes: the one of a page or section of notes, and `Notes` before them."""
    containers = {parent: None for note in notes for parent in _ancestors(note, 3) if name_of(parent) in _CONTAINERS}
    for parent in containers:
        rest = sum(len(text_of(child)) for child in parent if not _is_note(child))
        if rest == 0 and not (parent.text or "").strip():
            for heading in _headings(parent):
                heading.set(ROLE, NOTE)
    for note in notes:
        before = note.getprevious()
        while before is not None and name_of(before) in ("hr", ""):
            before = before.getprevious()
        if before is not None and name_of(before) in _HEADINGS | {"p"} and _TITLE.fullmatch(text_of(before)):
            before.set(ROLE, NOTE)


def _is_note(element: Element) -> bool:
    name = name_of(element)
    if not name or name in _HEADINGS or element.get(ROLE) == NOTE:
        return True
    return name in _CONTAINERS and len(element) > 0 and all(_is_note(child) for child in element)


def _headings(parent: Element) -> Iterator[Element]:
    for each in parent.iter():
        if name_of(each) in _HEADINGS:
            yield each


def _ancestors(element: Element, count: int = 1000) -> Iterator[Element]:
    for number, each in enumerate(element.iterancestors()):
        if number >= count:
            return
        yield each


def _outermost(link: Element) -> Element:
    """The link with the elements around it that hold nothing else."""
    text = text_of(link)
    while (parent := link.getparent()) is not None and name_of(parent) in ("sup", "small", "span", "b", "i", "em"):
        if text_of(parent) != text:
            break
        link = parent
    return link
