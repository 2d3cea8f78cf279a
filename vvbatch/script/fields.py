"""Strict readers for the fields of a script: from the text that the author wrote to a value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from vvbatch.script.characters import without_silent
from vvbatch.script.model import LONGEST_PAUSE_S, Normalise, Position, Refused
from vvbatch.script.source import UNSPEAKABLE, unspeakable

MAX_LINES = 100_000
MAX_SPEAKERS = 4  # in one dialogue
NARRATOR = "narrator"
DEFAULT_VOICE = "default"
LANGUAGE = r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*"

_NUMBER = re.compile(r"(?:0|[1-9][0-9]*|(?=\.[0-9]))(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Range:
    """The allowed range of a number: `low` to `high`, both included unless `low_allowed` is false."""

    low: float
    high: float
    whole: bool = False
    low_allowed: bool = True

    def __str__(self) -> str:
        low = f"{self.low:g}" if self.low_allowed else f"more than {self.low:g}"
        return f"{'a whole number' if self.whole else 'a number'}, {low} to {int(self.high)}"

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and (self.low_allowed or value != self.low)


RANGES: Mapping[str, Range] = {
    "seed": Range(0, 2**63 - 1, whole=True),
    "cfg_scale": Range(0, 20),
    "steps": Range(1, 100, whole=True),
    "takes": Range(1, 20, whole=True),
    "max_duration_s": Range(0, 7200, low_allowed=False),
    "pause_after_s": Range(0, LONGEST_PAUSE_S),
}


def number(key: str, raw: str) -> int | float:
    """Read a plain decimal number in the range of `key`. Raises Refused."""
    limit = RANGES[key]
    match = _NUMBER.fullmatch(raw)
    if not match:
        zero = " with a leading zero" if re.fullmatch("0[0-9]+", raw) else ""
        raise Refused(f"{key} is {quoted(raw)}{zero}", f"allowed: {limit}")
    if limit.whole and (match[1] or match[2]):
        rounded = " (a spreadsheet may have rounded it: format the cell as text)" if match[2] else ""
        raise Refused(f"{key} is {raw[:40]}", f"allowed: {limit}{rounded}")
    # int() raises another error for thousands of digits; any number of 40 characters is out of range as a float.
    value = int(raw) if limit.whole and len(raw) < 40 else float(raw)
    if value not in limit:
        raise Refused(f"{key} is {raw[:40]}", f"allowed: {limit}")
    return value


def title(raw: str) -> str:
    return _short(raw, "title", 200)


def author(raw: str) -> str:
    return _short(raw, "author", 200)


def description(raw: str) -> str:
    return _short(raw, "description", 4000)


def file_name(raw: str) -> str:
    """The path of a file, relative to the script."""
    value = single_spaced(raw)
    if not value or len(value) > 400:
        raise Refused(f"a path of {len(value)} characters", "a path has 1 to 400 characters")
    return value


def pause_length(raw: str) -> float:
    """Seconds, as `pause_after_s` has them."""
    return float(number("pause_after_s", raw))


def flag(key: str) -> Callable[[str], bool]:
    """A reader for `true` and `false`."""

    def read(raw: str) -> bool:
        if raw not in ("true", "false"):
            raise Refused(f"{key} is {quoted(raw)}", "allowed: true, false")
        return raw == "true"

    return read


def name(kind: str) -> Callable[[str], str]:
    """A reader for names of speakers, voices or models."""
    return lambda raw: _short(raw, kind, 64)


def word(kind: str) -> Callable[[str], str]:
    """A reader for a word and for what is said in its place."""

    def read(raw: str) -> str:
        value = _short(raw, kind, 200)
        if not any(letter.isalnum() for letter in value):
            raise Refused(f"{kind} {quoted(value)}", "it needs a letter or a digit")
        return value

    return read


def normalise(raw: str) -> Normalise:
    """How far numbers and abbreviations are put into words."""
    levels: Mapping[str, Normalise] = {level: level for level in get_args(Normalise)}
    if raw not in levels:
        raise Refused(f"normalise is {quoted(raw)}", choices(levels))
    return levels[raw]


def given_id(raw: str) -> str:
    if not _ID.fullmatch(raw) or raw.endswith("."):
        allowed = "allowed: 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit, not ending with a dot"
        raise Refused(f"id {quoted(raw)}", allowed)
    if _RESERVED.fullmatch(raw):
        raise Refused(f"id {quoted(raw)}, a name that Windows reserves", f"allowed: any other, such as line-{raw}")
    return raw


def language(raw: str) -> str:
    """A language tag (BCP 47): "de", "en-GB"."""
    if not re.fullmatch(LANGUAGE, raw):
        raise Refused(f"language {quoted(raw)}", "allowed: a code of two or three letters, such as de or en-GB")
    return raw


def _number(key: str) -> Callable[[str], int | float]:
    return lambda raw: number(key, raw)


READERS: Mapping[str, Callable[[str], Any]] = {
    "id": given_id,
    "speaker": name("speaker"),
    "voice": name("voice"),
    "model": name("model"),
    "escalate": name("model"),
    **{key: _number(key) for key in RANGES},
}
"""The fields of a line other than its text, in YAML and in CSV."""

Given = dict[str, tuple[Any, Position]]
"""Fields that a line has or inherits: the value from READERS, and its position."""


def quoted(raw: str) -> str:
    """A value for a message: in quotes, escaped, at most 60 characters."""
    return repr(raw) if len(raw) <= 60 else repr(raw[:59] + "…")


def choices(names: Iterable[str]) -> str:
    """`allowed: a, b, c`, with at most 20 names."""
    known = list(names)
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return f"allowed: {', '.join(known[:20])}{more}"


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    """`, did you mean 'alice'?` with the known name closest to `unknown`, ignoring case; empty if none is close."""
    from difflib import get_close_matches  # slow to import, and needed for errors only

    by_folded = {one.casefold(): one for one in known}
    near = get_close_matches(unknown[:64].casefold(), by_folded, n=1)
    return f", did you mean {by_folded[near[0]]!r}?" if near else ""


def single_spaced(raw: str) -> str:
    """`raw` in Unicode form NFC with single spaces. Raises Refused for an UNSPEAKABLE character."""
    bad = UNSPEAKABLE.search(raw)
    if bad:
        raise Refused(unspeakable(bad[0]), "remove it")
    return " ".join(unicodedata.normalize("NFC", raw).split())


def _short(raw: str, kind: str, longest: int) -> str:
    value = single_spaced(without_silent(single_spaced(raw)))
    if not value:
        raise Refused(f"an empty {kind}", f"a {kind} has 1 to {longest} characters")
    if len(value) > longest:
        raise Refused(f"a {kind} of {len(value)} characters", f"a {kind} has at most {longest}")
    return value
