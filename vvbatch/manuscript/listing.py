"""What an import made and what it left out, as rows of text.

Nothing here needs the ledger, so that an import starts at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from vvbatch.manuscript.importing import ImportedView, ImportWarningView, SkippedView
from vvbatch.script.excerpt import visible, width

CHAPTERS_SHOWN = 12
SHOWN_OF_EACH = 3  # things of one kind that were left out
WARNINGS_SHOWN = 10
LEAST_SHOWN = 20  # columns of what was left out


def listed(view: ImportedView, columns: int | None = None) -> Iterator[str]:
    """Rows for a terminal of so many columns; None: as long as they are."""
    yield from _facts(view)
    if view.skipped:
        yield ""
        yield "left out (--keep with these words speaks it; --json lists all, with reasons):"
        yield from _skipped(view.skipped, columns)
    if view.warnings:
        yield ""
        yield from _warnings(view.warnings)


def _facts(view: ImportedView) -> Iterator[str]:
    lines = sum(chapter.lines for chapter in view.chapters)
    characters = sum(chapter.characters for chapter in view.chapters)
    rows = [("script", view.script), ("title", view.title)]
    rows += [(name, value) for name, value in (("author", view.author), ("language", view.language)) if value]
    rows += [("cover", view.cover)] if view.cover else []
    rows.append(("lines", f"{lines:,} in {_counted(len(view.chapters), 'chapter')}, {characters:,} characters"))
    titles = [chapter.title for chapter in view.chapters[:CHAPTERS_SHOWN] if chapter.title]
    if len(view.chapters) > CHAPTERS_SHOWN:
        titles.append(f"and {len(view.chapters) - CHAPTERS_SHOWN:,} more")
    rows += [("" if number else "chapters", title) for number, title in enumerate(titles)]
    voices = [f"{name}: {voice}" for name, voice in view.speakers.items()]
    rows += [("" if number else "voices", voice) for number, voice in enumerate(voices)]
    if view.changes:
        changes = view.changes
        compared = f"{changes.same:,} lines as before, {changes.new:,} new, {changes.gone:,} gone"
        rows.append(("compared", compared))
    yield from (f"{label:<8}  {visible(value)}" for label, value in rows)


def _skipped(skipped: Sequence[SkippedView], columns: int | None) -> Iterator[str]:
    """The first of each kind, and how many there are. What is too long for the terminal is shortened, never a place."""
    by_kind: dict[str, list[SkippedView]] = {}
    for each in skipped:
        by_kind.setdefault(each.kind, []).append(each)
    rows: list[tuple[str, str, str]] = []
    for kind, group in by_kind.items():
        for number, each in enumerate(group[:SHOWN_OF_EACH]):
            rows.append(("" if number else kind, visible(each.what), visible(each.place)))
        if len(group) > SHOWN_OF_EACH:
            rows.append(("", f"and {len(group) - SHOWN_OF_EACH:,} more", ""))
    first, second, third = (max(width(row[column]) for row in rows) for column in range(3))
    if columns:
        second = min(second, max(columns - first - third - 6, LEAST_SHOWN))
    for kind, what, place in rows:
        yield f"  {_padded(kind, first)}  {_padded(_shortened(what, second), second)}  {place}".rstrip()


def _warnings(warnings: Sequence[ImportWarningView]) -> Iterator[str]:
    """The first of each kind, and how many there are."""
    kinds: Counter[str] = Counter()
    shown = 0
    for warning in warnings:
        kind = warning.message.partition(":")[0]
        kinds[kind] += 1
        if kinds[kind] <= SHOWN_OF_EACH and shown < WARNINGS_SHOWN:
            shown += 1
            yield f"{visible(warning.place)}: warning: {visible(warning.message)}"
    if len(warnings) > shown:
        yield f"… and {_counted(len(warnings) - shown, 'more warning')}; --json lists all of them"


def _shortened(text: str, wide: int) -> str:
    while width(text) > wide:
        text = text[:-2].rstrip() + "…"
    return text


def _padded(text: str, wide: int) -> str:
    return text + " " * (wide - width(text))


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
