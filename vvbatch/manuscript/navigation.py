"""The table of contents of an EPUB: a navigation document (EPUB 3) or an NCX (EPUB 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from vvbatch.manuscript.archive import resolved
from vvbatch.manuscript.roles import types_of
from vvbatch.manuscript.tree import Element, attribute, name_of, text_of

MAX_ENTRIES = 10_000
LONGEST_TITLE = 300


@dataclass(frozen=True)
class Entry:
    title: str
    depth: int  # from 1
    target: tuple[str, str] | None  # a page and the id in it; None: a title above others without a place of its own


def contents(root: Element, name: str) -> list[Entry]:
    """The entries in their order. Those that link out of the manuscript are left out."""
    found = _of_ncx(root, name) if name_of(root) == "ncx" else _of_nav(root, name)
    found = (replace(entry, title=entry.title[:LONGEST_TITLE]) for entry in found)
    return [entry for entry, _ in zip(found, range(MAX_ENTRIES), strict=False) if entry.title]


def landmarks(root: Element, name: str) -> Iterator[tuple[str, str]]:
    """Pages that a navigation document names as a whole, each with its type."""
    for nav in root.iter():
        if name_of(nav) == "nav" and "landmarks" in types_of(nav):
            for link in nav.iter():
                target = resolved(name, attribute(link, "href")) if name_of(link) == "a" else None
                if target and not target[1]:
                    yield from ((word, target[0]) for word in types_of(link))


def _of_ncx(root: Element, name: str) -> Iterator[Entry]:
    for point in root.iter():
        if name_of(point) != "navpoint":
            continue
        depth = 1 + sum(name_of(parent) == "navpoint" for parent in point.iterancestors())
        label = next((child for child in point if name_of(child) == "navlabel"), None)
        source = next((attribute(child, "src") for child in point if name_of(child) == "content"), "")
        if target := resolved(name, source):
            yield Entry("" if label is None else text_of(label), depth, target)


def _of_nav(root: Element, name: str) -> Iterator[Entry]:
    navs = [each for each in root.iter() if name_of(each) == "nav"]
    nav = next((each for each in navs if "toc" in types_of(each)), None)
    if nav is None:
        return
    for item in nav.iter():
        if name_of(item) != "li":
            continue
        depth = sum(name_of(parent) == "ol" for parent in item.iterancestors() if parent is not nav)
        label = next((child for child in item if name_of(child) in ("a", "span")), None)
        if label is None:
            continue
        href = attribute(label, "href")
        target = resolved(name, href) if href else None
        if target or not href:
            yield Entry(text_of(label), max(depth, 1), target)
