"""Source lines with a caret under a column, for error messages in a terminal."""

from __future__ import annotations

import unicodedata

BEFORE, AFTER = 60, 40  # characters shown before and after the column; longer lines are cut


def excerpt(line: str, column: int) -> list[str]:
    """Two lines of text: the part of `line` around `column` (from 1), and a caret under that column."""
    at = min(column - 1, len(line))
    start, end = 0, len(line)
    if len(line) > BEFORE + AFTER:
        start, end = max(0, at - BEFORE), min(len(line), at + AFTER)
    lead = ("…" if start else "") + visible(line[start:at])
    shown = lead + visible(line[at:end]) + ("…" if end < len(line) else "")
    return [f"    {shown}".rstrip(), "    " + " " * width(lead) + "^"]


def visible(text: str) -> str:
    """`text` without characters that move the cursor: tabs become four spaces, unprintable characters U+FFFD."""
    return "".join("    " if char == "\t" else char if shows(char) else "\ufffd" for char in text)


def shows(char: str) -> bool:
    """Whether the character is printable, a space of any width, or a joiner inside an emoji or a word."""
    return char.isprintable() or unicodedata.category(char) == "Zs" or char in "\u200c\u200d"


def width(text: str) -> int:
    """The width in terminal cells: 2 for a wide character, 0 for one that joins the character before it."""
    return sum(0 if joins(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def joins(char: str) -> bool:
    return char in "\u200c\u200d" or unicodedata.category(char) in ("Mn", "Me")
