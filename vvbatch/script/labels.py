"""Labels of speakers in plain text: `Speaker 1:`, `[S1]`, `SPEAKER_00:`, `Alice:`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise

from vvbatch.script.rows import Row

VOICES = ("carter", "alice", "frank", "maya")
"""The voices of the first four speakers; the fifth has the first again."""
HIGHEST_NUMBER = 999

_TIMED = r"(?:[0-9]{1,2}:)?[0-9]{1,2}:[0-9]{2}"
_TIME = r"[\u200b-\u200f\u2060]*(?:[\[(]?(?:[0-9]{1,2}:)?[0-9]{1,2}:[0-9]{2}(?:[.,][0-9]{1,3})?[\])]?[ ]*(?:-[ ]*)?)?"
_BOLD = r"[*_]{0,3}"
_BULLET = r"(?:(?:[-*+•‣◦]|>)[ ]+)?"  # of a list or a quotation, in front of each label
_GAP = r"[^\S\n]{0,40}"
_SPEAKER_WORDS = "speaker|spk|person|voice|s"
_ASIDE = r"(?:\([^()\n]{1,40}\)|\[[^\[\]\n]{1,40}\])"  # `(laughing)`, `[00:05]`
_NUMBERED = re.compile(
    rf"""
    {_BULLET} {_TIME} (?P<bold>{_BOLD})
    (?: (?P<colon> (?:{_SPEAKER_WORDS}) [ _\#-]* (?P<a>[0-9]+) {_GAP} {_BOLD} {_GAP} (?:{_ASIDE}[ ]?)? [:：]
          {_BOLD})
      | (?P<bracket> (?:[\[(<]|\{{{{2}})[ ]? (?:{_SPEAKER_WORDS}) [ _-]* (?P<b>[0-9]+) [ ]?(?:[\])>]|\}}{{2}})
          {_BOLD} (?:[ ]*[:：])? {_BOLD} )
      | (?P<dash> (?:{_SPEAKER_WORDS}) [ _\#-]* (?P<d>[0-9]+) {_BOLD} [ ][-–—]{{1,2}} {_BOLD} (?=[ ]) )
      | (?P<row> (?:speaker|spk) [ _\#-]* (?P<e>[0-9]+) {_BOLD} {_GAP} (?:{_TIMED}|{_ASIDE})? {_GAP} $ )
      | (?P<number> \[ [ ]? (?P<c>[0-9]+) [ ]? \] {_BOLD} [ ]* [:：] {_BOLD} (?![ ]*(?:<|https?:|www\.|mailto:)) ) )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_INLINE = re.compile(
    r"[\[(<][ ]?(?:speaker|spk|person|voice|s)[ _-]*(?P<b>[0-9]+)[ ]?[\])>](?:[ ]*[:：])?", re.IGNORECASE
)
_SPEAKER = re.compile(rf"{_BULLET}{_BOLD}speaker{_GAP}#?[0-9]", re.IGNORECASE)
_WORDS_OF_NAME = r"[^\W\d_][\w.'’-]{0,30}(?:[ ][\w.'’-]{1,30}){0,2}"
_NAME = re.compile(
    rf"""
    {_BULLET} {_TIME} (?P<bold>{_BOLD})
    (?: (?P<name>{_WORDS_OF_NAME}) [ ]? (?:{_ASIDE}[ ]?)? {_BOLD} [:：] {_BOLD} (?=\s|$|(?<=：))
      | <v(?:\.[\w.-]{{1,40}})?[ ] (?P<voice>{_WORDS_OF_NAME}) > )
    """,
    re.VERBOSE,
)
# What comes again and again at the start of a paragraph, and is spoken: `[Alice] Hello.`, `ALICE. Hello.`,
# `Alice – Hello.`, `ALICE` over `Hello.`, `1: Hello.`, `[1] Hello.`
_UNCERTAIN = re.compile(
    rf"""
    {_BULLET} {_TIME} {_BOLD}
    (?: [\[<{{](?P<bracket>{_WORDS_OF_NAME})[\]>}}] (?=\s)
      | (?P<dash>{_WORDS_OF_NAME}) [ ][-–—]{{1,2}}[ ]
      | (?P<play>[^\W\d_a-z][^\Wa-z]+(?:[ ][^\Wa-z]+){{0,2}}) {_BOLD} (?:\.[ ]|{_GAP}$)
      | (?P<number>[0-9]{{1,3}}) : [ ]
      | \[(?P<note>[0-9]{{1,3}})\] [ ] )
    """,
    re.VERBOSE,
)
_SENTENCE_END = re.compile(r"[.!?…。！？][”’\"'»)*_]*$")
_SPEECH = re.compile(r"\s+[“\"'‘«„(]*(?=[^\W\d_])[^a-zß-öø-ÿ].*[.!?…][”’\"'»)*_]*$")
# Words that come before a colon in prose.
_BEFORE_COLON = (
    "note notes remember warning caution important attention tip tips hint example examples ps nb nota "
    "summary conclusion result results reason update edit source sources title subtitle author date time place subject "
    "chapter part section act scene book volume step ingredients method directions contents copyright isbn translator "
    "morning noon afternoon evening night today tomorrow yesterday monday tuesday wednesday thursday friday saturday "
    "sunday january february march april may june july august september october november december first second third "
    "fourth fifth finally however moreover also fact facts rule rules moral lesson definition theorem proof figure "
    "table photo image caption disclaimer hinweis achtung beispiel merke wichtig remarque exemple "
    "attention nota ejemplo advertencia"
)
_NO_NAMES = frozenset(_BEFORE_COLON.split())


@dataclass(frozen=True)
class Label:
    start: int  # indices in the text; its speaker's text begins at `end`
    end: int
    speaker: str
    number: int | None  # of a numbered one
    shown: str  # as it is written
    bold: str = ""  # the markup that it opened and did not close


@dataclass(frozen=True)
class Labels:
    """The labels of a text, and those that are only alike: they are spoken."""

    labels: tuple[Label, ...]
    doubtful: tuple[Label, ...] = ()

    def voices(self) -> dict[str, str]:
        """The voice of each speaker. Numbers begin with 0 or 1; a name that is one of VOICES has this voice."""
        numbers = [label.number for label in self.labels if label.number is not None]
        if numbers:
            lowest = 0 if 0 in numbers else 1
            return {
                label.speaker: VOICES[(label.number - lowest) % len(VOICES)]
                for label in self.labels
                if label.number is not None
            }
        names = list(dict.fromkeys(label.speaker for label in self.labels))
        own = {name: name.casefold() for name in names if name.casefold() in VOICES}
        free = [voice for voice in VOICES if voice not in own.values()] or VOICES
        others = [name for name in names if name not in own]
        return own | {name: free[index % len(free)] for index, name in enumerate(others)}


def labels_of(text: str, rows: Collection[Row]) -> Labels:
    """The labels among the rows of a text, without its headings and scene breaks.

    `Speaker 1:` is a label wherever it begins a row. Other forms are labels if the text begins with one, names only if
    every paragraph or every row begins with one.
    """
    numbered = [(kind, label) for row in rows for kind, label in _numbered(row)]
    strict = [label for kind, label in numbered if kind == "colon" and _SPEAKER.match(label.shown)]
    first = next(iter(rows), None)
    above = {row.start for row in rows if row.first and not row.last}
    numbered = [(kind, label) for kind, label in numbered if kind != "row" or label.start in above]
    kind = next((kind for kind, label in numbered if first and label.start == first.start), None)
    if strict and kind is None:
        kind = "colon"
    if kind:
        labels = [label for each, label in numbered if each == kind]
        if kind == "bracket":
            labels += _inline(text, labels)
        names = _alike(rows, {label.start for label in labels})
        others = [label for each, label in numbered if each != kind]
        return Labels(tuple(sorted(labels, key=lambda label: label.start)), (*others[:1], *names))
    named = [(row, label) for row in rows if (label := _named(row))]
    if len(named) > 1 and _consistent(rows, named):
        return Labels(tuple(label for _, label in named))
    known = {label.start for _, label in numbered}
    alike = (*[label for _, label in numbered][:1], *_alike(rows, known, only_first=not numbered))
    return Labels((), alike or _uncertain(rows))


def _numbered(row: Row) -> Iterable[tuple[str, Label]]:
    found = _NUMBERED.match(row.text)
    if found:
        kind = next(name for name in ("colon", "bracket", "number", "dash", "row") if found[name])
        yield kind, _label(row, found, next(digits for digits in found.group("a", "b", "c", "d", "e") if digits))


def _label(row: Row, found: re.Match[str], digits: str) -> Label:
    number = int(digits[:10])
    opened = found["bold"] if found["bold"] and found[0].count(found["bold"]) == 1 else ""
    return Label(row.start, row.start + found.end(), f"Speaker {number}", number, found[0].strip(), opened)


def _inline(text: str, labels: list[Label]) -> list[Label]:
    """Labels in brackets within rows, as in `[S1] Hello. [S2] Hi.`"""
    ends = {label.end for label in labels} | {label.end - 1 for label in labels}
    known = {label.start for label in labels}
    return [
        Label(found.start(), found.end(), f"Speaker {int(found['b'][:10])}", int(found["b"][:10]), found[0])
        for found in _INLINE.finditer(text)
        if found.start() not in known and found.end() not in ends
    ]


def _named(row: Row) -> Label | None:
    found = _NAME.match(row.text)
    if not found:
        return None
    name = found["name"] or found["voice"]
    if not _is_name(name):
        return None
    opened = found["bold"] if found["bold"] and found[0].count(found["bold"]) == 1 else ""
    return Label(row.start, row.start + found.end(), name, None, found[0].strip(), opened)


_NUMBER_WORD = re.compile(r"(?:speaker|person|voice|host|guest) (?:one|two|three|four|five|six)", re.IGNORECASE)


def _is_name(name: str) -> bool:
    words = name.replace(".", " ").split()
    if not words or words[0].casefold() in _NO_NAMES:
        return False
    return len(words) == 1 or not any(word[0].islower() for word in words) or bool(_NUMBER_WORD.fullmatch(name))


def _uncertain(rows: Collection[Row]) -> tuple[Label, ...]:
    """The first of what may be labels of a form that is not read, where every paragraph begins with one."""
    first = [row for row in rows if row.first]
    found = [match for row in first if (match := _UNCERTAIN.match(row.text))]
    kinds = {match.lastgroup for match in found}
    if len(found) < max(len(first), 2) or len(kinds) != 1:
        return ()
    (kind,) = kinds
    names = [str(match[str(kind)]) for match in found]
    if kind in ("number", "note"):  # more of them are a list
        likely = len(set(names)) <= len(VOICES)
    else:
        likely = all(_is_name(name) and not name[0].islower() for name in names)
        likely &= kind != "play" or all(name.isupper() for name in names)
    row = first[0]
    return (Label(row.start, row.start + found[0].end(), names[0], None, found[0][0].strip()),) if likely else ()


def _consistent(rows: Collection[Row], named: list[tuple[Row, Label]]) -> bool:
    """Whether names begin every paragraph or every row, and are few enough to be speakers."""
    paragraphs = sum(row.first for row in rows)
    counts = Counter(label.speaker for _, label in named)
    everywhere = len(named) == len(rows) or sum(row.first for row, _ in named) == paragraphs
    if any(name[0].islower() for name in counts) and max(counts.values()) == 1:
        return False  # a list of things rather than of speakers
    return everywhere and (len(counts) <= len(VOICES) or (max(counts.values()) > 1 and len(counts) <= len(named) / 2))


def _alike(rows: Collection[Row], labels: set[int], *, only_first: bool = False) -> list[Label]:
    """The first name that looks like a label although it is none: one that comes again, in two rows in a row, alone
    over its text as another one does, before a sentence with a capital, or at the start of the text before any."""
    named = [(row, label) for row in rows if row.start not in labels and (label := _named(row))]
    named = [(row, label) for row, label in named if not label.speaker[0].islower()]
    counts = Counter(label.speaker for _, label in named)
    again = [label for _, label in named if counts[label.speaker] > 1]
    in_a_row = [label for (row, label), (below, _) in pairwise(named) if below.number == row.number + 1]
    alone = [label for row, label in named if row.alone and label.end == row.end]
    opening = [
        label
        for row, label in named[:1]
        if only_first and row.start == next(iter(rows)).start and _SENTENCE_END.search(row.text)
    ]
    before_speech = [label for row, label in named if row.first and _SPEECH.match(row.text, label.end - row.start)]
    alike = [*again, *in_a_row, *(alone if len(alone) > 1 else ()), *before_speech, *opening]
    return sorted(alike, key=lambda label: label.start)[:1]
