"""What was written of each part of a text that is spoken in parts."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

# A word with what is attached to it; an ideograph is a word. Spaces belong to the word before them.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]\s*|(?:(?![\u3040-\u30ff\u3400-\u9fff])\S)+\s*")


_NO_LETTER = re.compile(r"<[^<>]*>|[\W_]")


def written_parts(parts: Sequence[str], written: str) -> list[str]:
    """`written` in as many pieces: what was written of each of the spoken `parts`, without spaces around it.

    The words that both have in the same order show where a piece ends. What was taken out between two parts, such as a
    picture, belongs to the part after it.
    """
    words = _WORD.findall(written)
    spoken = [_WORD.findall(part) for part in parts]
    matcher = SequenceMatcher(
        None, [_letters(word) for part in spoken for word in part], [_letters(word) for word in words], autojunk=False
    )
    ends: list[tuple[int, int]] = [(0, 0)]  # of the words before: how many are spoken, and how many are written
    for block in matcher.get_matching_blocks():
        ends += [(block.a + number, block.b + number) for number in range(1, block.size + 1)]
    cuts = [0]
    for count in list(accumulate(map(len, spoken)))[:-1]:
        known = bisect_left(ends, (count + 1, 0)) - 1
        common, place = ends[known]
        cuts.append(max(cuts[-1], min(place + count - common, len(words))))
    return ["".join(words[start:end]).strip() for start, end in pairwise([*cuts, len(words)])]


def _letters(word: str) -> str:
    """A word without marks and markup; those alone as they are."""
    return _NO_LETTER.sub("", word) or word.strip()
