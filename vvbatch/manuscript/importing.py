"""From a manuscript to its script on disk. A script that a person edited is never replaced without their word."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vvbatch.errors import InputError
from vvbatch.home import Home
from vvbatch.manuscript.merge import merged
from vvbatch.manuscript.model import ImportWarning, Manuscript, shown
from vvbatch.manuscript.origin import Origin, origin_of, with_hash
from vvbatch.manuscript.write import script_text
from vvbatch.script import parsed_text
from vvbatch.script.excerpt import visible
from vvbatch.store import make_folder, write_atomically

_LINE = re.compile(r" {2,10}- (?!title:|dialogue:|break:|pause:)")
KEPT_IMPORTS = "imports"  # in the cache of the home


class ScriptExists(InputError):
    """A script that a person edited, or that was not imported, is in the way."""


class Changes(msgspec.Struct, frozen=True):
    """Lines compared with those of the script that was there before."""

    same: int
    new: int
    gone: int


class ChapterView(msgspec.Struct, frozen=True):
    title: str
    lines: int
    characters: int


class SkippedView(msgspec.Struct, frozen=True):
    what: str
    why: str
    place: str
    kind: str  # the word for `--keep`


class ImportWarningView(msgspec.Struct, frozen=True):
    message: str
    place: str


class ImportedView(msgspec.Struct, frozen=True):
    """What `vvbatch import --json` prints."""

    script: str
    title: str
    author: str | None
    language: str | None
    cover: str | None
    chapters: list[ChapterView]
    speakers: dict[str, str]
    skipped: list[SkippedView]
    warnings: list[ImportWarningView]
    changes: Changes | None  # None: there was no script before


@dataclass(frozen=True)
class Imported:
    """A script on disk."""

    script: Path
    cover: Path | None
    changes: Changes | None
    warnings: tuple[ImportWarning, ...]


def import_manuscript(
    manuscript: Manuscript,
    source: Path,
    target: Path,
    home: Home,
    *,
    voice: str | None = None,
    update: bool = False,
    force: bool = False,
) -> Imported:
    """Write the script and the cover beside it. What was written is kept in the home, to merge with later.

    Raises ScriptExists where a person's work would be lost, ScriptError for a merged script with problems, and OSError.
    """
    warnings = list(manuscript.warnings)
    cover = target.with_name(f"{target.stem}-cover{manuscript.cover.suffix}") if manuscript.cover else None
    text = script_text(manuscript, source=source.name, cover=cover.name if cover else None, voice=voice)
    base = with_hash(text)
    old = _old(target)
    written = base
    if old and old.edited and not force:
        if not update:
            raise ScriptExists(
                f"{visible(str(target))}: it was edited after it was imported, or is no import; merge with --update, "
                "replace it with --force, or name another script with -o"
            )
        written = _merged(target, old, base, home, warnings)
    make_folder(target.absolute().parent)
    _keep(home, base)
    write_atomically(target.absolute(), written.encode())
    if manuscript.cover and cover:
        _write_cover(cover, manuscript.cover.data, force, warnings)
    return Imported(target, cover, _changes(old.text, written) if old else None, tuple(warnings))


def _merged(target: Path, old: Origin, base: str, home: Home, warnings: list[ImportWarning]) -> str:
    kept = _kept(home, old.imported_as)
    if kept is None:
        raise ScriptExists(
            f"{visible(str(target))}: what was imported into it is no longer known, so nothing can be merged; import "
            "to another script with -o, or replace it with --force"
        )
    # The first lines differ in their hash only: it is the new import that the next one is compared with.
    head, _, theirs = base.partition("\n")
    merge = merged(origin_of(kept).rows, old.rows, theirs.split("\n"))
    for conflict in merge.conflicts:
        place = f"{target.name}:{conflict.row + 1}"
        theirs_shown = shown(conflict.theirs, 200) if conflict.theirs.strip() else "nothing"
        message = f"edited, and changed in the manuscript too; your lines are kept, the manuscript has: {theirs_shown}"
        warnings.append(ImportWarning(message, place))
    text = "\n".join([head, *merge.rows])
    parsed_text(target, text)  # a merged script that has problems is not written
    return text


def _old(target: Path) -> Origin | None:
    """The script that is there already."""
    try:
        return origin_of(target.read_bytes())
    except FileNotFoundError:
        return None


def _changes(before: str, after: str) -> Changes:
    old, new = (Counter(row for row in text.split("\n") if _LINE.match(row)) for text in (before, after))
    return Changes((old & new).total(), (new - old).total(), (old - new).total())


def _write_cover(cover: Path, data: bytes, force: bool, warnings: list[ImportWarning]) -> None:
    if cover.exists() and not force:
        if cover.read_bytes() != data:
            warnings.append(
                ImportWarning("another picture is there already and is kept; --force replaces it", cover.name)
            )
        return
    write_atomically(cover.absolute(), data)


def _keep(home: Home, base: str) -> None:
    name = origin_of(base.encode()).imported_as
    folder = home.cache / KEPT_IMPORTS
    make_folder(folder)
    write_atomically(folder / f"{name}.yaml", base.encode())


def _kept(home: Home, name: str | None) -> bytes | None:
    if name is None:
        return None
    try:
        return (home.cache / KEPT_IMPORTS / f"{name}.yaml").read_bytes()
    except OSError:
        return None


def view_of(manuscript: Manuscript, done: Imported) -> ImportedView:
    return ImportedView(
        script=str(done.script),
        title=manuscript.title,
        author=manuscript.author,
        language=manuscript.language,
        cover=str(done.cover) if done.cover else None,
        chapters=[
            ChapterView(
                chapter.title,
                len(chapter.paragraphs),
                sum(len(turn.text) for paragraph in chapter.paragraphs for turn in paragraph.turns),
            )
            for chapter in manuscript.chapters
        ],
        speakers=dict(manuscript.speakers),
        skipped=[SkippedView(each.what, each.why, each.place, each.kind.value) for each in manuscript.skipped],
        warnings=[ImportWarningView(each.message, each.place) for each in done.warnings],
        changes=done.changes,
    )
