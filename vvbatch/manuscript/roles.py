"""What an element of a page is for, as it says itself: by `epub:type`, `role`, a class, or its name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vvbatch.manuscript.model import Kind
from vvbatch.manuscript.tree import Element, attribute, name_of, text_of

ROLE = "vvbatch-role"
"""An attribute that `footnotes.find` sets: MARK or NOTE."""
MARK, NOTE = "mark", "note"

# EPUB 3 Structural Semantics Vocabulary 1.1, and DPUB-ARIA 1.1 without its `doc-`.
_TYPES: Mapping[Kind, str] = {
    Kind.TOC: "toc landmarks page-list toc-brief loi lot loa lov",
    Kind.FOOTNOTES: "noteref footnote footnotes endnote endnotes rearnote rearnotes note backlink",
    Kind.PAGE_NUMBERS: "pagebreak pagelist",
    Kind.COPYRIGHT: "copyright-page colophon imprint imprimatur",
    Kind.TITLE_PAGE: "titlepage halftitlepage halftitle cover",
    Kind.INDEX: "index index-group index-entry-list",
}
_OF_TYPE = {word: kind for kind, words in _TYPES.items() for word in words.split()}
_MARK_TYPES = {"noteref", "backlink"}

_CLASSES: Mapping[Kind, str] = {
    Kind.PAGE_NUMBERS: "pagenum pageno pagenumber page-number page_number pagebreak pnum pgnum",
    Kind.FOOTNOTES: "footnote footnotes endnote endnotes noteref footnote-ref footnoteref fnanchor",
    Kind.CAPTIONS: "caption figcaption",
    Kind.TOC: "toc",
    Kind.CODE: "programlisting sourcecode code-block codeblock",
    Kind.COPYRIGHT: "pg-boilerplate pgheader copyright-page",
}
_OF_CLASS = {word: kind for kind, words in _CLASSES.items() for word in words.split()}
_INITIAL_CLASS = re.compile(r"drop|initial|lettrine|versal|first-?letter", re.IGNORECASE)
_NO_DISPLAY = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_PAGE_ID = re.compile(r"(?:page|pg|p)[-_]?[0-9ivxlc]+", re.IGNORECASE)

UNSPOKEN: Mapping[str, str] = {
    "script": "a script",
    "style": "a style sheet",
    "template": "a template",
    "iframe": "a frame",
    "object": "an embedded object",
    "embed": "an embedded object",
    "audio": "a recording",
    "video": "a video",
    "canvas": "a canvas",
    "svg": "a drawing",
    "math": "a formula",
    "button": "a control",
    "input": "a control",
    "select": "a control",
    "textarea": "a control",
    "noscript": "a replacement for a script",
    "datalist": "a control",
}
QUIET = {"style", "template", "input", "datalist", "noscript"}
"""Left out without an entry in the list: they are never read out."""


def types_of(element: Element) -> set[str]:
    """The words of `epub:type` and of `role`."""
    words: set[str] = set()
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] in ("type", "epub:type") and (":" in key or "}" in key):
            words |= set(str(value).lower().split())
        elif key == "role":
            words |= {word.removeprefix("doc-") for word in str(value).lower().split()}
    return words


def role_of(element: Element, name: str) -> Kind | None:
    """Why the element may be left out; None for one that is part of the text."""
    given = element.get(ROLE)
    if given:
        return Kind.FOOTNOTES
    for word in types_of(element):
        if kind := _OF_TYPE.get(word):
            return kind
    if name == "nav":
        return Kind.TOC
    if name in ("figcaption", "caption"):
        return Kind.CAPTIONS
    if name == "pre" and any(name_of(each) == "code" for each in element):
        return Kind.CODE
    if element.get("hidden") is not None or _NO_DISPLAY.search(element.get("style") or ""):
        return Kind.HIDDEN
    classes = (element.get("class") or "").lower().split()
    for word in classes:
        if (kind := _OF_CLASS.get(word)) and not (kind is Kind.TOC and name not in ("div", "ul", "ol", "section")):
            return kind
    return None


def is_mark(element: Element, name: str) -> bool:
    """Whether a left-out element is the mark of a note rather than its text."""
    return (
        element.get(ROLE) == MARK
        or bool(types_of(element) & _MARK_TYPES)
        or (name in ("a", "sup", "span") and len(text_of(element)) <= 6)
    )


def is_initial(element: Element) -> bool:
    """Whether an element says that it is the initial of a paragraph."""
    style = element.get("style") or ""
    return bool(_INITIAL_CLASS.search(element.get("class") or "")) or "float" in style


def language_of(element: Element) -> str:
    return attribute(element, "lang").strip()
