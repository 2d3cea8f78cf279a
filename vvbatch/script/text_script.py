"""Plain text: turns with `Speaker N:` labels, or paragraphs for the narrator."""

from __future__ import annotations

import re

from vvbatch.script.fields import DEFAULT_VOICE, MAX_LINES, NARRATOR, Refused, line, text
from vvbatch.script.model import Chapter, Line, Place, Problem, Script, Turn
from vvbatch.script.source import Source

VOICES = ("carter", "alice", "frank", "maya")
"""The voices of Speaker 1 to 4; with Speaker 5 they begin again."""

_LABEL = re.compile(r"^[^\S\n]*speaker[^\S\n]*([0-9]+)[^\S\n]*[:：]", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r"[1-9][0-9]{0,2}")
_PARAGRAPH = re.compile(r"\S.*(?:\n[^\S\n]*\S.*)*")


def read(source: Source, problems: list[Problem]) -> Script:
    """The script as far as it can be read; its lines have no ids yet."""
    labels = list(_LABEL.finditer(source.text))
    lines = _turns(source, labels, problems) if labels else _paragraphs(source, problems)
    if len(lines) > MAX_LINES:
        problems.append(Problem(lines[MAX_LINES].place, f"more than {MAX_LINES} lines", "split the script"))
    return Script(source.path, source.text, "", None, None, (Chapter("", tuple(lines)),))


def _turns(source: Source, labels: list[re.Match[str]], problems: list[Problem]) -> list[Line]:
    before = source.text[: labels[0].start()]
    if before.strip():
        place = source.place(len(before) - len(before.lstrip()))
        problems.append(Problem(place, "text before the first speaker label", "begin with `Speaker 1:`"))
    lines = []
    for label, end in zip(labels, [*(label.start() for label in labels[1:]), len(source.text)], strict=True):
        place = source.place(label.start())
        number = label[1]
        if not _NUMBER.fullmatch(number):
            problems.append(
                Problem(source.place(label.start(1)), f"Speaker {number[:20]}", "allowed: Speaker 1 to 999")
            )
            continue
        voice = VOICES[(int(number) - 1) % len(VOICES)]
        lines += _line(source.text[label.end() : end], f"Speaker {number}", voice, place, problems)
    return lines


def _paragraphs(source: Source, problems: list[Problem]) -> list[Line]:
    return [
        one
        for paragraph in _PARAGRAPH.finditer(source.text)
        for one in _line(paragraph[0], NARRATOR, DEFAULT_VOICE, source.place(paragraph.start()), problems)
    ]


def _line(raw: str, speaker: str, voice: str, place: Place, problems: list[Problem]) -> list[Line]:
    try:
        return [line([Turn(speaker, voice, text(raw), place, place)], place, {})]
    except Refused as refused:
        problems.append(Problem(place, refused.found, refused.allowed))
        return []
