"""DOCX (Office Open XML, ECMA-376): paragraphs with their styles, notes, tables, and what tracked changes leave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vvbatch.manuscript.archive import Archive, opened
from vvbatch.manuscript.blocks import INITIAL, MAX_BLOCKS, Block, BlockKind, Draft, TooLong
from vvbatch.manuscript.model import Kind, Notes, Options, shown
from vvbatch.manuscript.tables import LONG_CELL
from vvbatch.manuscript.tree import Element, Reader, attribute, name_of
from vvbatch.script.headings import is_break

TYPES, DOCUMENT, STYLES = "[Content_Types].xml", "word/document.xml", "word/styles.xml"
CORE, SETTINGS = "docProps/core.xml", "word/settings.xml"
NOTES = {"footnotereference": "word/footnotes.xml", "endnotereference": "word/endnotes.xml"}
_HEADING = re.compile(r"(?:heading|überschrift|titre|título|titolo|kop|rubrik) ?([1-9])", re.IGNORECASE)
_TOC = re.compile(
    r"toc(?: ?[1-9]| heading)|table of (?:figures|contents|authorities)|verzeichnis ?[1-9]|index ?[1-9]", re.I
)
_DELETED = {"del", "movefrom", "instrtext", "deltext", "delinstrtext", "fallback", "pict", "object", "rpr", "ppr"}
"""Elements without text that is shown; `mc:Fallback` repeats what `mc:Choice` has."""
_SPACES = {"tab", "br", "cr", "ptab"}


@dataclass(frozen=True)
class _Style:
    name: str = ""
    level: int | None = None  # of a heading; 0: the title of the manuscript
    based_on: str = ""


@dataclass
class _Found:
    """What is read out of one paragraph."""

    text: list[str] = field(default_factory=list)
    linked: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)  # the part of the archive and the id of each note


def read(path: Path, options: Options, notes: Notes) -> Draft:
    """Raises ManuscriptError for what is no DOCX, or may be dangerous."""
    with opened(path) as archive:
        return _Docx(archive, Reader(path, notes), options, notes).draft()


@dataclass
class _Docx:
    archive: Archive
    reader: Reader
    options: Options
    notes: Notes
    styles: Mapping[str, _Style] = field(default_factory=dict)
    note_texts: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # by part and id
    blocks: list[Block] = field(default_factory=list)
    paragraph: int = 0
    in_contents: int = 0  # open fields, from that of a table of contents on

    def draft(self) -> Draft:
        if DOCUMENT not in self.archive:
            self.archive.refuse(f"not a DOCX: it has no {DOCUMENT}", "save the manuscript as DOCX, not DOC")
        self.styles = self.read_styles()
        root = self.reader.xml(self.archive.read(DOCUMENT), DOCUMENT)
        for part in NOTES.values():
            if part in self.archive:
                self.note_texts[part] = dict(self.read_notes(part))
        body = next((each for each in root.iter() if name_of(each) == "body"), root)
        self.body(body, None)
        title, author, language = self.about()
        if not title:
            title = next(
                (block.text for block in self.blocks if block.level == 0 and block.kind is BlockKind.HEADING), ""
            )
        return Draft(title=title, author=author, language=language, blocks=self.blocks)

    def body(self, parent: Element, role: Kind | None) -> None:
        """The paragraphs and tables of a body, a content control or a cell, without recursion deeper than XML's."""
        for each in parent:
            name = name_of(each)
            if name == "p":
                self.read_paragraph(each, role)
            elif name == "tbl":
                self.table(each, role)
            elif name == "sdt":
                gallery = [attribute(one, "val") for one in each.iter() if name_of(one) == "docpartgallery"]
                self.body(each, Kind.TOC if "Table of Contents" in gallery else role)
            elif name in ("sdtcontent", "customxml", "smarttag", "ins", "moveto", "txbxcontent"):
                self.body(each, role)

    def read_paragraph(self, element: Element, role: Kind | None) -> None:
        self.paragraph += 1
        if len(self.blocks) >= MAX_BLOCKS:
            raise TooLong
        place = f"paragraph {self.paragraph:,}"
        was_contents = self.in_contents > 0
        found = _Found()
        self.runs(element, found, place)
        text = " ".join("".join(found.text).split())
        style = self.style(element)
        if was_contents or self.in_contents or _TOC.fullmatch(style.name):
            role = role or Kind.TOC
        elif style.name.lower() == "caption":
            role = role or Kind.CAPTIONS
        frame = next((one for one in element.iter() if name_of(one) == "framepr"), None)
        if frame is not None and attribute(frame, "dropCap") not in ("", "none") and text:
            text += INITIAL
        level = self.level(element, style)
        if not text:
            kind = BlockKind.BLANK
        elif is_break(text):
            kind, text = BlockKind.BREAK, ""
        else:
            kind = BlockKind.PARAGRAPH if level is None else BlockKind.HEADING
        self.blocks.append(Block(kind, text, place, level or 0, role=role, linked=found.linked))
        for box in element.iter():
            if name_of(box) == "txbxcontent" and not any(name_of(up) == "fallback" for up in box.iterancestors()):
                self.body(box, role)
        for part, key in found.notes:
            self.note(part, key, place)

    def runs(self, element: Element, found: _Found, place: str) -> None:
        """The text of a paragraph that is shown: without deleted and hidden text, boxes and marks of notes."""
        stack: list[Iterator[Element]] = [iter(element)]
        links: list[bool] = [False]
        while stack:
            each = next(stack[-1], None)
            if each is None:
                stack.pop()
                links.pop()
                continue
            name = name_of(each)
            if name == "t":
                text = each.text or ""
                found.text.append(text)
                found.linked += len(text.strip()) if any(links) else 0
            elif name in _SPACES:
                found.text.append(" ")
            elif name == "nobreakhyphen":
                found.text.append("-")
            elif name == "fldchar":
                self.field(attribute(each, "fldCharType"))
            elif name == "instrtext" and (each.text or "").strip().upper().startswith("TOC"):
                self.in_contents = max(self.in_contents, 1)
            elif name in NOTES:
                found.notes.append((NOTES[name], attribute(each, "id")))
                if Kind.FOOTNOTES in self.options.keep:
                    found.text.append(f" [{attribute(each, 'id')}] ")
            elif name in ("drawing", "docpr"):
                self.picture(each, place)
            elif name == "ruby":
                keeps = Kind.RUBY in self.options.keep
                if not keeps:
                    self.notes.skip(Kind.RUBY, "1 reading", place)
                inside = [one for one in each if name_of(one) == ("rt" if keeps else "rubybase")]
                stack.append(iter(inside))
                links.append(False)
            elif name not in _DELETED and name != "txbxcontent" and not (name == "r" and self.is_hidden(each, place)):
                stack.append(iter(each))
                links.append(name == "hyperlink" and bool(attribute(each, "anchor")))

    def field(self, kind: str) -> None:
        """Count the fields within the field of a table of contents: it ends with its own end."""
        if self.in_contents:
            self.in_contents += {"begin": 1, "end": -1}.get(kind, 0)

    def is_hidden(self, run: Element, place: str) -> bool:
        properties = next((one for one in run if name_of(one) == "rpr"), None)
        vanish = None if properties is None else next((one for one in properties if name_of(one) == "vanish"), None)
        if vanish is None or attribute(vanish, "val") in ("0", "false") or Kind.HIDDEN in self.options.keep:
            return False
        text = "".join(one.text or "" for one in run.iter() if name_of(one) == "t")
        if text.strip():
            self.notes.skip(Kind.HIDDEN, f"hidden: {shown(text)}", place)
        return True

    def picture(self, element: Element, place: str) -> None:
        for each in element.iter():
            if name_of(each) == "docpr" and (text := attribute(each, "descr").strip()):
                self.notes.skip(Kind.IMAGES, f"a picture: {shown(text)}", place)

    def note(self, part: str, key: str, place: str) -> None:
        for number, text in enumerate(self.note_texts.get(part, {}).get(key, [])):
            if Kind.FOOTNOTES in self.options.keep:
                self.blocks.append(Block(BlockKind.PARAGRAPH, f"[{key}] {text}" if not number else text, place))
            else:
                self.notes.skip(Kind.FOOTNOTES, f"a note: {shown(text)}", place)

    def table(self, element: Element, role: Kind | None) -> None:
        rows = [each for each in element.iter() if name_of(each) == "tr"]
        cells = [[cell for cell in row if name_of(cell) == "tc"] for row in rows]
        texts = [[_all_text(cell) for cell in row] for row in cells]
        filled = [text for row in texts for text in row if text]
        is_layout = all(sum(map(bool, row)) <= 1 for row in texts) or (
            sum(map(len, filled)) > LONG_CELL * max(len(filled), 1)
        )
        if is_layout:
            for row in cells:
                for cell in row:
                    self.body(cell, role)
            return
        for row_texts in texts:
            if text := ", ".join(text for text in row_texts if text):
                self.blocks.append(
                    Block(BlockKind.PARAGRAPH, text, f"paragraph {self.paragraph:,}", role=role or Kind.TABLES)
                )

    def style(self, paragraph: Element) -> _Style:
        given = _property(paragraph, "pstyle")
        key = "" if given is None else attribute(given, "val")
        return self.styles.get(key, _Style(key))

    def level(self, paragraph: Element, style: _Style) -> int | None:
        """The level of a heading; 0 for the title of the manuscript; None for a paragraph."""
        properties = next((one for one in paragraph if name_of(one) == "ppr"), None)
        outline = (
            None if properties is None else next((one for one in properties if name_of(one) == "outlinelvl"), None)
        )
        if outline is not None and attribute(outline, "val") in tuple("012345678"):
            return int(attribute(outline, "val")) + 1
        for _ in range(10):
            if style.level is not None:
                return style.level
            if style.based_on not in self.styles:
                return None
            style = self.styles[style.based_on]
        return None

    def read_styles(self) -> Mapping[str, _Style]:
        if STYLES not in self.archive:
            return {}
        styles = {}
        for each in self.reader.xml(self.archive.read(STYLES), STYLES).iter():
            if name_of(each) != "style":
                continue
            of = {name_of(one): attribute(one, "val") for one in each.iter()}
            name = of.get("name", "")
            heading = _HEADING.fullmatch(name)
            level = 0 if name.lower() == "title" else int(heading[1]) if heading else None
            if level is None and of.get("outlinelvl", "9") in tuple("012345678"):
                level = int(of["outlinelvl"]) + 1
            styles[attribute(each, "styleId")] = _Style(name, level, of.get("basedon", ""))
        return styles

    def read_notes(self, part: str) -> Iterator[tuple[str, list[str]]]:
        for each in self.reader.xml(self.archive.read(part), part).iter():
            if name_of(each) in ("footnote", "endnote") and attribute(each, "type") in ("", "normal"):
                texts = [_all_text(one) for one in each if name_of(one) == "p"]
                yield attribute(each, "id"), [text for text in texts if text]

    def about(self) -> tuple[str, str | None, str | None]:
        if CORE not in self.archive:
            return "", None, None
        found = {
            name_of(one): (one.text or "").strip() for one in self.reader.xml(self.archive.read(CORE), CORE).iter()
        }
        return found.get("title", ""), found.get("creator") or None, found.get("language") or None


def _property(paragraph: Element, name: str) -> Element | None:
    properties = next((one for one in paragraph if name_of(one) == "ppr"), ())
    return next((one for one in properties if name_of(one) == name), None)


def _all_text(element: Element) -> str:
    """The text of an element that is shown, with single spaces."""
    pieces = []
    for each in element.iter():
        name = name_of(each)
        if name == "t":
            pieces.append(each.text or "")
        elif name in _SPACES or name == "p":
            pieces.append(" ")
    return " ".join("".join(pieces).split())
