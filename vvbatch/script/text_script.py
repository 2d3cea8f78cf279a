"""Scripts in plain text: lines with `Speaker N:` labels, or paragraphs for the narrator."""

from __future__ import annotations

import re
from itertools import islice

from vvbatch.script.fields import DEFAULT_VOICE, MAX_LINES, NARRATOR, Refused, line, text
from vvbatch.script.model import Chapter, Position, Problems, Script, ScriptLine, ScriptTurn
from vvbatch.script.source import Source

VOICES = ("carter", "alice", "frank", "maya")
"""The voices of Speaker 1 to 4; Speaker 5 has the first again."""

_LABEL = re.compile(r"^[^\S\n]*(speaker[^\S\n]*([0-9]+)[^\S\n]*[:：])", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r"[1-9][0-9]{0,2}")
_PARAGRAPH = re.compile(r"\S.*+(?:\n[^\S\n]*+\S.*+)*+")


def read(source: Source, problems: Problems) -> Script:
    """Parse the script as far as possible and add to `problems`. Its lines have empty ids."""
    labels = list(islice(_LABEL.finditer(source.text), MAX_LINES + 1))
    parts = labels or list(islice(_PARAGRAPH.finditer(source.text), MAX_LINES + 1))
    if len(parts) > MAX_LINES:
        problems.add(source.position(parts[-1].start()), f"more than {MAX_LINES} lines", "split the script")
    lines = _turns(source, labels, problems) if labels else _paragraphs(source, parts, problems)
    return Script(source.path, source.text, "", None, None, (Chapter("", tuple(lines)),))


def _turns(source: Source, labels: list[re.Match[str]], problems: Problems) -> list[ScriptLine]:
    before = source.text[: labels[0].start()]
    if before.strip():
        position = source.position(len(before) - len(before.lstrip()))
        problems.add(position, "text before the first speaker label", "begin with `Speaker 1:`")
    lines = []
    for label, end in zip(labels, [*(label.start() for label in labels[1:]), len(source.text)], strict=True):
        position = source.position(label.start(1))
        number = label[2]
        if not _NUMBER.fullmatch(number):
            problems.add(source.position(label.start(2)), f"Speaker {number[:20]}", "allowed: Speaker 1 to 999")
            continue
        voice = VOICES[(int(number) - 1) % len(VOICES)]
        lines += _line(source.text[label.end() : end], f"Speaker {number}", voice, position, problems)
    return lines


def _paragraphs(source: Source, paragraphs: list[re.Match[str]], problems: Problems) -> list[ScriptLine]:
    return [
        one
        for paragraph in paragraphs
        for one in _line(paragraph[0], NARRATOR, DEFAULT_VOICE, source.position(paragraph.start()), problems)
    ]


def _line(raw: str, speaker: str, voice: str, position: Position, problems: Problems) -> list[ScriptLine]:
    try:
        return [line([ScriptTurn(speaker, voice, text(raw), position, position)], position, {})]
    except Refused as refused:
        problems.add(position, refused.found, refused.allowed)
        return []
