"""Words that are spoken otherwise than they are written: whole words, replaced in the text for the engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from vvbatch.qc.letters import IDEOGRAPHS, KANA, category_class, runs

_APOSTROPHES = "'’"
_HYPHENS = r"\-‐‑"


def pronounced(text: str, says: Mapping[str, str]) -> str:
    """`text` with every word of `says` in the form that is spoken. What was put in is not searched again.

    A word is replaced where it stands alone or in front of a possessive ('s), the longest first, never inside another
    word. A word in small letters stands for every case; one with a capital only for itself and for itself in capitals.
    """
    pattern = _pattern(tuple(says))
    if pattern is None:
        return text
    by_form = {form: spoken for word, spoken in says.items() for form in _forms(word)}
    return pattern.sub(lambda found: by_form.get(found[0]) or by_form.get(found[0].lower()) or found[0], text)


def used(says: Iterable[str], text: str) -> list[str]:
    """The words that `pronounced` may find in a text: most of a long lexicon is in no line of a book."""
    folded = text.lower()
    return [word for word in says if word.lower() in folded]


def lines_with(words: Iterable[str], texts: Sequence[str]) -> dict[str, int]:
    """In how many texts `pronounced` replaces each of these words, if it stands alone."""
    counts = {}
    for word in words:
        pattern = _pattern((word,))
        counts[word] = sum(1 for text in texts if pattern and pattern.search(text))
    return counts


def _forms(word: str) -> tuple[str, ...]:
    return (word,) if word == word.lower() else (word, word.upper())


@lru_cache(maxsize=256)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str] | None:
    longest_first = sorted((word for word in words if word), key=len, reverse=True)
    return re.compile("|".join(map(_whole, longest_first))) if longest_first else None


def _whole(word: str) -> str:
    """A pattern for the forms of one word where no letter, mark, digit, apostrophe or hyphen continues it.

    Ideographs and kana are written without spaces: such a word may stand beside any other.
    """
    letters = _letters()
    before = rf"(?<![{letters}])(?<![{letters}][{_APOSTROPHES}{_HYPHENS}])"
    possessive = rf"[{_APOSTROPHES}]s(?![{letters}])"
    after = rf"(?![{letters}])(?![{_HYPHENS}][{letters}])(?:(?={possessive})|(?![{_APOSTROPHES}][{letters}]))"
    escaped = "|".join(map(re.escape, _forms(word)))
    inner = f"(?i:{escaped})" if word == word.lower() else f"(?:{escaped})"
    return f"{'' if _unspaced(word[0]) else before}{inner}{'' if _unspaced(word[-1]) else after}"


def _unspaced(letter: str) -> bool:
    return any(density in (IDEOGRAPHS, KANA) for density, _ in runs(letter))


@lru_cache(maxsize=1)
def _letters() -> str:
    r"""Letters, digits and marks for a character class: `\w` has no marks, so it would end an Indian word too early."""
    return r"\w" + category_class("M")
