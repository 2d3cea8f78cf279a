"""Tables that only place text on a page, and tables of data."""

from __future__ import annotations

from vvbatch.manuscript.tree import Element, name_of, text_of

LONG_CELL = 200  # characters: running text rather than data


def is_layout(table: Element) -> bool:
    """Whether the text of a table is read cell by cell: one column, long cells, or marked as presentation."""
    if table.get("role") in ("presentation", "none"):
        return True
    rows = [each for each in table.iter() if name_of(each) == "tr"]
    cells = [[cell for cell in row if name_of(cell) in ("td", "th")] for row in rows]
    if any(name_of(cell) == "th" for row in cells for cell in row):
        return False
    if all(len([cell for cell in row if text_of(cell)]) <= 1 for row in cells):
        return True
    texts = [text for row in cells for cell in row if (text := text_of(cell))]
    return sum(map(len, texts)) > LONG_CELL * max(len(texts), 1)
