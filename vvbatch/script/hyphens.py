"""Words that a line end divides: `light-` and `house` in the next line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_DIVIDED = re.compile(r"(?<=[^\W\d_])([-\u2010\u00ad])[^\S\n]*+\n[^\S\n]*+(?=[^\W\d_])")
_WORD = re.compile(r"[^\W\d_]+(?:['’\-\u2010][^\W\d_]+)*")
_LAST = re.compile(r"[^\W\d_]+$")
_FIRST = re.compile(r"[^\W\d_]+")
_LONGEST = 60
_CONJUNCTIONS = "and or to but nor und oder bis sowie et ou à y o u e ed a och eller en of"
_SUSPENDED = frozenset(_CONJUNCTIONS.split())
"""Words after a hyphen that stands for the rest of a word: `short- and long-term`."""


@dataclass(frozen=True)
class Join:
    """A divided word that the script has nowhere else."""

    left: str
    hyphen: str
    right: str

    @property
    def spoken(self) -> str:
        return f"{self.left}-{self.right}"


def words_of(text: str) -> Mapping[str, int]:
    """How often each word is in a text, in lower case, with its hyphens."""
    return Counter(found[0].casefold().replace("\u2010", "-") for found in _WORD.finditer(text.replace("\u00ad", "")))


def joined(text: str, words: Callable[[], Mapping[str, int]]) -> tuple[str, list[Join]]:
    """`text` with its divided words in one piece, and those that are only a guess.

    A word is written as elsewhere in the script, in one piece or with a hyphen; one that is nowhere else keeps the
    hyphen. A soft hyphen always joins. A hyphen before `and` or before a capital is none that divides. `words` is
    called only for a text that has a divided word.
    """
    guesses: list[Join] = []

    def replacement(found: re.Match[str]) -> str:
        left = _LAST.search(text[max(0, found.start() - _LONGEST) : found.start()])
        right = _FIRST.match(text[found.end() : found.end() + _LONGEST])
        assert left and right  # the pattern has a letter on each side
        if found[1] == "\u00ad":
            return ""
        one, two = f"{left[0]}{right[0]}".casefold(), f"{left[0]}-{right[0]}".casefold()
        of_one, of_two = words().get(one, 0), words().get(two, 0)
        if of_one >= max(of_two, 1):
            return ""
        if of_two:
            return "-"
        if not right[0][0].islower() or right[0] in _SUSPENDED:
            return found[0]
        guesses.append(Join(left[0], found[1], right[0]))
        return "-"

    return _DIVIDED.sub(replacement, text), guesses
