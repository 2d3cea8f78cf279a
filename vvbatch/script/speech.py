"""From the text that an author wrote to what is spoken: characters without sound, markup and pictures are taken out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from vvbatch.script.characters import lost, may_be_silent, pictures, without_lost, without_pictures, without_silent
from vvbatch.script.fields import quoted, single_spaced
from vvbatch.script.hyphens import Join, joined
from vvbatch.script.markup import pause_of, split_at_pauses, without_markup
from vvbatch.script.model import Pause, Refused
from vvbatch.script.source import UNSPEAKABLE
from vvbatch.script.written import written_parts

_SPEAKABLE = re.compile(r"[^\W_]")
# The letters and punctuation of most texts: none is silent or part of markup, and all are in Unicode form NFC.
_ORDINARY = re.compile("[A-Za-z0-9\u00c0-\u024f .,;:!?'\"’‘“”«»—–…()/-]+")
_MAY_BE_MARKUP = re.compile(r"[\[\]<>&`~*_#+{}•‣◦▪●■]|[^\S ]|^ |  | $")
"""What every mark of a pause and every piece of markup has, and spaces that are not single."""
_CLOSING = re.compile(r"[.,;:!?…)\]}»”’\"'、。，！？]+")
_UNKNOWN_MARK = re.compile(
    r"[\[{(<](?:(?:a|long|short|brief|medium|dramatic)\s)?(?:pause|break|silence|beat|wait)(?:\b|_)[^\[\](){}<>\n]{0,60}[\]})>]"
    r"|[\[{]\s?[0-9.,]{1,6}\s?m?s(?:ec(?:onds?)?)?\s?[\]}]",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Said:
    """A text without a pause in it. `written` is None if it is spoken as it is written."""

    spoken: str
    written: str | None = None


@dataclass(frozen=True)
class Note:
    """What of a text is not spoken as it is written; `where` is a part of the text at which it is."""

    code: str
    message: str
    remedy: str
    where: str


class NothingToSpeak(Refused):
    """A text that has something in it, but neither a letter, a digit nor a pause: `…`."""


@dataclass(frozen=True)
class Speech:
    parts: tuple[Said | Pause, ...]
    notes: tuple[Note, ...] = ()


def speech_of(raw: str, words: Callable[[], Mapping[str, int]] = dict) -> Speech:
    """What is said of a text, and the pauses in it. `words` gives those of the whole script, for `joined`.

    Speech made from what this returns is the same, without notes. Raises Refused for UNSPEAKABLE characters, a pause
    out of range and an empty text, NothingToSpeak for a text with neither a letter, a digit nor a pause.
    """
    if _is_plain(raw):
        return Speech((Said(raw),))
    written = single_spaced(raw)
    text, joins = joined(raw, words)
    taken: dict[str, list[str]] = {}
    text = _plain(text, taken)
    parts: list[Said | Pause] = []
    for piece in split_at_pauses(text):
        if isinstance(piece, re.Match):
            parts.append(pause_of(piece))
            continue
        spoken = _plain(piece, taken)
        if _SPEAKABLE.search(spoken):
            parts.append(Said(spoken))
        elif _CLOSING.fullmatch(spoken):
            _add_to_last(parts, spoken)
    if not parts:
        if written:
            raise NothingToSpeak(f"{quoted(written)}, nothing to speak", "a text needs a letter or a digit")
        raise Refused("empty text", "a text needs a letter or a digit")
    return Speech(_with_written(parts, raw, written), (*_join_notes(joins), *_notes(taken), *_unknown_marks(parts)))


def _is_plain(raw: str) -> bool:
    """Whether a text is spoken as it is, found without trying each rule; false where it is not certain."""
    if "(" in raw and _UNKNOWN_MARK.search(raw):
        return False
    if _ORDINARY.fullmatch(raw):
        return "  " not in raw and raw == raw.strip(" ") and bool(_SPEAKABLE.search(raw))
    return (
        not _MAY_BE_MARKUP.search(raw)
        and not may_be_silent(raw)
        and not UNSPEAKABLE.search(raw)
        and unicodedata.is_normalized("NFC", raw)
        and bool(_SPEAKABLE.search(raw))
    )


def _plain(text: str, taken: dict[str, list[str]]) -> str:
    """`text` with single spaces as it is spoken. What taking one thing out uncovers is taken out as well."""
    while True:
        plain = " ".join(without_markup(text, taken.setdefault("markup", []).append).split())
        taken.setdefault("emoji", []).extend(pictures(plain))
        plain = without_silent(without_pictures(plain))
        taken.setdefault("lost", []).extend(lost(plain))
        plain = " ".join(unicodedata.normalize("NFC", without_lost(plain)).split())
        if plain == text:
            return plain
        text = plain


def _add_to_last(parts: list[Said | Pause], closing: str) -> None:
    """Put punctuation that a pause separated from its text behind the text."""
    for index in reversed(range(len(parts))):
        part = parts[index]
        if isinstance(part, Said):
            if not _CLOSING.match(part.spoken[-1]):
                parts[index] = Said(part.spoken + closing)
            return


def _with_written(parts: list[Said | Pause], raw: str, written: str) -> tuple[Said | Pause, ...]:
    """The same parts, each with what was written of it."""
    said = [part for part in parts if isinstance(part, Said)]
    pieces = split_at_pauses(raw)
    of_each = [piece for piece in pieces if isinstance(piece, str) and _SPEAKABLE.search(piece)]
    if len(said) == len(parts) == 1:
        of_each = [written]
    elif len(of_each) != len(said):  # marks that only cleaning brings out
        of_each = written_parts([part.spoken for part in said], written)
    texts = iter(of_each)
    return tuple(part if isinstance(part, Pause) else _said(part.spoken, next(texts)) for part in parts)


def _said(spoken: str, written: str) -> Said:
    written = single_spaced(written)
    same = spoken.startswith(written) and (written == spoken or _CLOSING.fullmatch(spoken[len(written) :]))
    return Said(spoken, None if same else written)


def _notes(taken: Mapping[str, list[str]]) -> list[Note]:
    notes = []
    for code, what, remedy in (
        ("markup", "markup in a text is taken out", "write the text as it is to be spoken"),
        ("emoji", "pictures in a text are not spoken", "write in words what is to be spoken"),
        (
            "lost-character",
            "lost characters in a text are not spoken",
            "put the right character in its place, and save as UTF-8",
        ),
    ):
        found = list(dict.fromkeys(taken.get("lost" if code == "lost-character" else code, ())))
        if found:
            shown = ", ".join(_shown(one) for one in found[:5]) + (", …" if len(found) > 5 else "")
            notes.append(Note(code, f"{what}: {shown}", remedy, found[0]))
    return notes


def _shown(found: str) -> str:
    return f"U+{ord(found):04X}" if len(found) == 1 and lost(found) else found[:40]


def _join_notes(joins: list[Join]) -> list[Note]:
    return [
        Note(
            "hyphen",
            f"{join.left}- at the end of a line, {join.right} after it; spoken as {join.spoken}",
            f"write {join.left}{join.right} or {join.spoken}",
            f"{join.left}{join.hyphen}",
        )
        for join in joins
    ]


def _unknown_marks(parts: Iterable[Said | Pause]) -> list[Note]:
    return [
        Note("mark", f"{mark[0]} is no pause; it is spoken", "write [pause 1.5s] or [break], or take it out", mark[0])
        for part in parts
        if isinstance(part, Said)
        for mark in _UNKNOWN_MARK.finditer(part.spoken)
    ]
