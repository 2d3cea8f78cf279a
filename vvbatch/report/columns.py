"""Columns that fit a terminal: what is shown of a table in how many cells of a row, and what is not shown is named.

Numbers and names are never cut. Text is wrapped. Where that is not enough, columns that have one value in all rows are
named once; then the columns with the highest `rank` are left out, and named below the table. If even the others do not
fit, each row becomes a list of its values. A column with a rank and without a value in any row is not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.cells import cell_len, chop_cells

GAP = 2
NARROWEST_TEXT = 16
MOST_LINES = 4  # of a wrapped cell
NOTHING = ("", "-")

Kind = Literal["name", "number", "text"]


@dataclass(frozen=True)
class Column:
    """`rank` 0 is always shown; of the others the highest is left out first."""

    name: str
    kind: Kind = "name"
    rank: int = 0


def name(label: str, rank: int = 0) -> Column:
    """A name, an id or a word: never cut."""
    return Column(label, "name", rank)


def number(label: str, rank: int = 0) -> Column:
    return Column(label, "number", rank)


def text(label: str, rank: int = 0) -> Column:
    """Words that may be wrapped."""
    return Column(label, "text", rank)


def column_of(given: Column | str) -> Column:
    """A string is a name, with `>` before it a number."""
    if isinstance(given, Column):
        return given
    return number(given[1:]) if given.startswith(">") else name(given)


@dataclass(frozen=True)
class Layout:
    """Which columns are shown, by their places, and how wide each is; None: each row is a list of its values."""

    widths: dict[int, int] | None
    same: list[int] = field(default_factory=list)  # one value in all rows, named once
    left_out: list[int] = field(default_factory=list)


def layout(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Layout:
    """How to show these cells in `width` cells of a terminal's row."""
    natural = [
        max(cell_len(column.name), *(cell_len(row[place]) for row in rows), 0) for place, column in enumerate(columns)
    ]
    least = [
        min(natural[place], max(NARROWEST_TEXT, cell_len(column.name))) if column.kind == "text" else natural[place]
        for place, column in enumerate(columns)
    ]
    empty = {place for place in range(len(columns)) if all(row[place] in NOTHING for row in rows)}
    shown = [place for place in range(len(columns)) if not (rows and columns[place].rank and place in empty)]
    same: list[int] = []
    left_out: list[int] = []

    def fits() -> bool:
        return sum(least[place] for place in shown) + GAP * (len(shown) - 1) <= width

    if not fits() and len(rows) == 1 and len(columns) > 1:
        return Layout(None)
    for place in sorted(shown, key=lambda place: -columns[place].rank):
        if not fits() and columns[place].rank and len({row[place] for row in rows}) == 1:
            shown.remove(place)
            same.append(place)
    for place in sorted(shown, key=lambda place: (-columns[place].rank, -place)):
        if not fits() and columns[place].rank:
            shown.remove(place)
            left_out.append(place)
    if not fits():
        return Layout(None)
    room = width - GAP * (len(shown) - 1) - sum(natural[place] for place in shown if columns[place].kind != "text")
    widths = {place: natural[place] for place in shown}
    widths |= shared([place for place in shown if columns[place].kind == "text"], natural, room)
    return Layout(widths, sorted(same), sorted(left_out) if rows else [])


def shared(texts: Sequence[int], natural: Sequence[int], room: int) -> dict[int, int]:
    """`room` among columns of text: each gets what it needs, up to an equal share of what the others leave."""
    found: dict[int, int] = {}
    waiting = sorted(texts, key=lambda place: natural[place])
    while waiting:
        place = waiting.pop(0)
        found[place] = max(1, min(natural[place], room // (len(waiting) + 1)))
        room -= found[place]
    return found


def whole_or_parts(word: str, width: int) -> list[str]:
    """A word, or the parts of a path that is longer than a row: each but the last ends with its slash."""
    if cell_len(word) <= width or "/" not in word:
        return [word]
    parts = [f"{part}/" for part in word.split("/")]
    return [part for part in [*parts[:-1], parts[-1][:-1]] if part]


def wrapped(cell: str, width: int, most: int = MOST_LINES) -> list[str]:
    """The cell in rows of at most `width`, broken between words, or within one that is longer than a row.

    What does not fit into `most` rows ends with `…`.
    """
    rows: list[str] = []
    current = ""
    pieces = [
        ("" if index else " ", piece)
        for word in cell.split(" ")
        for index, piece in enumerate(whole_or_parts(word, width))
    ]
    for joint, word in pieces:
        joined = f"{current}{joint}{word}" if current else word
        if cell_len(joined) <= width:
            current = joined
            continue
        if current:
            rows.append(current)
        *whole, current = chop_cells(word, width) or [""]
        rows += whole
    rows.append(current)
    if len(rows) <= most:
        return rows
    last = rows[most - 1]
    while cell_len(last) >= width:
        last = last[:-1]
    return [*rows[: most - 1], f"{last}…"]
