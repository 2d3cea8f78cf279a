"""How long the silence between two takes is."""

from __future__ import annotations

from typing import Annotated

import msgspec

from vvbatch.book.contents import Break, Item, Sound, Speech

LONGEST_S = 60.0
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=LONGEST_S)]


class Pauses(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds from the last sound of a take to the first sound of the next, by what lies between them."""

    part: Seconds = 0.25
    line: Seconds = 0.45
    paragraph: Seconds = 0.7
    speaker: Seconds = 0.5
    section: Seconds = 2.0
    chapter_title: Seconds = 1.5
    chapter: Seconds = 2.5

    def after(self, item: Item, following: Item) -> float:
        """Between two neighbours of one chapter. What an item itself says wins over everything here."""
        if item.pause_after_s is not None:
            return item.pause_after_s
        if isinstance(item, Sound):
            return self.paragraph
        if item.title:
            return self.chapter_title
        if item.break_after == Break.SECTION:
            return self.section
        if isinstance(following, Sound):
            return self.paragraph
        if item.break_after == Break.PART:
            return self.part
        pause = self.paragraph if item.break_after == Break.PARAGRAPH else self.line
        return max(pause, self.speaker) if self._other_speaker(item, following) else pause

    @staticmethod
    def _other_speaker(item: Speech, following: Speech) -> bool:
        return item.voice != following.voice
