"""A table whose columns fit the terminal's width, and whose rows change in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

Value = TypeVar("Value")
GAP = 1


@dataclass(frozen=True)
class Column(Generic[Value]):
    """`cell` makes the cell of a value for a width in characters.

    `from_width`: the width of the table from which the column is shown. Columns that `grow` share what is left.
    """

    label: str
    width: int
    cell: Callable[[Value, int], Text]
    right: bool = False
    from_width: int = 0
    grow: int = 0


class Grid(DataTable[Text], Generic[Value]):
    """Rows by key. The cursor stays on its row while rows come and go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
    ]

    def __init__(self, columns: Sequence[Column[Value]], key: Callable[[Value], str], *, id: str) -> None:
        super().__init__(id=id, cursor_type="row", cell_padding=0, zebra_stripes=False)
        self.wanted, self.key = columns, key
        self.values: list[Value] = []
        self.cells: dict[str, list[Text]] = {}
        self.laid_out: list[tuple[Column[Value], int]] = []

    def on_resize(self) -> None:
        if self.widths() != self.laid_out:
            self.lay_out()

    def widths(self) -> list[tuple[Column[Value], int]]:
        """The columns that fit, with their widths."""
        total = self.size.width - 1  # the last column is the scroll bar's
        shown = [column for column in self.wanted if column.from_width <= self.size.width]
        spare = max(0, total - sum(column.width + GAP for column in shown))
        shares = sum(column.grow for column in shown)
        return [(column, column.width + (spare * column.grow // shares if shares else 0)) for column in shown]

    def lay_out(self) -> None:
        key = self.key_here
        self.laid_out = self.widths()
        self.clear(columns=True)
        self.cells = {}
        for column, width in self.laid_out:
            self.add_column(aligned(Text(column.label), column, width), width=width + GAP, key=column.label)
        self.show(self.values, key)

    def show(self, values: Sequence[Value], cursor: str | None = None) -> None:
        """These rows in this order."""
        cursor = cursor or self.key_here  # of the old rows
        self.values = list(values)
        if not self.laid_out:
            return
        rows = {self.key(value): self.row(value) for value in values}
        if list(rows) == list(self.cells):
            for key, cells in rows.items():
                for (column, _), old, new in zip(self.laid_out, self.cells[key], cells, strict=True):
                    if old != new:
                        self.update_cell(key, column.label, new)
            self.cells = rows
            return
        top, place = self.scroll_y, self.cursor_row
        self.clear()
        self.cells = rows
        for key, cells in rows.items():
            self.add_row(*cells, key=key)
        if rows:
            self.move_cursor(
                row=list(rows).index(cursor) if cursor in rows else min(place, len(rows) - 1), scroll=False
            )
            self.scroll_to(y=top, animate=False, force=True)

    def row(self, value: Value) -> list[Text]:
        return [aligned(column.cell(value, width), column, width) for column, width in self.laid_out]

    @property
    def key_here(self) -> str | None:
        value = self.value_here
        return None if value is None else self.key(value)

    @property
    def value_here(self) -> Value | None:
        """The row that the cursor is on."""
        return self.values[self.cursor_row] if 0 <= self.cursor_row < len(self.values) else None


def aligned(cell: Text, column: Column[Value], width: int) -> Text:
    """Cut with an ellipsis, and padded on the left where the column is aligned to the right."""
    cut = cell.copy()
    cut.truncate(width, overflow="ellipsis")
    if column.right:
        cut.pad_left(width - cut.cell_len)
    return cut
