"""Numbers, abbreviations and symbols in words, as far as a script or a profile asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from vvbatch.script.model import Normalise
from vvbatch.script.sentences import sentence_ends
from vvbatch.speech_text import numerals

LIGHT = ("sequence.roman", "sequence.reference")

BESIDE = 25  # characters

_LIGHT_MARKS = re.compile(r"\b[IVXLCDM]{2,}[eE]?\b|\b[^\W\d_]{1,5}[.°º]\s?\d+")
_ANY = re.compile(r"[\d%&@#$£€¥°+=]|\b[^\W\d_]{1,6}\.|\b[IVXLCDM]{2,}[eE]?\b")
_WHOLE_LETTER = re.compile(r"[CDLM]")


def normalised(text: str, level: Normalise, language: str) -> str:
    """`text` in words, up to `level`, in a language by its ISO 639-1 code. In a language that spokenform does not know
    it stays as it is written."""
    if level == "off":
        return text
    text = numerals.in_words(text, language)
    if not _ANY.search(text):
        return text
    pieces = []
    for start, end in pairwise([0, *sentence_ends(text), len(text)]):
        sentence = text[start:end]
        spans = [(0, len(sentence))] if level == "full" else list(_light_spans(sentence))
        at = 0
        for first, last in spans:
            plain = sentence[first:last].strip()
            words = _in_words(plain, level, language) if plain and _ANY.search(plain) else plain
            pieces += [sentence[at:first], sentence[first:last].replace(plain, words) if plain else ""]
            at = last
        pieces.append(sentence[at:])
    return "".join(pieces)


def _light_spans(sentence: str) -> Iterator[tuple[int, int]]:
    """The parts of a sentence that `light` may change, each with the words around it. They do not overlap.

    spokenform takes milliseconds for each word of a text, and what it does depends on the words beside a number only.
    """
    first = last = 0
    for found in _LIGHT_MARKS.finditer(sentence):
        start = sentence.rfind(" ", 0, max(found.start() - BESIDE, 0)) + 1
        end = sentence.find(" ", found.end() + BESIDE)
        end = len(sentence) if end < 0 else end
        if start > last:
            if last:
                yield first, last
            first = start
        last = end
    if last:
        yield first, last


@lru_cache(maxsize=4096)
def _in_words(text: str, level: Normalise, language: str) -> str:
    from spokenform import prepare

    try:
        if level == "full":
            prepared = prepare(text, language=language)
        else:  # in half the time, with the same edits of abbreviations
            prepared = prepare(
                text, language=language, expand_numbers=False, normalize_unicode=False, normalize_whitespace=False
            )
    except (ValueError, ArithmeticError, LookupError):  # a number out of its range, a language it does not know
        return text
    parts, at = [], 0
    for edit in prepared.source_edits:
        if edit.source_start < at or not (level == "full" or _is_light(edit.rule or "", text[edit.source_end :])):
            continue
        if edit.rule == "sequence.roman" and _WHOLE_LETTER.fullmatch(text[edit.source_start : edit.source_end]):
            continue  # "Part C"
        first = edit.source_start == 0 and text[0].isupper()
        words = edit.replacement[:1].upper() + edit.replacement[1:] if first else edit.replacement
        parts += [text[at : edit.source_start], words]
        at = edit.source_end
    return "".join([*parts, text[at:]])


def _is_light(rule: str, rest: str) -> bool:
    """Whether `light` takes an edit of spokenform, with the text behind it."""
    return rule in LIGHT or (rule.startswith("abbr:") and rest.lstrip()[:1].isdigit())
