"""What the parsers of all formats share: a text becomes turns and pauses, turns become lines, pauses go to the line
before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from vvbatch.script.fields import RANGES, Given
from vvbatch.script.model import (
    BreakAfter,
    Chapter,
    Pause,
    PauseKind,
    Position,
    Problems,
    Refused,
    ScriptLine,
    ScriptSound,
    ScriptTurn,
)
from vvbatch.script.source import Source
from vvbatch.script.speech import Note, NothingToSpeak, speech_of

Spoken = list[ScriptTurn | Pause]


@dataclass(frozen=True)
class PauseItem:
    """A pause among the lines of a script."""

    pause: Pause
    position: Position


@dataclass(frozen=True)
class SoundItem:
    """An audio file among the lines of a script."""

    path: str
    position: Position


Item = ScriptLine | PauseItem | SoundItem


@dataclass(frozen=True)
class Texts:
    """Reads the texts of one script. What is not allowed becomes a problem, what is not spoken a warning."""

    source: Source
    problems: Problems
    silent_allowed: bool = False  # a text with nothing to speak is left out with a warning, instead of refused

    def read(
        self, raw: str, speaker: str, voice: str, position: Position, voice_position: Position, length: int = 0
    ) -> Spoken:
        """The turns of a text and the pauses between them; none if it is refused.

        `length` is that of the text in the source, where warnings look for their place; 0: twice that of `raw`.
        """
        try:
            speech = speech_of(raw, self.source.words)
        except Refused as refused:
            if self.silent_allowed and isinstance(refused, NothingToSpeak):
                remedy = "take it out; `[pause 1s]` is a pause, a line of `* * *` a section break"
                self.problems.warn(position, "nothing-to-speak", f"{refused.found}: it is left out", remedy)
            else:
                self.problems.add(position, refused.found, refused.allowed)
            return []
        for note in speech.notes:
            self.problems.warn(
                self._place(note, position, length or 2 * len(raw)), note.code, note.message, note.remedy
            )
        return [
            part
            if isinstance(part, Pause)
            else ScriptTurn(speaker, voice, part.spoken, position, voice_position, part.written)
            for part in speech.parts
        ]

    def _place(self, note: Note, position: Position, length: int) -> Position:
        start = self.source.index(position)
        found = self.source.text.find(note.where, start, start + length)
        return position if found < 0 else self.source.position(found)


def lines_of(
    spoken: Spoken,
    position: Position,
    given: Given,
    *,
    divisible: bool = False,
    ends: BreakAfter = BreakAfter.LINE,
) -> list[Item]:
    """Turns between pauses as lines. The first has the id that is given, the others `<id>-part-2` and so on.

    `ends` is what ends with the last of them.
    """
    own: dict[str, Any] = {key: value for key, (value, _) in given.items() if key not in ("speaker", "voice")}
    positions = {key: at for key, (_, at) in given.items()}
    own_id = own.pop("id", "")
    items: list[Item] = []
    part = 0
    for is_pause, group in groupby(spoken, lambda each: isinstance(each, Pause)):
        if is_pause:
            items += [PauseItem(pause, position) for pause in group if isinstance(pause, Pause)]
            continue
        part += 1
        items.append(
            ScriptLine(
                id=own_id if part == 1 or not own_id else f"{own_id}-part-{part}",
                turns=tuple(turn for turn in group if isinstance(turn, ScriptTurn)),
                position=position,
                positions=positions,
                divisible=divisible,
                pause_given_s=own.get("pause_after_s"),
                **own,
            )
        )
    last = max((index for index, item in enumerate(items) if isinstance(item, ScriptLine)), default=None)
    return [
        replace(item, break_after=ends) if index == last and isinstance(item, ScriptLine) else item
        for index, item in enumerate(items)
    ]


def chapters_of(drafts: Iterable[tuple[str, Iterable[Item]]], problems: Problems) -> tuple[Chapter, ...]:
    """Chapters that have lines. A pause belongs to the line before it, also to the last one of the chapter before."""
    chapters: list[tuple[str, list[ScriptLine], list[ScriptSound]]] = []
    last: list[ScriptLine] | None = None
    for title, items in drafts:
        lines: list[ScriptLine] = []
        sounds: list[ScriptSound] = []
        chapters.append((title, lines, sounds))
        for item in items:
            if isinstance(item, ScriptLine):
                lines.append(item)
                last = lines
            elif isinstance(item, SoundItem):
                sounds.append(ScriptSound(item.path, item.position, len(lines)))
            elif sounds and sounds[-1].before == len(lines):  # a pause after a sound is the sound's
                sounds[-1] = replace(sounds[-1], pause_after_s=(sounds[-1].pause_after_s or 0.0) + item.pause.seconds)
            elif last is None:
                what = "a section break" if item.pause.kind is PauseKind.SECTION else "a pause"
                remedy = "put it after a line: a pause is the silence after the line before it"
                problems.warn(item.position, "pause", f"{what} before the first line; it is left out", remedy)
            else:
                last[-1] = _paused(last[-1], item, problems)
    for _, lines, sounds in chapters:
        if sounds and not lines:
            problems.add(sounds[0].position, "a sound in a chapter without lines", "a chapter has one line or more")
    return tuple(Chapter(title, tuple(lines), tuple(sounds)) for title, lines, sounds in chapters if lines)


def _paused(line: ScriptLine, item: PauseItem, problems: Problems) -> ScriptLine:
    """The line with one more pause after it. Two section breaks in a row are one; other pauses add up."""
    if item.pause.kind is PauseKind.SECTION and item.pause in line.pauses:
        return line
    pauses = (*line.pauses, item.pause)
    seconds = sum(pause.seconds for pause in pauses)
    limit = RANGES["pause_after_s"]
    if seconds not in limit:
        problems.add(item.position, f"pauses of {seconds:g} seconds in a row", f"pause_after_s: {limit}")
    line = replace(line, pauses=pauses, pause_after_s=max(line.pause_after_s, seconds))
    if item.pause.kind is PauseKind.SECTION:
        return replace(line, break_after=BreakAfter.SECTION)
    timed = sum(pause.seconds for pause in pauses if pause.kind is PauseKind.PAUSE)
    return replace(line, pause_given_s=max(line.pause_given_s or 0.0, timed))


def in_order(rows: Iterable[tuple[str, list[Item]]]) -> Iterator[tuple[str, list[Item]]]:
    """Rows of a chapter title and its items, joined by title: chapters in the order of their first row."""
    chapters: dict[str, list[Item]] = {}
    for title, items in rows:
        chapters.setdefault(title, []).extend(items)
    yield from chapters.items()
