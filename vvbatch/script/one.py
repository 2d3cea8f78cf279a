"""A script of one line from a text on the command line, with the same checks as a file."""

from __future__ import annotations

from pathlib import Path

from vvbatch.script.fields import NARRATOR, Refused, line, text
from vvbatch.script.ids import with_ids
from vvbatch.script.model import Chapter, Problem, Problems, Script, ScriptError, ScriptTurn
from vvbatch.script.source import START

TITLE_CHARACTERS = 40


def one_line(raw: str, *, voice: str, seed: int | None) -> Script:
    """Raises ScriptError for a text without a letter or digit, or with control characters."""
    path = Path("TEXT")
    try:
        spoken = text(raw)
    except Refused as refused:
        raise ScriptError(path, [Problem(START, refused.found, refused.allowed)], raw) from refused
    given = {} if seed is None else {"seed": (seed, START)}
    spoken_line = line([ScriptTurn(NARRATOR, voice, spoken, START, START)], START, given)
    chapters = with_ids([Chapter("", (spoken_line,))], Problems())
    return Script(path, raw, spoken[:TITLE_CHARACTERS], None, None, chapters)
