"""Estimates the length of a text when it is spoken, in characters, syllables and words, for the checks of duration.

Much can be read in more than one way: "1984", "US", "#". The shortest reading sets the lower limits, the
longest reading the upper limits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from vvbatch.qc import numbers
from vvbatch.qc.letters import IDEOGRAPHS, JAPANESE, Density, runs, script_of, without_marks

# Fitted to 63 English sentences of the draft voice: 0.047 s per character, residual 12 %.
PAUSE = 6.0  # at a punctuation mark
SPELLED_LETTER = 3.2  # in "BBC", "PDF"
LONE_LETTER = 6.0  # in "a, b, c"
ABBREVIATED_LETTER = 3.5  # in "Dr", "St", "Mrs"
SYLLABLES_PER_WORD = 4  # a longer word is a compound and counts as several
KANJI = 1.9  # syllables (morae) of an ideograph in Japanese

WORDS = re.compile(r"\d{1,3}(?:[,.'’ ]\d{3})+(?!\d)|\d+|[^\W\d_]+|[%&@#*/\\]|(?<=\d)\.(?=\d)|(?<=\w\w)\.(?=\w\w)")
PAUSES = re.compile(r"[,;:.!?—–…،。、！？；：।؟۔]+(?=\s|[\"”’')\]]|[^\W\d_])")
VOWELS = re.compile("[aeiouyæœøıəаеиоуыэюяієαεηιουωաեէըիոօաეიოუ]+")
VOWEL = re.compile("[aeiouy]|^[hms]{1,3}$", re.IGNORECASE)  # "Hmm" and "Shh" are not abbreviations


class Reading(NamedTuple):
    """One way to say a text: its length in characters of English, pauses included, its syllables and its words."""

    length: float
    syllables: float
    words: int


Readings = Sequence[Reading]
"""The ways to say a part of a text, the usual one first."""

SILENT = Reading(0.0, 0, 0)
SYMBOL = Reading(7.0, 2, 1)  # "percent", "dollars", "plus", "dot"
SYMBOLS: dict[str, Readings] = {
    "%": [SYMBOL],
    "&": [Reading(4.0, 1, 1)],  # "and"
    "@": [Reading(3.0, 1, 1)],  # "at"
    "Sc": [SYMBOL],
    "So": [Reading(16.0, 4, 3), SILENT],  # "smiling face"
}
"""By the character or its Unicode category. Other symbols may be silent."""


def usual(text: str) -> Reading:
    """The usual reading of a text; all 0 if there is nothing to speak."""
    return _sum(text, lambda ways: ways[0])


def shortest(text: str) -> Reading:
    """The reading of fewest characters, syllables and words."""
    return _sum(text, lambda ways: Reading(*map(min, zip(*ways, strict=True))))


def longest(text: str) -> Reading:
    """The reading of most characters, syllables and words."""
    return _sum(text, lambda ways: Reading(*map(max, zip(*ways, strict=True))))


def spoken_length(text: str) -> float:
    """The usual length of `text` in characters when numbers and abbreviations are written out, pauses included.

    Fitted to English; 0 if there is nothing to speak.
    """
    return usual(text).length


def syllables(text: str) -> int:
    """The usual number of syllables of a text."""
    return round(usual(text).syllables)


def word_count(text: str) -> int:
    """The usual number of words. Ideographs count each, and long compounds as several."""
    return usual(text).words


def repeated_length(text: str) -> int:
    """The length, in characters as in `spoken_length`, of the longest stretch that occurs twice in a text.

    Parts of words count: "responsibilities" and "capabilities" sound alike for half a second.
    """
    plain = without_marks(text)
    shouted = _shouted(plain)
    sounds = "".join(f"{_sounds(word, shouted)} " for word in WORDS.findall(plain))
    longest = start = 0
    while start + 2 * longest < len(sounds):
        if sounds.find(sounds[start : start + longest + 1], start + longest + 1) >= 0:
            longest += 1
        else:
            start += 1
    return longest


def _sum(text: str, choose: Callable[[Readings], Reading]) -> Reading:
    parts, pauses = _parts(text)
    length, count, words = (sum(each) for each in zip(SILENT, *map(choose, parts), strict=True))
    return Reading(length + PAUSE * pauses, count, words) if length else SILENT


@lru_cache(maxsize=64)
def _parts(text: str) -> tuple[list[Readings], int]:
    """The readings of every part of a text, and the number of pauses."""
    plain = without_marks(text).strip()
    shouted = _shouted(plain)
    japanese = any(script_of(char) in JAPANESE for char in plain)
    parts: list[Readings] = []
    words = WORDS.findall(plain)
    for before, word in zip(["", *words], words, strict=False):
        if word[0].isdigit():
            ways = [_number(way) for way in numbers.readings(word)]
            parts.append(ways[::-1] if before == "." else ways)  # the digits of a fraction are said one by one
        elif word[0].isalpha():
            for density, letters in runs(word):
                parts.append(_dense(letters, density, japanese) if density else _word(letters, shouted))
        else:
            parts.append(SYMBOLS.get(word, [SYMBOL, SILENT]))
    for char in plain:
        if (kind := unicodedata.category(char))[0] == "S":
            parts.append([way._replace(words=0) for way in SYMBOLS.get(kind, [SYMBOL, SILENT])])
    return parts, len(PAUSES.findall(plain))


def _shouted(plain: str) -> bool:
    """Whether a text is in capitals: its short words are words then, and not abbreviations."""
    letters = [char for char in plain if char.isalpha() and char.lower() != char.upper()]
    return len(letters) > 3 and sum(char.isupper() for char in letters) > 0.6 * len(letters)


def _number(words: Sequence[str]) -> Reading:
    return Reading(sum(len(word) + 1.0 for word in words), sum(map(_syllables, words)), len(words))


def _dense(letters: str, density: Density, japanese: bool) -> Readings:
    """A run of letters that stand for syllables or consonants."""
    usual = KANJI if density is IDEOGRAPHS and japanese else density.usual
    ways = []
    for rate in (usual, density.least, density.most):
        count = rate * len(letters)
        words = len(letters) if density is IDEOGRAPHS else _words(count)
        ways.append(Reading(count * density.syllable + 1.0, count, words))
    return ways


def _word(word: str, shouted: bool) -> Readings:
    """A word of an alphabet. Short capitals may be words or spelled letters."""
    count = _syllables(word)
    spoken = Reading(len(word) + 1.0, count, _words(count))
    if len(word) == 1:
        lone = Reading(LONE_LETTER, 1, 1)
        return [spoken] if word in "aAI" else [lone, spoken] if word.isascii() else [spoken, lone]
    if word.isupper():
        spelled = Reading(SPELLED_LETTER * len(word), len(word), len(word))
        if not VOWEL.search(word) and word.isascii():
            return [spelled, spoken]
        if len(word) <= 3:
            return [spoken, spelled] if shouted else [spelled, spoken]
        return [spoken]
    if word[0].isupper() and word.isascii() and not VOWEL.search(word):
        return [Reading(ABBREVIATED_LETTER * len(word), 2, 1), spoken]
    return [spoken]


def _words(count: float) -> int:
    return max(-(-int(count) // SYLLABLES_PER_WORD), 1)


def _syllables(word: str) -> int:
    lower = word.lower()
    groups = VOWELS.findall(lower)
    silent = lower.isascii() and lower.endswith("e") and not lower.endswith("le") and len(groups) > 1
    return max(len(groups) - silent, 1)


def _sounds(word: str, shouted: bool) -> str:
    """The word in letters whose number is roughly proportional to its duration."""
    if word[0].isdigit():
        return " ".join(numbers.readings(word)[0])
    if not word[0].isalpha():
        return word
    return "".join(_run_sounds(letters, density, shouted) for density, letters in runs(word))


def _run_sounds(letters: str, density: Density | None, shouted: bool) -> str:
    times = round(density.usual * density.syllable) if density else 1
    if not density and letters.isupper() and _word(letters, shouted)[0].length > len(letters) + 1:
        times = 3
    return "".join(letter * times for letter in letters.lower())
