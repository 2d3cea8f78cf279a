"""Writing systems: which script a letter belongs to, and how many syllables a letter stands for."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple


class Density(NamedTuple):
    """Syllables per letter without its marks: at least, usually, at most; and the length of a syllable in characters of
    English. Checked with espeak-ng in `tests/unit/qc/test_languages.py`.
    """

    least: float
    usual: float
    most: float
    syllable: float = 4.0


IDEOGRAPHS = Density(1.0, 1.0, 2.2)  # Chinese one, Japanese up to two and more
KANA = Density(0.7, 1.0, 1.0, 2.7)  # a mora is short; small kana add nothing
SYLLABARY = Density(1.0, 1.0, 1.0)
ABUGIDA = Density(0.5, 0.75, 1.0)  # a consonant with its vowel; a cluster of two shares one
THAI = Density(0.33, 0.42, 0.7)  # vowels are letters too
ABJAD = Density(0.35, 0.55, 0.85)  # short vowels are not written

DENSITY = {
    **dict.fromkeys(("CJK", "IDEOGRAPHIC"), IDEOGRAPHS),
    **dict.fromkeys(("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"), KANA),
    **dict.fromkeys(("HANGUL", "ETHIOPIC", "CHEROKEE", "CANADIAN", "YI", "VAI", "BOPOMOFO"), SYLLABARY),
    **dict.fromkeys(("DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU", "KANNADA"), ABUGIDA),
    **dict.fromkeys(("MALAYALAM", "SINHALA", "MYANMAR", "KHMER", "TIBETAN", "JAVANESE", "BALINESE"), ABUGIDA),
    **dict.fromkeys(("THAI", "LAO"), THAI),
    **dict.fromkeys(("ARABIC", "HEBREW", "SYRIAC", "THAANA"), ABJAD),
}
"""By the first word of the letters' Unicode names. Every other script is an alphabet: see `vvbatch.qc.text`."""

JAPANESE = frozenset({"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"})
NAMES = {"CJK": "Chinese", "IDEOGRAPHIC": "Chinese", "KATAKANA-HIRAGANA": "Katakana"}


@lru_cache(maxsize=4096)
def script_of(letter: str) -> str:
    """The first word of the letter's Unicode name: "LATIN", "CJK", "CYRILLIC"; "" when it has none."""
    return unicodedata.name(letter, "").partition(" ")[0]


def without_marks(text: str) -> str:
    """`text` in compatibility form without accents, vowel signs and invisible characters; Hangul in syllables."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFC", _silent().sub("", apart))


@lru_cache(maxsize=1)
def _silent() -> re.Pattern[str]:
    return re.compile(f"[{category_class('M')}{category_class('Cf')}]")


@lru_cache(maxsize=8)
def category_class(category: str) -> str:
    """The characters of a general category ("M", "Cf") as ranges for a character class in a pattern."""
    ranges: list[list[int]] = []
    for start, stop in ((0, 0x20000), (0xE0000, 0xE0200)):  # the rest are ideographs and unassigned codes
        found = map(unicodedata.category, map(chr, range(start, stop)))
        for code in (start + index for index, each in enumerate(found) if each[: len(category)] == category):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def runs(word: str) -> list[tuple[Density | None, str]]:
    """A word in runs of one kind of script, "AIは" as "AI" and "は"; None for letters of an alphabet."""
    return [
        (density, "".join(letters)) for density, letters in groupby(word, lambda each: DENSITY.get(script_of(each)))
    ]


def script_name(script: str) -> str:
    """The script's name for a message: "Cyrillic"."""
    return NAMES.get(script, script.capitalize())
