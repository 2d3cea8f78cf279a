"""Importing to a script that is there already: ids stay, and what a person edited is not lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.manuscripts import PNG, Epub, read
from vvbatch.home import Home
from vvbatch.manuscript.importing import Changes, Imported, ScriptExists, import_manuscript
from vvbatch.manuscript.merge import merged
from vvbatch.script import Script, parse

TEXTS = ("The lamp went out.", "It was late.", "She ran.", "The end.")
COVER = '<item id="c" href="c.png" media-type="image/png" properties="cover-image"/>'


def epub(*texts: str, cover: bytes = b"") -> Epub:
    body = "".join(f"<p>{text}</p>" for text in texts)
    if not cover:
        return Epub({"a.xhtml": f"<h1>One</h1>{body}"})
    return Epub({"a.xhtml": f"<h1>One</h1>{body}"}, manifest=COVER, files={"OEBPS/c.png": cover})


class Desk:
    """A folder with a home, a manuscript and its script."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, Home(folder / "home")
        self.script = folder / "book.yaml"

    def imported(self, manuscript: Epub, **options: Any) -> Imported:
        done = read(self.folder, manuscript)
        return import_manuscript(done, self.folder / "book.epub", self.script, self.home, **options)

    def edit(self, old: str, new: str) -> None:
        text = self.script.read_text(encoding="utf-8")
        assert old in text
        self.script.write_text(text.replace(old, new), encoding="utf-8")

    def parsed(self) -> Script:
        return parse(self.script)

    def ids(self) -> dict[str, str]:
        return {line.turns[0].text: line.id for chapter in self.parsed().chapters for line in chapter.lines}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_lines_that_did_not_change_keep_their_ids(desk: Desk) -> None:
    assert desk.imported(epub(*TEXTS)).changes is None
    before = desk.ids()
    done = desk.imported(epub("New.", TEXTS[0], "It was very late.", *TEXTS[2:]))
    assert done.changes == Changes(same=3, new=2, gone=1)
    assert {text: line for text, line in desk.ids().items() if text in before} == {
        text: line for text, line in before.items() if text != TEXTS[1]
    }


def test_an_edited_script_is_not_replaced_without_force(desk: Desk) -> None:
    desk.imported(epub(*TEXTS))
    desk.edit("She ran.", "She ran fast.")
    before = desk.script.read_bytes()
    with pytest.raises(ScriptExists, match=r"--update.*--force.*-o"):
        desk.imported(epub(*TEXTS))
    assert desk.script.read_bytes() == before
    desk.imported(epub(*TEXTS), force=True)
    assert "She ran." in desk.ids()


@pytest.mark.parametrize(
    "content", ["version: 1\nlines: [Mine.]\n", "", "# Imported from x by `vvbatch import` (zz).\n"]
)
def test_a_script_of_other_origin_is_not_replaced_or_merged(desk: Desk, content: str) -> None:
    desk.script.write_text(content)
    for options in ({}, {"update": True}):
        with pytest.raises(ScriptExists):
            desk.imported(epub(*TEXTS), **options)
    assert desk.script.read_text() == content


def test_update_keeps_what_a_person_edited_and_takes_what_the_manuscript_changed(desk: Desk) -> None:
    desk.imported(epub(*TEXTS))
    desk.edit("defaults: {voice: default}", "defaults: {voice: carter}\nspeakers:\n  mara: {voice: alice}")
    desk.edit("- She ran.", "- mara: She ran.")
    ids = desk.ids()
    done = desk.imported(epub(TEXTS[0], "It was very late.", *TEXTS[2:], "Or not."), update=True)
    assert done.warnings == () and done.changes == Changes(same=3, new=2, gone=1)
    [chapter] = desk.parsed().chapters
    said = [(turn.speaker, turn.voice, turn.text) for line in chapter.lines for turn in line.turns][1:]
    assert said == [
        ("narrator", "carter", "The lamp went out."),
        ("narrator", "carter", "It was very late."),
        ("mara", "alice", "She ran."),
        ("narrator", "carter", "The end."),
        ("narrator", "carter", "Or not."),
    ]
    assert all(desk.ids()[text] == ids[text] for text in (TEXTS[0], TEXTS[2], TEXTS[3]))


def test_several_updates_in_a_row_compare_with_the_last_import(desk: Desk) -> None:
    desk.imported(epub(*TEXTS))
    desk.edit("She ran.", "She ran fast.")
    for count in range(3):
        desk.imported(epub(f"Edition {count}.", *TEXTS), update=True)
        assert list(desk.ids())[1:] == [f"Edition {count}.", *TEXTS[:2], "She ran fast.", "The end."]
        with pytest.raises(ScriptExists):
            desk.imported(epub(*TEXTS))


def test_where_both_changed_a_line_the_persons_is_kept_with_a_warning(desk: Desk) -> None:
    desk.imported(epub(*TEXTS))
    desk.edit("She ran.", "She ran fast.")
    done = desk.imported(epub(*TEXTS[:2], "She walked.", TEXTS[3]), update=True)
    assert "She ran fast." in desk.ids() and "She walked." not in desk.ids()
    [warning] = done.warnings
    assert "your lines are kept, the manuscript has: “- She walked.”" in warning.message
    row = int(warning.place.removeprefix("book.yaml:"))
    assert "She ran fast." in desk.script.read_text(encoding="utf-8").splitlines()[row - 1]


def test_nothing_is_merged_when_the_last_import_is_no_longer_known(desk: Desk) -> None:
    desk.imported(epub(*TEXTS))
    desk.edit("She ran.", "She ran fast.")
    for kept in (desk.home.cache / "imports").iterdir():
        kept.unlink()
    with pytest.raises(ScriptExists, match="no longer known"):
        desk.imported(epub(*TEXTS), update=True)


def test_a_merged_script_with_problems_is_not_written(desk: Desk) -> None:
    from vvbatch.script import ScriptError

    desk.imported(epub(*TEXTS))
    desk.edit("- She ran.", "- nobody knows: She ran.")
    before = desk.script.read_bytes()
    with pytest.raises(ScriptError, match="unknown speaker"):
        desk.imported(epub("New.", *TEXTS), update=True)
    assert desk.script.read_bytes() == before


def test_line_endings_of_another_editor_are_no_edit(desk: Desk) -> None:
    desk.imported(epub(*TEXTS))
    desk.script.write_bytes(desk.script.read_bytes().replace(b"\n", b"\r\n"))
    assert desk.imported(epub("New.", *TEXTS)).changes == Changes(same=4, new=1, gone=0)


def test_the_cover_is_beside_the_script_and_one_of_a_person_is_kept(desk: Desk) -> None:
    desk.imported(epub(*TEXTS, cover=PNG))
    cover = desk.folder / "book-cover.png"
    assert cover.read_bytes() == PNG and desk.parsed().cover == "book-cover.png"
    cover.write_bytes(b"mine")
    done = desk.imported(epub(*TEXTS, cover=PNG))
    assert cover.read_bytes() == b"mine" and "another picture is there" in done.warnings[0].message
    desk.imported(epub(*TEXTS, cover=PNG), force=True)
    assert cover.read_bytes() == PNG


def test_a_write_that_fails_leaves_the_script_as_it_was(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from vvbatch import fault_points

    desk.imported(epub(*TEXTS))
    before = desk.script.read_bytes()

    def fail(name: str) -> None:
        if name == "store.temp_written":
            raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(fault_points, "point", fail)
    with pytest.raises(OSError, match="No space left"):
        desk.imported(epub("New.", *TEXTS))
    assert desk.script.read_bytes() == before
    assert [path.name for path in desk.folder.iterdir() if path.name.startswith(".tmp")] == []


ROWS = st.lists(st.sampled_from("abcdef"), max_size=8)


@given(base=ROWS, changed=ROWS)
def test_a_merge_with_one_side_unchanged_is_the_other_side(base: list[str], changed: list[str]) -> None:
    for ours, theirs in ((base, changed), (changed, base), (changed, changed)):
        merge = merged(base, ours, theirs)
        assert merge.rows == changed and merge.conflicts == []


@given(base=ROWS, ours=ROWS, theirs=ROWS)
def test_a_merge_loses_no_row_of_a_person(base: list[str], ours: list[str], theirs: list[str]) -> None:
    rows = iter(merged(base, ours, theirs).rows)
    kept = [row for row in ours if row not in base]
    assert all(any(row == one for one in rows) for row in kept)
