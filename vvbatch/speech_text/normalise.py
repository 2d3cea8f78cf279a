"""Numbers, abbreviations and symbols in words, as far as a script or a profile asks for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from vvbatch.script.sentences import sentence_ends

Normalise = Literal["off", "light", "full"]
"""off: as written. light: what models read wrongly, which is roman numerals after "Chapter" or a king's name, and
abbreviations before a number. full: numbers, money, dates, units and abbreviations as well.
"""

LIGHT = ("sequence.roman", "sequence.reference")

_ROMAN = re.compile(r"\b[IVXLCDM]+\b")
_BEFORE_NUMBER = re.compile(r"\b[^\W\d_]{1,5}[.°º]\s?\d", re.ASCII)
_ANY = re.compile(r"[\d%&@#$£€¥°+=]|\b[^\W\d_]{1,6}\.|\b[IVXLCDM]{2,}\b")


def normalised(text: str, level: Normalise, language: str) -> str:
    """`text` in words, up to `level`, in a language by its ISO 639-1 code. In a language that spokenform does not know
    it stays as it is written."""
    if level == "off":
        return text
    worth = _ANY.search if level == "full" else lambda one: _ROMAN.search(one) or _BEFORE_NUMBER.search(one)
    if not worth(text):  # the usual case: spokenform takes tens of milliseconds a sentence
        return text
    ends = [0, *sentence_ends(text), len(text)]
    return "".join(_in_words(text[start:end], level, language, worth) for start, end in pairwise(ends))


def _in_words(sentence: str, level: Normalise, language: str, worth: Callable[[str], object]) -> str:
    plain = sentence.strip()
    return sentence.replace(plain, _prepared(plain, level, language)) if worth(plain) else sentence


@lru_cache(maxsize=4096)
def _prepared(sentence: str, level: Normalise, language: str) -> str:
    from spokenform import prepare

    try:
        prepared = prepare(sentence, language=language)
    except (ValueError, ArithmeticError, LookupError):  # a number out of its range, a language it does not know
        return sentence
    parts, at = [], 0
    for edit in prepared.source_edits:
        if edit.source_start < at or not (level == "full" or _is_light(edit.rule or "", sentence[edit.source_end :])):
            continue
        first = edit.source_start == 0 and sentence[0].isupper()
        words = edit.replacement[:1].upper() + edit.replacement[1:] if first else edit.replacement
        parts += [sentence[at : edit.source_start], words]
        at = edit.source_end
    return "".join([*parts, sentence[at:]])


def _is_light(rule: str, rest: str) -> bool:
    """Whether `light` takes an edit of spokenform, with the text behind it."""
    return rule in LIGHT or (rule.startswith("abbr:") and rest.lstrip()[:1].isdigit())
