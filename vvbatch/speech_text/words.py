"""How many words a text has, also in scripts that put no spaces between them, and where its words end."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vvbatch.qc.letters import DENSITY, IDEOGRAPHS, script_of

_CHARACTERS = 6.0  # of an English word with its space
_UNSPACED_LETTERS = (
    "\u0e00-\u109f"  # Thai, Lao, Tibetan, Burmese
    "\u1780-\u17ff\u1b00-\u1b7f\ua980-\ua9df"  # Khmer, Balinese, Javanese
    "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # ideographs
)
_UNSPACED = re.compile(f"[{_UNSPACED_LETTERS}]")
_WORD = re.compile(r"[^\W_]\S*")  # from the first letter or digit between two spaces
_SPACE = re.compile(r"\s+")


def words(text: str) -> float:
    """What stands between spaces and has a letter or a digit is a word. In scripts without spaces an ideograph is one;
    as many other letters are one as take the time of an English word.
    """
    unspaced = _UNSPACED.findall(text)
    if not unspaced:
        return len(_WORD.findall(text))
    return len(_WORD.findall(_UNSPACED.sub(" ", text))) + sum(map(_weight, unspaced))


def word_ends(text: str) -> Iterator[int]:
    """The index behind each word but the last one. In scripts without spaces a letter may end a word."""
    found = {space.start() for space in _SPACE.finditer(text)}
    for letter in _UNSPACED.finditer(text):
        end = letter.end()
        if end < len(text) and text[end].isalpha():  # neither a mark of this letter nor punctuation
            found.add(end)
    yield from sorted(found - {0, len(text)})


def _weight(letter: str) -> float:
    density = DENSITY.get(script_of(letter)) if letter.isalpha() else None
    if density is None:
        return 0.0
    return 1.0 if density is IDEOGRAPHS else density.usual * density.syllable / _CHARACTERS
