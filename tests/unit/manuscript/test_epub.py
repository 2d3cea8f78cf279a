"""EPUB: the order of reading, the table of contents, and what it says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.manuscripts import PNG, Epub, entry, left_out, lines, outline, page, point, read, refused
from vvbatch.manuscript.model import Kind

PARTS = Epub(
    {
        "p1.xhtml": "<h1>Part One</h1>",
        "c1.xhtml": '<h2>Chapter 1</h2><h3>The Lamp</h3><p>One.</p><h2 id="c2">Chapter 2</h2><p>Two.</p>',
        "c2b.xhtml": "<p>Two goes on.</p>",
        "p2.xhtml": "<h1>Part Two</h1><p>An epigraph.</p>",
        "c3.xhtml": "<h2>Chapter 3</h2><p>Three.</p>",
    }
)
NAV = (
    entry("Part One", "p1.xhtml", entry("Chapter 1", "c1.xhtml") + entry("Chapter 2", "c1.xhtml#c2"))
    + entry("Part Two", "p2.xhtml", entry("Chapter 3", "c3.xhtml"))
)  # fmt: skip
NCX = (
    point("Part One", "p1.xhtml", point("Chapter 1", "c1.xhtml") + point("Chapter 2", "c1.xhtml#c2"))
    + point("Part Two", "p2.xhtml", point("Chapter 3", "c3.xhtml"))
)  # fmt: skip
CHAPTERS = [
    ("Part One, Chapter 1: The Lamp", ["One."]),
    ("Chapter 2", ["Two.", "Two goes on."]),
    ("Part Two", ["An epigraph."]),
    ("Chapter 3", ["Three."]),
]


@pytest.mark.parametrize("field", [{"toc": NAV}, {"ncx": NCX}], ids=["EPUB 3", "EPUB 2"])
def test_chapters_are_as_the_nested_table_of_contents_says(tmp_path: Path, field: dict[str, Any]) -> None:
    """Two chapters in one file, one chapter in two files, and a part without a text above its first chapter."""
    assert outline(read(tmp_path, Epub(PARTS.pages, **field))) == CHAPTERS


def test_without_a_table_of_contents_headings_begin_chapters(tmp_path: Path) -> None:
    assert [title for title, _ in outline(read(tmp_path, PARTS))] == [title for title, _ in CHAPTERS]


def test_a_title_without_a_link_stands_above_the_first_of_its_chapters(tmp_path: Path) -> None:
    pages: dict[str, str | bytes] = {"a.xhtml": "<p>One.</p>", "b.xhtml": "<p>Two.</p>"}
    toc = entry("Part One", "", entry("The Lamp", "a.xhtml") + entry("The Oil", "b.xhtml"))
    assert outline(read(tmp_path, Epub(pages, toc))) == [("Part One, The Lamp", ["One."]), ("The Oil", ["Two."])]


def test_a_title_without_a_link_above_entries_that_are_too_deep_is_a_chapter(tmp_path: Path) -> None:
    pages: dict[str, str | bytes] = {"a.xhtml": '<p id="a">One.</p><p id="b">Two.</p><p id="c">Three.</p>'}
    author = entry("Isaacs", "", entry("A clover", "a.xhtml#a") + entry("A diadem", "a.xhtml#b"))
    toc = entry("Fairy tales", "", author + entry("Coleridge", "", entry("The Lord", "a.xhtml#c")))
    flat = outline(read(tmp_path, Epub(pages, toc)))
    assert flat == [("Fairy tales, Isaacs", ["One.", "Two."]), ("Coleridge", ["Three."])]
    deep = outline(read(tmp_path, Epub(pages, toc), depth=3))
    assert [title for title, _ in deep] == ["Fairy tales, Isaacs, A clover", "A diadem", "Coleridge, The Lord"]


def test_a_title_that_ends_with_a_mark_is_joined_without_another(tmp_path: Path) -> None:
    body = "<h2>CHAPTER I.</h2><hr/><h3>The lamp</h3><p>One.</p><h2>CHAPTER II.</h2><h3>The oil</h3><p>Two.</p>"
    done = outline(read(tmp_path, Epub({"a.xhtml": body})))
    assert [title for title, _ in done] == ["CHAPTER I. The lamp", "CHAPTER II. The oil"]


def test_pages_without_a_text_are_no_chapters(tmp_path: Path) -> None:
    pages: dict[str, str | bytes] = {"c.xhtml": '<img alt="Cover"/>', "t.xhtml": "<svg/>", "a.xhtml": "<p>One.</p>"}
    toc = entry("Cover", "c.xhtml") + entry("Title", "t.xhtml") + entry("Start", "a.xhtml")
    assert outline(read(tmp_path, Epub(pages, toc))) == [("Start", ["One."])]
    part = entry("Part One", "c.xhtml", entry("Chapter 1", "a.xhtml"))
    assert outline(read(tmp_path, Epub(pages, part))) == [("Part One, Chapter 1", ["One."])]


def test_entries_below_the_depth_are_headings_in_their_chapter(tmp_path: Path) -> None:
    pages: dict[str, str | bytes] = {
        "a.xhtml": '<h1>Ships</h1><p>One.</p><h2 id="s">Sails</h2><p>Two.</p>',
        "b.xhtml": "<h1>Boats</h1><p>Three.</p>",
    }
    toc = entry("Ships", "a.xhtml", entry("Sails", "a.xhtml#s")) + entry("Boats", "b.xhtml")
    deep = outline(read(tmp_path, Epub(pages, toc)))
    flat = outline(read(tmp_path, Epub(pages, toc), depth=1))
    assert deep == [("Ships", ["One."]), ("Sails", ["Two."]), ("Boats", ["Three."])]
    assert flat == [("Ships", ["One.", "Sails", "Two."]), ("Boats", ["Three."])]


def test_text_before_the_first_chapter_is_a_chapter_with_its_own_heading(tmp_path: Path) -> None:
    pages: dict[str, str | bytes] = {"d.xhtml": "<h1>Dedication</h1><p>For you.</p>", **PARTS.pages}
    assert outline(read(tmp_path, Epub(pages, NAV)))[0] == ("Dedication", ["For you."])
    pages["d.xhtml"] = "<p>For you.</p>"
    assert outline(read(tmp_path, Epub(pages, NAV)))[0] == ("The Lighthouse", ["For you."])


@pytest.mark.parametrize(
    ("entry_title", "headings", "title", "texts"),
    [
        ("Chapter 1", "<h1>Chapter 1</h1><h2>The Lamp</h2>", "Chapter 1: The Lamp", []),
        ("Chapter 1", "<h1>Chapter 1<br/>The Lamp</h1>", "Chapter 1: The Lamp", []),
        ("Chapter I", "<h1>CHAPTER I.<br/>The Lamp<br/>of Night</h1>", "CHAPTER I. The Lamp of Night", []),
        ("1. The Lamp", "<h1>The Lamp</h1>", "1. The Lamp", []),
        ("Chapter 1: The Lamp", "<p>CHAPTER 1</p><p>The Lamp</p>", "Chapter 1: The Lamp", []),
        ("The Lamp", "", "The Lamp", []),
        ("One", "<h1>Something else</h1>", "One", ["Something else"]),
        ("The Lamp", "<p>The lamp went out.</p>", "The Lamp", ["The lamp went out."]),
    ],
)
def test_a_title_is_not_spoken_twice_and_no_heading_is_lost(
    tmp_path: Path, entry_title: str, headings: str, title: str, texts: list[str]
) -> None:
    pages: dict[str, str | bytes] = {"a.xhtml": f"{headings}<p>Text.</p>", "b.xhtml": "<p>End.</p>"}
    toc = entry(entry_title, "a.xhtml") + entry("Last", "b.xhtml")
    assert outline(read(tmp_path, Epub(pages, toc)))[0] == (title, [*texts, "Text."])


def test_title_author_language_and_cover_are_taken_from_the_package(tmp_path: Path) -> None:
    epub = Epub(
        {"a.xhtml": "<p>Text.</p>"},
        author="Doe, Jane",
        language="en_GB",
        metadata='<dc:creator id="t">A Translator</dc:creator><meta refines="#t" property="role">trl</meta>',
        manifest='<item id="c" href="art/front.png" media-type="image/png" properties="cover-image"/>',
        files={"OEBPS/art/front.png": PNG},
    )
    done = read(tmp_path, epub)
    assert (done.title, done.author, done.language) == ("The Lighthouse", "Doe, Jane", "en-GB")
    assert done.cover is not None and (done.cover.data, done.cover.suffix) == (PNG, ".png")


def test_a_cover_of_another_format_is_left_out_with_a_warning(tmp_path: Path) -> None:
    item = '<item id="c" href="c.svg" media-type="image/svg+xml" properties="cover-image"/>'
    done = read(tmp_path, Epub({"a.xhtml": "<p>Text.</p>"}, manifest=item, files={"OEBPS/c.svg": "<svg/>"}))
    assert done.cover is None
    assert [warning.message for warning in done.warnings] == ["the cover is neither JPEG nor PNG; it is left out"]


def test_a_language_that_is_none_is_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, Epub({"a.xhtml": "<p>Text.</p>"}, language="und")).language is None
    wrong = read(tmp_path, Epub({"a.xhtml": "<p>Text.</p>"}, language="English!"))
    assert wrong.language is None and "English!" in wrong.warnings[0].message


def test_paragraphs_in_a_second_language_are_imported_with_a_warning(tmp_path: Path) -> None:
    body = '<p>Good day.</p><p xml:lang="fr">Bonjour.</p><div lang="fr"><p>Bonsoir.</p></div>'
    done = read(tmp_path, Epub({"a.xhtml": body}))
    assert lines(done) == ["Good day.", "Bonjour.", "Bonsoir."]
    [warning] = done.warnings
    assert "2 paragraphs are in 'fr', the manuscript is in 'en'" in warning.message
    assert warning.place.startswith("OEBPS/a.xhtml:")


def test_pages_outside_the_order_of_reading_are_left_out_unless_they_are_in_the_contents(tmp_path: Path) -> None:
    pages: dict[str, str | bytes] = {"a.xhtml": "<p>One.</p>", "x.xhtml": "<p>Aside.</p>", "b.xhtml": "<p>Two.</p>"}
    toc = entry("A", "a.xhtml") + entry("B", "b.xhtml")
    done = read(tmp_path, Epub(pages, toc, not_linear=["x.xhtml"]))
    assert lines(done) == ["One.", "Two."]
    assert left_out(done, Kind.AUXILIARY) == ["auxiliary, 6 characters: “Aside.”"]
    listed = read(tmp_path, Epub(pages, toc + entry("X", "x.xhtml"), not_linear=["x.xhtml"]))
    assert lines(listed) == ["One.", "Aside.", "Two."]


def test_what_is_missing_is_a_warning_and_the_rest_is_imported(tmp_path: Path) -> None:
    epub = Epub(
        {"a.xhtml": "<p>One.</p>", "b.xhtml": "<p>Two.</p>"},
        toc=entry("A", "a.xhtml") + entry("B", "b.xhtml#gone") + entry("C", "c.xhtml"),
        manifest='<item id="m" href="lost.xhtml" media-type="application/xhtml+xml"/>',
        spine='<itemref idref="m"/><itemref idref="nothing"/>',
    )
    done = read(tmp_path, epub)
    assert outline(done) == [("A", ["One."]), ("B", ["Two."])]
    assert [warning.message for warning in done.warnings] == [
        "the page 'OEBPS/lost.xhtml' is missing",
        "the order of reading names 'nothing', which is no file of it",
        "“B” points to #gone, which is not there",
        "“C” is not in the order of reading; it is no chapter",
    ]


def test_a_page_that_is_not_well_formed_is_read_as_html(tmp_path: Path) -> None:
    broken = page("<p>One <b>bold<p>Two &nbsp;&eacute;t&eacute;.").encode()
    done = read(tmp_path, Epub({"a.xhtml": broken}))
    assert lines(done) == ["One bold", "Two été."]
    assert "not well-formed XML" in done.warnings[0].message


def test_text_behind_a_self_closed_element_and_a_comment_is_kept(tmp_path: Path) -> None:
    body = '<p>One <span id="x"/>two <!-- no --> three <a id="y"/>four <?php no ?>five.</p>'
    assert lines(read(tmp_path, Epub({"a.xhtml": body}))) == ["One two three four five."]


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "utf-16", "shift_jis", "koi8-r"])
def test_a_declared_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    text = {"shift_jis": "日本", "koi8-r": "маяк"}.get(encoding, "été")
    data = f'<?xml version="1.0" encoding="{encoding}"?><html><body><p>{text}</p></body></html>'.encode(encoding)
    done = read(tmp_path, Epub({"a.xhtml": data}))
    assert lines(done) == [text] and done.warnings == ()


@pytest.mark.parametrize("encoding", ["klingon-8", "punycode", "unicode_escape", "zip", "utf-8"])
def test_a_page_that_is_not_in_its_encoding_is_read_with_a_warning(tmp_path: Path, encoding: str) -> None:
    data = f'<?xml version="1.0" encoding="{encoding}"?><html><body><p>été</p></body></html>'.encode("cp1252")
    done = read(tmp_path, Epub({"a.xhtml": data}))
    assert lines(done) == ["été"]
    assert f"says its encoding is {encoding}" in done.warnings[0].message
    assert "read as Windows-1252" in done.warnings[1].message


def test_a_wrong_mimetype_is_a_warning(tmp_path: Path) -> None:
    done = read(tmp_path, Epub({"a.xhtml": "<p>Text.</p>"}, files={"mimetype": "application/zip"}))
    assert lines(done) == ["Text."]
    assert "its mimetype is 'application/zip'" in done.warnings[0].message


def test_an_epub_without_pages_or_text_is_refused(tmp_path: Path) -> None:
    assert "an EPUB without a page of text" in refused(tmp_path, Epub({}))
    assert "no text to speak (1 toc left out)" in refused(tmp_path, Epub({"a.xhtml": "<nav><p>Links</p></nav>"}))
