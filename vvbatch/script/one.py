"""A script of one text on the command line, with the same checks as a file."""

from __future__ import annotations

from pathlib import Path

from vvbatch.script.fields import NARRATOR
from vvbatch.script.ids import with_ids
from vvbatch.script.items import Texts, chapters_of, lines_of
from vvbatch.script.model import Problems, Script, ScriptError
from vvbatch.script.source import START, UNSPEAKABLE, Source

TITLE_CHARACTERS = 40


def one_line(raw: str, *, voice: str, seed: int | None) -> Script:
    """Raises ScriptError for a text without a letter or digit, with control characters, or with a pause in it."""
    path = Path("TEXT")
    problems = Problems()
    texts = Texts(Source(path, UNSPEAKABLE.sub(" ", raw)), problems)
    spoken = texts.read(raw, NARRATOR, voice, START, START)
    chapters = chapters_of([("", lines_of(spoken, START, {} if seed is None else {"seed": (seed, START)}))], problems)
    chapters = with_ids(chapters, problems)
    lines = [line for chapter in chapters for line in chapter.lines]
    if not problems and len(lines) != 1:
        found = "a pause between words" if lines else "a pause without a text"
        problems.add(START, found, "a text on the command line is one line: put several into a script")
    if problems:
        raise ScriptError(path, problems, raw)
    title = lines[0].turns[0].text[:TITLE_CHARACTERS]
    return Script(path, raw, title, None, None, chapters, tuple(problems.warnings))
