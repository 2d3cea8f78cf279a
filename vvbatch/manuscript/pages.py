"""One page: HTML, and Markdown by way of HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from vvbatch.manuscript import footnotes
from vvbatch.manuscript.blocks import Draft
from vvbatch.manuscript.markup import PLACE, Walk
from vvbatch.manuscript.model import Notes, Options
from vvbatch.manuscript.tree import Element, Reader, attribute, name_of, text_of

_GUTENBERG_TITLE = re.compile(
    r"(?:the )?project gutenberg'?s?(?: e-?(?:book|text))?(?: of)? (?P<title>.+?)(?:,? by (?P<author>.+?)\.?)?",
    re.IGNORECASE,
)
_PANDOC_TITLE = re.compile(r"%[ ]?(?P<title>[^\n]*)(?:\n%[ ]?(?P<author>[^\n]*))?(?:\n%[^\n]*)?\n")
_FIELD = re.compile(r"^(title|author|lang|language)[ ]?:[ ]*(.+?)[ ]*$", re.MULTILINE | re.IGNORECASE)
_TAG = re.compile(r"(<[A-Za-z][A-Za-z0-9-]*)(?=[\s>/])")
_FRONT = re.compile(r"---[ ]*\n(.*?)\n(?:---|\.\.\.)[ ]*(?:\n|\Z)", re.DOTALL)


def read_html(path: Path, data: bytes, options: Options, notes: Notes) -> Draft:
    reader = Reader(path, notes)
    xhtml = path.suffix.lower() == ".xhtml"
    root = reader.page(data, path.name, html_first=not xhtml)
    draft = _draft(path, root, options, notes)
    for each in root.iter():
        tag = name_of(each)
        if tag == "title" and not draft.title:
            draft.title = text_of(each)
            if found := _GUTENBERG_TITLE.fullmatch(draft.title):
                draft.title, draft.author = found["title"], found["author"]
        elif tag == "meta" and (each.get("name") or "").lower() in ("author", "dc.creator", "dcterms.creator"):
            draft.author = draft.author or each.get("content")
    return draft


def read_markdown(path: Path, data: bytes, options: Options, notes: Notes) -> Draft:
    """CommonMark with tables, footnotes and a block of fields at the top (`title`, `author`, `lang`)."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.footnote import footnote_plugin

    reader = Reader(path, notes)
    text = reader.text(data, path.name).replace("\r\n", "\n").replace("\r", "\n")
    about, head = _about(text)
    rows = text[:head].count("\n")
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"]).use(footnote_plugin)
    tokens = parser.parse(text[head:])
    for token in tokens:
        if token.map and token.nesting >= 0 and token.type != "inline":
            line = str(token.map[0] + 1 + rows)
            token.attrSet(PLACE, line)
            if token.type == "html_block":
                token.content = _TAG.sub(rf'\1 {PLACE}="{line}"', token.content, count=1)
    html = parser.renderer.render(tokens, parser.options, {})
    root = reader.page(f"<html><body>{html}</body></html>".encode(), path.name, html_first=True)
    draft = _draft(path, root, options, notes)
    draft.title = about.get("title", "")
    draft.author = about.get("author")
    draft.language = about.get("lang") or about.get("language")
    return draft


def _draft(path: Path, root: Element, options: Options, notes: Notes) -> Draft:
    def resolve(page: str, href: str) -> tuple[str, str] | None:
        return (page, href[1:]) if href.startswith("#") else None

    footnotes.find([footnotes.Page(path.name, root)], resolve)
    walk = Walk(notes, options.keep)
    walk.page(path.name, root, 0)
    return Draft(language=attribute(root, "lang") or None, blocks=walk.blocks)


def _about(text: str) -> tuple[Mapping[str, str], int]:
    """The fields at the top of a Markdown text, and where they end."""
    if front := _FRONT.match(text):
        fields = {name.lower(): value.strip("\"'") for name, value in _FIELD.findall(front[1])}
        return fields, front.end()
    if found := _PANDOC_TITLE.match(text):
        return {"title": found["title"].strip(), "author": (found["author"] or "").strip()}, found.end()
    return {}, 0
