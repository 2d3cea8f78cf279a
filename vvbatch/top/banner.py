"""A line or two of text that is drawn again only when it has changed, and takes no room when it is empty."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static


class Banner(Static):
    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, markup=False)
        self.said: Text | None = None
        self.display = False

    def say(self, words: Text | str) -> None:
        text = Text(words) if isinstance(words, str) else words
        if text != self.said:
            self.said = text
            self.display = bool(text.plain)
            self.update(text)
