"""Ids of lines: given ids are unique regardless of case; generated ids depend only on the content of the line.

Lines that no author wrote, a spoken title or a part of a long line, have ids with a `~`, which a given id cannot have.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from vvbatch.script.model import Chapter, Position, Problems, Role, ScriptLine


def title_id(chapter: int) -> str:
    """The id of a chapter's spoken title; chapters count from 1, as in the names of their folders."""
    return f"chapter-{chapter:02d}~title"


def part_id(line_id: str, number: int) -> str:
    """The id of a part of a long line; parts count from 1."""
    return f"{line_id}~{number}"


def with_ids(chapters: Iterable[Chapter], problems: Problems) -> tuple[Chapter, ...]:
    """The same chapters with an id for every line. A repeated id is a problem.

    A generated id is made from the title of the chapter, the speakers and texts of the turns, and the number of earlier
    lines in the chapter with the same content and no id. Inserting or editing a line renames no other.
    """
    chapters = tuple(chapters)
    taken: dict[str, Position] = {}
    for line in (line for chapter in chapters for line in chapter.lines if line.id):
        position = line.positions["id"]
        first = taken.setdefault(line.id.casefold(), position)
        if first is not position:
            found = f"id {line.id!r} is the same as the one at {first.line}:{first.column}"
            problems.add(position, found, "use each id once; A and a count as the same")
    seen: Counter[str] = Counter()

    def named(chapter: int, line: ScriptLine) -> ScriptLine:
        if line.id:
            return line
        if line.role is Role.TITLE:
            return replace(line, id=title_id(chapter))
        content = json.dumps([chapters[chapter - 1].title, [[turn.speaker, turn.text] for turn in line.turns]])
        seen[content] += 1
        salt = seen[content], 0
        while (new := _digest(content, salt)) in taken:
            salt = salt[0], salt[1] + 1
        taken[new] = line.position
        return replace(line, id=new)

    return tuple(
        replace(chapter, lines=tuple(named(number, line) for line in chapter.lines))
        for number, chapter in enumerate(chapters, start=1)
    )


def _digest(content: str, salt: tuple[int, int]) -> str:
    """Ten characters of a-z and 2-7: 50 bits."""
    digest = hashlib.sha256(f"{content} {salt[0]} {salt[1]}".encode()).digest()
    return base64.b32encode(digest)[:10].decode().lower()
