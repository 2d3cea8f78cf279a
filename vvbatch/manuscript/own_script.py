"""The script of a manuscript that is rendered at once: `vvbatch run book.epub`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vvbatch.batch.output import IMPORTED_SCRIPT
from vvbatch.manuscript import read_manuscript
from vvbatch.manuscript.model import Cover
from vvbatch.manuscript.origin import with_hash
from vvbatch.manuscript.write import script_text


@dataclass(frozen=True)
class OwnScript:
    text: str
    cover: Cover | None
    summary: str
    name: str = IMPORTED_SCRIPT

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The names of the script and the cover in the batch's folder, and what is in them."""
        if self.cover:
            yield f"cover{self.cover.suffix}", self.cover.data
        yield self.name, self.text.encode()


def own_script(path: Path) -> OwnScript:
    """Raises ManuscriptError for a file that is no manuscript, or is refused; MissingPackage."""
    manuscript = read_manuscript(path)
    cover = f"cover{manuscript.cover.suffix}" if manuscript.cover else None
    text = with_hash(script_text(manuscript, source=path.name, cover=cover, voice=None))
    lines = sum(len(chapter.paragraphs) for chapter in manuscript.chapters)
    summary = f"imported as {lines:,} lines, {len(manuscript.skipped):,} things left out"
    if manuscript.warnings:
        summary += f", {len(manuscript.warnings):,} warnings"
    return OwnScript(text, manuscript.cover, f"{summary} (`vvbatch import` lists them)")
