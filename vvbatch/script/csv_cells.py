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
    """The rows from index `start` that are not empty.

    An unclosed quote is a problem and ends the rows. So is a cell that has swallowed rows: it spans several and holds
    as many separators as a row has, because its opening quote was meant as text.
    """
    row: list[Cell] = []
    columns = 0  # of the first row
    for cell in _pattern(delimiter).finditer(source.text, start):
        quoted, end, bare, bare_end = cell.groups()
        if quoted is not None:
            row.append(Cell(quoted.replace('""', '"'), cell.start(1)))
            if columns > 1 and _holds_rows(quoted, delimiter, columns):
                at = source.position(cell.start(1) - 1)
                found = f"a quote that opens a cell of {quoted.count(chr(10)) + 1} rows with separators in them"
                problems.add(at, found, 'close the cell with a quote; a " in a text is written "" in a quoted cell')
        elif bare.lstrip(" ").startswith('"'):
            _quote_problem(source, cell.start(3) + bare.index('"'), problems)
            return
        else:
            row.append(Cell(bare, cell.start(3) + len(bare) - len(bare.lstrip())))
        if (end or bare_end) != delimiter:
            if any(not raw.isspace() for raw, _ in row if raw):
                columns = columns or len(row)
                yield row
            row = []
        elif len(row) > MAX_CELLS:
            problems.add(
                source.position(row[-1].start), f"more than {MAX_CELLS} cells in a row", "a script has 13 columns"
            )
            return


def between_cells(text: str, delimiter: str) -> int:
    """How many delimiters of a text look like those of a row: none is in a number or before a space."""
    if delimiter == "\t":
        return text.count(delimiter)
    return len(re.findall(rf"{delimiter}(?!\s|\Z)(?!(?<=[0-9].)[0-9])", text))


def _holds_rows(quoted: str, delimiter: str, columns: int) -> bool:
    """Whether rows are in a cell: all have separators, except what is left of the first or of the last."""
    first, *others = [between_cells(row, delimiter) for row in quoted.split("\n") if row.strip()] or [0]
    enough = columns - 1 if delimiter == "\t" else columns  # a tab is rare in a text, a comma is not
    if not others or first + sum(others) < enough:
        return False
    return all(others) or (first > 0 and all(others[:-1]) and (len(others) > 1 or delimiter == "\t"))


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
