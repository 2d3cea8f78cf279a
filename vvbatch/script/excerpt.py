"""The source line of a position with a caret under it, as a terminal shows it."""

from __future__ import annotations

import unicodedata

BEFORE, AFTER = 60, 40  # characters shown on either side of the position; the rest of a long line is cut


def excerpt(line: str, column: int) -> list[str]:
    """Two lines of text: the part of `line` around `column` (counted from 1), and a caret under that column."""
    at = min(column - 1, len(line))
    start, end = 0, len(line)
    if len(line) > BEFORE + AFTER:
        start, end = max(0, at - BEFORE), min(len(line), at + AFTER)
    lead = ("…" if start else "") + visible(line[start:at])
    shown = lead + visible(line[at:end]) + ("…" if end < len(line) else "")
    return [f"    {shown}".rstrip(), "    " + " " * width(lead) + "^"]


def visible(text: str) -> str:
    """`text` without anything that moves the cursor: a tab is four spaces, what cannot be printed is U+FFFD."""
    return "".join("    " if char == "\t" else char if shows(char) else "\ufffd" for char in text)


def shows(char: str) -> bool:
    """Printable, or a space of another width, or a joiner inside an emoji or a word."""
    return char.isprintable() or unicodedata.category(char) == "Zs" or char in "\u200c\u200d"


def width(text: str) -> int:
    """Terminal cells: 2 for a wide character, 0 for one that joins the character before."""
    return sum(0 if joins(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def joins(char: str) -> bool:
    return char in "\u200c\u200d" or unicodedata.category(char) in ("Mn", "Me")
