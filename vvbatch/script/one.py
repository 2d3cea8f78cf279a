"""A script of one line, for a text from the command line: read as strictly as a file's."""

from __future__ import annotations

from pathlib import Path

from vvbatch.script.fields import NARRATOR, Refused, line, text
from vvbatch.script.ids import with_ids
from vvbatch.script.model import Chapter, Problem, Problems, Script, ScriptError, ScriptTurn
from vvbatch.script.source import START

TITLE_CHARACTERS = 40


def one_line(words: str, *, voice: str, seed: int | None) -> Script:
    """Raises ScriptError when there is nothing to speak in `words`."""
    path = Path("TEXT")
    try:
        spoken = text(words)
    except Refused as refused:
        raise ScriptError(path, [Problem(START, refused.found, refused.allowed)], words) from refused
    given = {} if seed is None else {"seed": (seed, START)}
    spoken_line = line([ScriptTurn(NARRATOR, voice, spoken, START, START)], START, given)
    chapters = with_ids([Chapter("", (spoken_line,))], Problems())
    return Script(path, words, spoken[:TITLE_CHARACTERS], None, None, chapters)
