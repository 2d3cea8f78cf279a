"""Tables with rich on a terminal, without boxes or colour in a pipe; numbers and durations as people read them."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from vvbatch.report.columns import GAP, Column, column_of, layout, wrapped

STYLES = {
    "done": "green",
    "cached": "cyan",
    "rendering": "yellow",
    "paused": "yellow",
    "failed": "bold red",
    "failed_qc": "red",
    "crashed": "red",
    "cancelled": "dim",
    "superseded": "dim",
    "rejected": "red",
}
"""Colours of cells that hold one of these words; rich leaves them out where NO_COLOR is set."""


def console(file: TextIO | None = None) -> Console:
    """Made for each use: tests and pipes change what stdout is."""
    return Console(file=file or sys.stdout, highlight=False, emoji=False, markup=False)


def printable(text: object) -> str:
    """One line without control characters: a script's text must not be able to steer the terminal."""
    return "".join(" " if character in "\n\t\r" else character for character in str(text) if seen(character))


def seen(character: str) -> bool:
    return character in "\n\t\r" or unicodedata.category(character) not in ("Cc", "Cf", "Cs")


def print_table(
    columns: Sequence[Column | str], rows: Sequence[Sequence[object]], *, title: str = "", file: TextIO | None = None
) -> None:
    """A table that fits the terminal; in a pipe every column, as wide as it is. None is shown as a dash."""
    target = console(file)
    known = [column_of(column) for column in columns]
    cells = [["-" if cell is None else printable(cell) for cell in row] for row in rows]
    if not target.is_terminal:
        lines = [f"{title}:"] if title else []
        right = [column.kind == "number" for column in known]
        target.file.write("\n".join([*lines, *aligned([[column.name for column in known], *cells], right)]) + "\n")
        return
    if title:
        target.print(Text(f"\n{title}", style="bold"))
    found = layout(known, cells, target.width)
    if found.widths is None:
        print_records(known, cells, target)
        return
    print_row([column.name for column in known], known, found.widths, target, "bold")
    target.print(Text("─" * (sum(found.widths.values()) + GAP * (len(found.widths) - 1)), style="dim"))
    for row in cells:
        print_row(row, known, found.widths, target)
    if found.same:
        said = ", ".join(f"{known[place].name} {cells[0][place]}" for place in found.same)
        target.print(Text(f"in every row: {said}", style="dim"))
    if found.left_out:
        names = ", ".join(known[place].name for place in found.left_out)
        target.print(Text(f"not shown: {names} (a wider terminal has room, and a pipe)", style="dim"))


def print_row(
    row: Sequence[str], columns: Sequence[Column], widths: Mapping[int, int], target: Console, style: str = ""
) -> None:
    """One row of a table, in as many lines as its longest cell needs."""
    parts = {
        place: wrapped(row[place], width) if columns[place].kind == "text" else [row[place]]
        for place, width in widths.items()
    }
    for number in range(max(map(len, parts.values()))):
        line = Text()
        for place, width in widths.items():
            cell = parts[place][number] if number < len(parts[place]) else ""
            space = " " * (width - cell_len(cell))
            shown = space + cell if columns[place].kind == "number" else cell + space
            line.append(" " * GAP if line else "").append(shown, style or STYLES.get(row[place], ""))
        line.rstrip()
        target.print(line, soft_wrap=True)


def print_records(columns: Sequence[Column], rows: Sequence[Sequence[str]], target: Console) -> None:
    """Each row as a list of its values, for a terminal that is too narrow for a table."""
    label = max(cell_len(column.name) for column in columns)
    for index, row in enumerate(rows):
        if index:
            target.print()
        for column, cell in zip(columns, row, strict=True):
            if cell in ("", "-"):
                continue
            first, *rest = wrapped(cell, max(1, target.width - label - GAP), most=len(cell))
            line = Text(column.name + " " * (label - cell_len(column.name) + GAP), style="bold")
            target.print(line.append(Text(first, style=STYLES.get(cell, "not bold"))), soft_wrap=True)
            for more in rest:
                target.print(Text(" " * (label + GAP) + more), soft_wrap=True)


Fact = tuple[str, object]
"""A label and its value; an empty label continues the one above."""


def below(label: str, values: Iterable[object]) -> list[Fact]:
    """The values below each other, the label beside the first."""
    return [("" if number else label, value) for number, value in enumerate(values)]


def print_facts(facts: Sequence[Fact], file: TextIO | None = None) -> None:
    """Label and value, a line each. On a terminal all that stands beside and below `failed` is red."""
    target = console(file)
    rows = [(label, printable(value)) for label, value in facts]
    if not target.is_terminal:
        target.file.write("\n".join(aligned(rows, [False, False])) + "\n")
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    subject = ""
    for label, value in rows:
        subject = label or subject
        grid.add_row(Text(label), Text(value, style=STYLES.get(value, "red" if subject == "failed" else "")))
    target.print(grid)


def print_words(words: str, indent: int = 0, file: TextIO | None = None) -> None:
    """Words below each other where they do not fit into a row of the terminal; in a pipe one line."""
    target, space = console(file), " " * indent
    known = printable(words)
    rows = wrapped(known, target.width - indent, most=len(known) + 1) if target.is_terminal else [known]
    for row in rows:
        target.print(Text(space + row), soft_wrap=True)


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Rows as lines with two spaces between columns, by what a cell takes on screen; no spaces at a line's end."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        padded = []
        for cell, width, to_right in zip(row, widths, right, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if to_right else cell + space)
        lines.append("  ".join(padded).rstrip())
    return lines


def duration(seconds: float | None) -> str:
    """Seconds as people read them: `4.1 s`, `1 min 32 s`, `2 h 05 min`; `unknown` for None."""
    if seconds is None:
        return "unknown"
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 and seconds % 1 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def counted(count: int, noun: str) -> str:
    """`1 line`, `1,200 lines`, `2 batches`."""
    plural = "es" if noun.endswith(("ch", "s", "x")) else "s"
    return f"{count:,} {noun}{'' if count == 1 else plural}"


def rate(value: float) -> str:
    """Three digits that count, and no powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size(count: float) -> str:
    """Bytes as people read them, by powers of 1,000: `5.41 GB`, `1.84 MB`, `512 bytes`."""
    return decimal(int(count), precision=2)


def shortened(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
