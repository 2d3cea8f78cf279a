"""The rows of a CSV text with the position of each cell, which Python's csv module does not give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from vvbatch.script.model import Problems
from vvbatch.script.source import Source

MAX_CELLS = 16_384  # as many as a spreadsheet has columns


class Cell(NamedTuple):
    raw: str
    start: int  # index of its first character in the text


@cache
def _pattern(delimiter: str) -> re.Pattern[str]:
    """One cell and its end: quoted (groups 1, 2; spaces around the quotes are ignored) or bare (groups 3, 4)."""
    end = rf"({delimiter}|\n(?:[ \t]*+\n)*+|\Z)"  # includes the blank rows that follow
    return re.compile(rf' *"([^"]*+(?:""[^"]*+)*+)" *{end}|([^{delimiter}\n]*){end}')


def rows(source: Source, start: int, delimiter: str, problems: Problems) -> Iterator[list[Cell]]:
    """The rows from index `start` that are not empty. An unclosed quote is a problem and ends the rows."""
    row: list[Cell] = []
    for cell in _pattern(delimiter).finditer(source.text, start):
        quoted, end, bare, bare_end = cell.groups()
        if quoted is not None:
            row.append(Cell(quoted.replace('""', '"'), cell.start(1)))
        elif bare.lstrip(" ").startswith('"'):
            _quote_problem(source, cell.start(3) + bare.index('"'), problems)
            return
        else:
            row.append(Cell(bare, cell.start(3) + len(bare) - len(bare.lstrip())))
        if (end or bare_end) != delimiter:
            if any(not raw.isspace() for raw, _ in row if raw):
                yield row
            row = []
        elif len(row) > MAX_CELLS:
            problems.add(
                source.position(row[-1].start), f"more than {MAX_CELLS} cells in a row", "a script has 13 columns"
            )
            return


_CLOSING = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')


def _quote_problem(source: Source, opened: int, problems: Problems) -> None:
    closing = _CLOSING.match(source.text, opened)
    allowed = 'close the cell with a quote, and write a " inside it as ""'
    at = source.position(opened)
    if closing:
        found = f"text after the closing quote of the cell at {at.line}:{at.column}"
        problems.add(source.position(closing.end()), found, allowed)
    else:
        problems.add(at, "a quote that is never closed", allowed)
