"""What an import made, what it left out, and what may be wrong.

Nothing here needs the ledger, so that an import starts at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from vvbatch.manuscript.importing import ImportedView, ImportWarningView, SkippedView
from vvbatch.report.columns import name, text
from vvbatch.report.tables import Fact, below, counted, print_facts, print_table, print_words

CHAPTERS_SHOWN = 12
SHOWN_OF_EACH = 3  # things of one kind that were left out
WARNINGS_SHOWN = 10


def print_imported(view: ImportedView) -> None:
    print_facts(list(facts(view)))
    if view.skipped:
        print_words("")
        title = "Left out (--keep with these words speaks it; --json lists all, with reasons)"
        print_table([name("kind"), text("what"), name("place")], list(first_of_each(view.skipped)), title=title)
    if view.warnings:
        print_words("")
        for warning in warnings(view.warnings):
            print_words(warning)


def facts(view: ImportedView) -> Iterator[Fact]:
    lines = sum(chapter.lines for chapter in view.chapters)
    characters = sum(chapter.characters for chapter in view.chapters)
    yield "script", view.script
    yield "title", view.title
    yield from ((label, value) for label, value in (("author", view.author), ("language", view.language)) if value)
    if view.cover:
        yield "cover", view.cover
    yield "lines", f"{lines:,} in {counted(len(view.chapters), 'chapter')}, {characters:,} characters"
    titles = [chapter.title for chapter in view.chapters[:CHAPTERS_SHOWN] if chapter.title]
    if len(view.chapters) > CHAPTERS_SHOWN:
        titles.append(f"and {len(view.chapters) - CHAPTERS_SHOWN:,} more")
    yield from below("chapters", titles)
    yield from below("voices", (f"{speaker}: {voice}" for speaker, voice in view.speakers.items()))
    if view.changes:
        changes = view.changes
        yield "compared", f"{counted(changes.same, 'line')} as before, {changes.new:,} new, {changes.gone:,} gone"


def first_of_each(skipped: Sequence[SkippedView]) -> Iterator[tuple[str, str, str]]:
    """Kind, what and place of the first of each kind, and how many there are."""
    by_kind: dict[str, list[SkippedView]] = {}
    for each in skipped:
        by_kind.setdefault(each.kind, []).append(each)
    for kind, group in by_kind.items():
        for number, each in enumerate(group[:SHOWN_OF_EACH]):
            yield "" if number else kind, each.what, each.place
        if len(group) > SHOWN_OF_EACH:
            yield "", f"and {len(group) - SHOWN_OF_EACH:,} more", ""


def warnings(given: Sequence[ImportWarningView]) -> Iterator[str]:
    """The first of each kind, and how many there are."""
    kinds: Counter[str] = Counter()
    shown = 0
    for warning in given:
        kind = warning.message.partition(":")[0]
        kinds[kind] += 1
        if kinds[kind] <= SHOWN_OF_EACH and shown < WARNINGS_SHOWN:
            shown += 1
            yield f"{warning.place}: warning: {warning.message}"
    if len(given) > shown:
        yield f"… and {counted(len(given) - shown, 'more warning')}; --json lists all of them"
