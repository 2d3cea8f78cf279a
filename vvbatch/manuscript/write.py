"""A manuscript as a script in YAML that a person can edit: one line of the file for each paragraph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vvbatch.manuscript.model import Chapter, Manuscript, ManuscriptError, Paragraph, Turn
from vvbatch.manuscript.origin import first_line
from vvbatch.script.fields import NARRATOR
from vvbatch.script.model import Pause, PauseKind
from vvbatch.script.source import MAX_BYTES

ROOM_FOR_HASH = 100  # bytes of the first line

# Letters first, and nothing in it that YAML could take for more than text.
_PLAIN = re.compile(r"[^\W\d_](?:[^:#\"\\\[\]{}&*!|>%@`]|:(?=\S)(?!:))*", re.DOTALL)
_WORDS = re.compile(r"(?:null|true|false|yes|no|on|off|y|n|~)", re.IGNORECASE)


def script_text(manuscript: Manuscript, *, source: str, cover: str | None, voice: str | None) -> str:
    """The script. `source` names the manuscript; `voice` is the narrator's, None: the default one.

    Raises ManuscriptError for a script that would be too long to be read.
    """
    text = "\n".join(_rows(manuscript, source, cover, voice)) + "\n"
    if (size := len(text.encode())) > MAX_BYTES - ROOM_FOR_HASH:
        found = f"a script of {size / 2**20:.1f} MiB would be made of it"
        raise ManuscriptError(Path(source), found, f"a script has at most {MAX_BYTES >> 20} MiB: split the manuscript")
    return text


def _rows(manuscript: Manuscript, source: str, cover: str | None, voice: str | None) -> Iterator[str]:
    yield first_line(source)
    yield "version: 1"
    yield f"title: {scalar(manuscript.title)}"
    if manuscript.author:
        yield f"author: {scalar(manuscript.author)}"
    if manuscript.language:
        yield f"language: {scalar(manuscript.language)}"
    if cover:
        yield f"cover: {scalar(cover)}"
    yield "speak_titles: true"
    yield "pauses: {line: 0.7}  # lines are paragraphs"
    yield f"defaults: {{voice: {scalar(voice or 'default', flow=True)}}}"
    if manuscript.speakers:
        yield "speakers:"
        for name, of_speaker in manuscript.speakers.items():
            yield f"  {scalar(name)}: {{voice: {scalar(of_speaker, flow=True)}}}"
    if len(manuscript.chapters) == 1 and not manuscript.chapters[0].title:
        yield "lines:"
        yield from (row.removeprefix("    ") for row in _lines(manuscript.chapters[0]))
        return
    yield "chapters:"
    for chapter in manuscript.chapters:
        yield from _chapter(chapter)


def _chapter(chapter: Chapter) -> Iterator[str]:
    yield f"  - title: {scalar(chapter.title)}"
    yield "    lines:"
    yield from _lines(chapter)


def _lines(chapter: Chapter) -> Iterator[str]:
    for item in chapter.items:
        if isinstance(item, Pause):
            yield f"      - {_pause(item)}"
        else:
            yield from _paragraph(item)


def _pause(pause: Pause) -> str:
    return "break: section" if pause.kind is PauseKind.SECTION else f"pause: {pause.seconds:g}"


def _paragraph(paragraph: Paragraph) -> Iterator[str]:
    if len(paragraph.turns) == 1:
        yield f"      - {_turn(paragraph.turns[0])}"
        return
    yield "      - dialogue:"
    for turn in paragraph.turns:
        yield f"          - {_turn(turn)}"


def _turn(turn: Turn) -> str:
    return scalar(turn.text) if turn.speaker is None else f"{scalar(turn.speaker)}: {scalar(turn.text)}"


def scalar(text: str, *, flow: bool = False) -> str:
    """A text without newlines as YAML: as it is where YAML takes it so, otherwise in quotes."""
    plain = _PLAIN.fullmatch(text) and not _WORDS.fullmatch(text) and text == text.strip() and text != NARRATOR
    if plain and not (flow and re.search(r"[,?]", text)) and " #" not in text and not text.endswith(":"):
        return text
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
