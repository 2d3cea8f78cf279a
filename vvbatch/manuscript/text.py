"""Plain text: read as a script in plain text is, without a table of contents, notes, page numbers and licence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from vvbatch.manuscript.blocks import Block, BlockKind, Draft
from vvbatch.manuscript.left_out import CONTENTS, GUTENBERG, PAGE
from vvbatch.manuscript.model import Kind, ManuscriptError, Notes, Options, shown
from vvbatch.manuscript.tree import Reader
from vvbatch.script import text_script
from vvbatch.script.fields import NARRATOR
from vvbatch.script.headings import headings
from vvbatch.script.model import PauseKind, Problems, TooManyProblems
from vvbatch.script.rows import Row, rows
from vvbatch.script.source import UNSPEAKABLE, Source

_NOTE = re.compile(
    r"^[^\S\n]*\[(?:footnote[ ])?([0-9]{1,3}|[A-Z*†])(?::|\])[ ](?:[^\n]+(?:\n|\Z))+", re.MULTILINE | re.IGNORECASE
)
_MARK = re.compile(r"\[(?:[0-9]{1,3}|[A-Z*†])\]")
CONTENTS_TRIED = 5
_LINE_BREAKS = str.maketrans({"\u2028": " ", "\u2029": " ", "\ufdd0": " "})
_TITLED = re.compile(r"^(Title|Author|Language):[ ]*(\S.*)$", re.MULTILINE)


def read(path: Path, data: bytes, options: Options, notes: Notes) -> Draft:
    """Raises ManuscriptError for a text with too many problems."""
    text = Reader(path, notes).text(data, path.name).replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise ManuscriptError(path, "a binary file (it has zero bytes)", "give a text")
    cleaner = _Cleaner(path.name, UNSPEAKABLE.sub(" ", text.translate(_LINE_BREAKS)), options.keep, notes)
    source = Source(path, cleaner.cleaned())
    problems = Problems()
    try:
        script = text_script.read(source, problems)
    except TooManyProblems as error:
        found = f"more than {len(problems) - 1:,} paragraphs that cannot be spoken"
        raise ManuscriptError(path, found, "is it a text? give it as UTF-8") from error
    for problem in problems:
        place = f"{path.name}:{problem.position.line}"
        notes.skip(Kind.OTHER, f"a paragraph: {problem.found}", place, problem.allowed)
    for warning in problems.warnings:
        if warning.code != "long-paragraph":
            notes.warn(warning.message, f"{path.name}:{warning.position.line}")
    draft = Draft(title=script.title, voices={}, blocks=[])
    for name, value in cleaner.about:
        if name == "Title":
            draft.title = draft.title or value.strip()
        elif name == "Author":
            draft.author = value.strip()
    for chapter in script.chapters:
        if chapter.title:
            position = chapter.lines[0].position
            draft.blocks.append(Block(BlockKind.HEADING, chapter.title, f"{path.name}:{position.line}", 1))
        for line in chapter.lines:
            [turn] = line.turns
            speaker = None if turn.speaker == NARRATOR else turn.speaker
            if speaker:
                draft.voices[speaker] = turn.voice
            place = f"{path.name}:{line.position.line}"
            draft.blocks.append(Block(BlockKind.PARAGRAPH, turn.text, place, speaker=speaker))
            for pause in line.pauses:
                if pause.kind is PauseKind.SECTION:
                    draft.blocks.append(Block(BlockKind.BREAK, "", place))
                else:
                    draft.blocks.append(Block(BlockKind.PARAGRAPH, f"[pause {pause.seconds:g}s]", place))
    return draft


@dataclass
class _Cleaner:
    """Takes out of a text what is left out; its other lines keep their numbers."""

    name: str
    text: str
    keep: frozenset[Kind]
    notes: Notes

    @cached_property
    def source(self) -> Source:
        return Source(Path(self.name), self.text)

    @property
    def about(self) -> list[tuple[str, str]]:
        """The fields in the header of a Project Gutenberg text."""
        start = next((found for found in GUTENBERG.finditer(self.text) if found[1].upper() == "START"), None)
        return _TITLED.findall(self.text[: start.start()]) if start else []

    def cleaned(self) -> str:
        text = self.text
        if Kind.COPYRIGHT not in self.keep:
            text = self.without_licence(text)
        if Kind.TOC not in self.keep:
            text = self.without_contents(text)
        if Kind.PAGE_NUMBERS not in self.keep:
            text = self.without_pages(text)
        if Kind.FOOTNOTES not in self.keep:
            text = self.without_notes(text)
        return text

    def place(self, index: int) -> str:
        """Of a character of the text as it was: cleaning keeps the lines, and all characters but marks of notes."""
        return f"{self.name}:{self.source.position(index).line}"

    def without_licence(self, text: str) -> str:
        marks = list(GUTENBERG.finditer(text))
        for found in [*marks[:1], *marks[1:][-1:]]:
            begins = found[1].upper() == "START"
            start, end = (0, found.end()) if begins else (found.start(), len(text))
            self.notes.skip(Kind.COPYRIGHT, f"copyright, {end - start:,} characters", self.place(start))
            text = text[:start] + _blank(text[start:end]) + text[end:]
        return text

    def without_contents(self, text: str) -> str:
        """Without the rows below `Contents` that are headings further on, or end in a page number."""
        all_rows = list(rows(text))
        titles = (
            number for number, row in enumerate(all_rows) if row.first and CONTENTS.fullmatch(row.text.strip(" .:*_#"))
        )
        for number in islice(titles, CONTENTS_TRIED):
            row, entries = all_rows[number], list(_entries(all_rows[number + 1 :]))
            if len(entries) > 1:
                self.notes.skip(Kind.TOC, f"toc, {len(entries):,} rows", self.place(row.start))
                return text[: row.start] + _blank(text[row.start : entries[-1].end]) + text[entries[-1].end :]
        return text

    def without_pages(self, text: str) -> str:
        def out(row: re.Match[str]) -> str:
            if not PAGE.fullmatch(row[0].strip()):
                return row[0]
            self.notes.skip(Kind.PAGE_NUMBERS, f"a page number: {shown(row[0])}", self.place(row.start()))
            return _blank(row[0])

        return re.sub(r"^[^\S\n]*\S[^\n]{0,30}$", out, text, flags=re.MULTILINE)

    def without_notes(self, text: str) -> str:
        """Without paragraphs `[1] …` whose mark `[1]` stands in the text before them, and without these marks."""
        first: dict[str, int] = {}
        for found in _MARK.finditer(text):
            if found.start() and text[found.start() - 1] != "\n":
                first.setdefault(found[0], found.start())
        marks: set[str] = set()

        def out(note: re.Match[str]) -> str:
            mark = f"[{note[1]}]"
            if first.get(mark, len(text)) > note.start():
                return note[0]
            self.notes.skip(Kind.FOOTNOTES, f"a note: {shown(note[0])}", self.place(note.start()))
            if mark not in marks:
                self.notes.skip(Kind.FOOTNOTES, f"the mark of a note: “{mark}”", self.place(first[mark]))
            marks.add(mark)
            return _blank(note[0])

        text = _NOTE.sub(out, text)
        return _MARK.sub(lambda found: "" if found[0] in marks else found[0], text)


def _blank(text: str) -> str:
    """As many characters and lines, without a text."""
    return re.sub(r"[^\n]", " ", text)


def _entries(following: list[Row]) -> Iterator[Row]:
    """The rows of a table of contents: each stands again further on, or ends in a page number."""
    texts = [_folded(row.text) for row in following]
    last: dict[str, int] = {text: index for index, text in enumerate(texts)}
    found = {_folded(heading.title) for heading in headings("\n\n".join(row.text for row in following))}
    for index, row in enumerate(following):
        again = last[texts[index]] > index or any(
            title != texts[index] and title.endswith(texts[index]) and len(texts[index]) > 3 for title in found
        )
        if not again and not re.search(r"(?:[.·…]\s?){2,}\s*[0-9ivxlc]+\s*$|\s{2,}[0-9]{1,4}$", row.text):
            return
        yield row


def _folded(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()
