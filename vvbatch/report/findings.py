"""What the doctor found: a line each, and below it the command that fixes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.table import Table
from rich.text import Text

from vvbatch.report.tables import aligned, console, printable
from vvbatch.support.doctor.finding import Finding

STYLES = {"ok": "green", "note": "yellow", "broken": "bold red"}
ARROW = "→ "
LABEL = 22  # columns; a longer name is wrapped


def print_findings(findings: Sequence[Finding], file: TextIO | None = None) -> None:
    """State, what was examined, what was found; a remedy on a line of its own, which can be copied."""
    target = console(file)
    rows = [
        cells
        for each in findings
        for cells in [
            (each.state, each.name, printable(each.value)),
            *([("", "", ARROW + printable(each.remedy))] if each.remedy else []),
        ]
    ]
    if not target.is_terminal:
        target.file.write("\n".join(aligned(rows, [False, False, False])) + "\n")
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(max_width=LABEL, overflow="fold")
    grid.add_column(overflow="fold")
    for state, name, value in rows:
        style = "bold" if value.startswith(ARROW) else ""
        grid.add_row(Text(state, style=STYLES.get(state, "")), Text(name), Text(value, style=style))
    target.print(grid)
