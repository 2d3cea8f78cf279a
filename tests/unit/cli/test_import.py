"""`vvbatch import`, and manuscripts given to commands that take scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.manuscripts import Epub, entry, page
from vvbatch import manuscript
from vvbatch.manuscript.model import KEEPABLE

BODY = '<h1>One</h1><p>“Who?” said Mara.<sup><a href="#n">1</a></sup></p><p id="n">A note.</p>'
TOC = entry("One", "a.xhtml") + entry("Two", "b.xhtml")


@pytest.fixture
def book(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Epub({"a.xhtml": BODY, "b.xhtml": "<h1>Two</h1><p>The end.</p>"}, TOC).write(tmp_path)


def test_the_document_of_an_import(book: Path) -> None:
    view = Cli().json("import", "book.epub", "-o", "lamp.yaml", "--quotes", "alice")
    assert view == {
        "script": "lamp.yaml",
        "title": "The Lighthouse",
        "author": "Jane Doe",
        "language": "en",
        "cover": None,
        "chapters": [
            {"title": "One", "lines": 1, "characters": 16},
            {"title": "Two", "lines": 1, "characters": 8},
        ],
        "speakers": {"quoted": "alice"},
        "skipped": [
            {
                "what": "the mark of a note: “1”",
                "why": "a note is not part of the running text",
                "place": "OEBPS/a.xhtml:4",
                "kind": "footnotes",
            },
            {
                "what": "a note: “A note.”",
                "why": "a note is not part of the running text",
                "place": "OEBPS/a.xhtml:4",
                "kind": "footnotes",
            },
        ],
        "warnings": [],
        "changes": None,
    }
    assert Cli().json("check", "lamp.yaml", "--model", "ready")["voices"] == {"alice": 1, "carter": 4}


def test_what_an_import_prints_fits_a_terminal_and_shows_what_is_left_out(book: Path) -> None:
    shown = Cli()("import", "book.epub").stdout
    assert "script    book.yaml\n" in shown and "lines     2 in 2 chapters, 25 characters\n" in shown
    assert "\nfootnotes  the mark of a note: “1”  OEBPS/a.xhtml:4\n" in shown
    assert "compared" not in shown
    again = Cli()("import", "book.epub", "--keep", "footnotes,captions").stdout
    assert "compared  1 line as before, 2 new, 1 gone\n" in again and "left out" not in again


def test_a_long_list_is_cut(book: Path, tmp_path: Path) -> None:
    notes = "".join(f"<p>{'Text'}{number}.<sup>{number}</sup></p>" for number in range(1, 9))
    Epub({"a.xhtml": notes, "b.xhtml": page("<p>&nope;<p>Broken").encode()}).write(tmp_path)
    shown = Cli()("import", "book.epub").stdout
    assert shown.count("the mark of a note") == 3 and "and 5 more" in shown
    assert "OEBPS/b.xhtml: warning: it is not well-formed XML" in shown


def test_warnings_of_one_kind_are_shown_three_times(book: Path, tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("\n\n".join(f"It was _so_ dark {number}." for number in range(9)))
    shown = Cli()("import", "book.txt").stdout
    assert shown.count(": warning: markup in a text is taken out: _so_") == 3 and "… and 6 more warnings" in shown


def test_an_edited_script_is_left_alone(book: Path, tmp_path: Path) -> None:
    Cli()("import", "book.epub")
    script = tmp_path / "book.yaml"
    edited = script.read_text(encoding="utf-8").replace("The end.", "THE END.")
    script.write_text(edited, encoding="utf-8")
    refused = Cli()("import", "book.epub", code=2)
    assert "book.yaml: it was edited after it was imported" in refused.stderr
    assert script.read_text(encoding="utf-8") == edited
    Cli()("import", "book.epub", "--update")
    assert script.read_text(encoding="utf-8") == edited
    Cli()("import", "book.epub", "--force")
    assert "The end." in script.read_text(encoding="utf-8")


def test_check_takes_a_manuscript_and_writes_nothing(book: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    view = Cli().json("check", "book.epub", "--model", "ready")
    assert (view["script"], view["title"], view["chapter_titles"]) == ("book.epub", "The Lighthouse", ["One", "Two"])
    assert sorted(path.name for path in tmp_path.iterdir()) in (before, sorted([*before, "home"]))


def test_problems_of_scripts_and_manuscripts_are_reported_together(book: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\n")
    (tmp_path / "bad.epub").write_bytes(b"PK")
    done = Cli()("check", "bad.yaml", "bad.epub", "book.epub", "--model", "ready", code=2)
    assert "bad.yaml:1:1: neither chapters nor lines" in done.stderr
    assert "bad.epub: not a complete ZIP archive" in done.stderr


def test_a_missing_package_is_named(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_lxml(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'lxml'", name="lxml")

    monkeypatch.setattr(manuscript, "_draft", without_lxml)
    done = Cli()("import", "book.epub", code=3)
    assert "lxml is not installed: run  pip install 'vvbatch[import]'" in done.stderr


def test_the_help_names_every_kind_that_can_be_kept() -> None:
    text = Cli()("import", "--help").stdout
    assert [kind for kind in KEEPABLE if kind.value not in text] == []
