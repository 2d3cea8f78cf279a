"""Tables with rich on a terminal, without boxes or colour in a pipe; numbers and durations as people read them."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

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
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", file: TextIO | None = None
) -> None:
    """A table; a column whose name begins with `>` is aligned to the right. None is shown as a dash."""
    target = console(file)
    cells = [["-" if cell is None else printable(cell) for cell in row] for row in rows]
    names = [name.removeprefix(">") for name in columns]
    right = [name.startswith(">") for name in columns]
    if not target.is_terminal:
        lines = [f"{title}:"] if title else []
        target.file.write("\n".join([*lines, *aligned([names, *cells], right)]) + "\n")
        return
    table = Table(title=Text(title) if title else None, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for name, to_right in zip(names, right, strict=True):
        table.add_column(Text(name), justify="right" if to_right else "left", overflow="fold", no_wrap=to_right)
    for row in cells:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    target.print(table)


def print_facts(facts: Sequence[tuple[str, object]], file: TextIO | None = None) -> None:
    """Label and value, a line each; a label that is empty continues the one above."""
    target = console(file)
    rows = [(label, printable(value)) for label, value in facts]
    if not target.is_terminal:
        target.file.write("\n".join(aligned(rows, [False, False])) + "\n")
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(Text(label), Text(value, style=STYLES.get(value, "red" if label == "failed" else "")))
    target.print(grid)


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
