"""The lines of a plain text that are not blank, each with its place and its neighbours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_ROW = re.compile(r"[^\S\n]*+(\S[^\n]*)")
_BLANK_BELOW = re.compile(r"\n[^\S\n]*+(?:\n|\Z)|\Z")


class Row(NamedTuple):
    start: int  # indices in the text, without the spaces around it
    end: int
    text: str
    first: bool  # of its paragraph
    last: bool
    number: int  # among the rows, from 0

    @property
    def alone(self) -> bool:
        return self.first and self.last


def rows(text: str, start: int = 0) -> Iterator[Row]:
    """The rows from index `start` on. The first of them begins a paragraph only at the start of the text."""
    end, first = start, start == 0
    for number, found in enumerate(_ROW.finditer(text, start)):
        content = found[1].rstrip()
        if number or not first:
            first = text.count("\n", end, found.start(1)) > 1
        end = found.start(1) + len(content)
        last = bool(_BLANK_BELOW.match(text, found.end()))
        yield Row(found.start(1), end, content, first, last, number)
