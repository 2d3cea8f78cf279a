"""Roman numerals up to 399 in their usual form."""

from __future__ import annotations

import re
from itertools import pairwise

PATTERN = "(?=[ivxlc])(?:c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"
"""Matches one in small letters; of nothing it matches nothing."""

_WHOLE = re.compile(PATTERN, re.IGNORECASE)
_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def value_of(numeral: str) -> int | None:
    """The number that a numeral stands for; None for anything else, such as "IIII"."""
    if not _WHOLE.fullmatch(numeral):
        return None
    digits = [_DIGITS[digit] for digit in numeral.upper()]
    return sum(-one if one < following else one for one, following in pairwise([*digits, 0]))
