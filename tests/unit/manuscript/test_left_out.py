"""What is left out of a manuscript and listed, and what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.manuscripts import Epub, entry, left_out, lines, outline, read
from vvbatch.manuscript.model import KEEPABLE, REASONS, Kind

TEXT = "The lamp went out."


def imported(folder: Path, body: str, **options: Any) -> list[str]:
    return lines(read(folder, Epub({"a.xhtml": body}), **options))


NOTES = {
    "epub:type": (
        f'<p>{TEXT}<a epub:type="noteref" href="#n">1</a></p>'
        '<aside epub:type="footnote" id="n"><p>1. A note.</p></aside>'
    ),
    "role": f'<p>{TEXT}<a role="doc-noteref" href="#n">1</a></p><div role="doc-footnote" id="n"><p>A note.</p></div>',
    "links both ways": (f'<p>{TEXT}<a id="r" href="#n">1</a></p><p>More.</p><p id="n"><a href="#r">1</a> A note.</p>'),
    "raised link": f'<p>{TEXT}<sup><a href="#n">1</a></sup></p><ol><li id="n">A note.</li></ol>',
    "link in brackets": f'<p>{TEXT}<a href="#n">[1]</a></p><p><a id="n"></a>[1] A note.</p>',
    "asterisk": f'<p>{TEXT}<a href="#n">*</a></p><p id="n">* A note.</p>',
    "in the middle of a paragraph": (
        '<p>The lamp <a epub:type="noteref" href="#n">1</a>'
        '<aside epub:type="footnote" id="n">A note.</aside>went out.</p>'
    ),
    "definition list": f'<p>{TEXT}<sup><a href="#n">1</a></sup></p><dl><dt id="n">1</dt><dd>A note.</dd></dl>',
    "class": f'<p>{TEXT}<a class="noteref" href="#n">1</a></p><p class="footnote" id="n">A note.</p>',
    "raised number without a link": f"<p>{TEXT}<sup>1</sup></p>",
    "heading over notes": (
        f'<p>{TEXT}<sup><a href="#n">1</a></sup></p><section><h2>Notes</h2><p id="n">A note.</p></section>'
    ),
}


@pytest.mark.parametrize("body", NOTES.values(), ids=NOTES)
def test_notes_and_their_marks_are_left_out(tmp_path: Path, body: str) -> None:
    spoken = [line for line in imported(tmp_path, body) if line != "More."]
    assert spoken == [TEXT]
    listed = left_out(read(tmp_path, Epub({"a.xhtml": body})), Kind.FOOTNOTES)
    assert any(what.startswith("the mark of a note: ") for what in listed)
    assert "note.”" in " ".join(listed) or "raised number" not in NOTES


@pytest.mark.parametrize("body", NOTES.values(), ids=NOTES)
def test_notes_are_kept_on_demand(tmp_path: Path, body: str) -> None:
    spoken = " ".join(imported(tmp_path, body, keep=frozenset({Kind.FOOTNOTES})))
    assert "went out" in spoken and ("note." in spoken or "A note" not in body)


def test_endnotes_in_a_file_of_their_own_are_left_out_with_their_heading(tmp_path: Path) -> None:
    pages: dict[str, str | bytes] = {
        "a.xhtml": '<h1>One</h1><p>First.<a id="r1" href="n.xhtml#n1">1</a></p>',
        "b.xhtml": '<h1>Two</h1><p>Second.<a id="r2" href="n.xhtml#n2">2</a></p>',
        "n.xhtml": (
            '<h1>Notes</h1><h2>One</h2><p id="n1"><a href="a.xhtml#r1">1</a> A note.</p><p>It goes on.</p>'
            '<p id="n2"><a href="b.xhtml#r2">2</a> Another.</p>'
        ),
    }
    toc = entry("One", "a.xhtml") + entry("Two", "b.xhtml") + entry("Notes", "n.xhtml")
    assert outline(read(tmp_path, Epub(pages, toc))) == [("One", ["First."]), ("Two", ["Second."])]


STAYS = {
    "a link to a chapter": ('<p>See <a href="#c2">2</a> below.</p><h2 id="c2">Two</h2><p>Text.</p>', "See 2 below."),
    "an ordinal": ("<p>The 5<sup>th</sup> lamp.</p>", "The 5th lamp."),
    "a power": ("<p>It is 10<sup>3</sup> m<sup>2</sup>.</p>", "It is 10³ m²."),
    "a formula": ("<p>H<sub>2</sub>O.</p>", "H₂O."),
    "a link to words": ('<p>A <a href="#w">lamp</a> burns.</p><p id="w">Oil.</p>', "A lamp burns."),
    "a link forward to a long part": (
        f'<p>See <a href="#w">[1]</a> now.</p><div id="w"><h2>One</h2><p>{"Oil. " * 20}</p></div>',
        "See [1] now.",
    ),
}


@pytest.mark.parametrize(("body", "text"), STAYS.values(), ids=STAYS)
def test_what_only_looks_like_a_note_stays(tmp_path: Path, body: str, text: str) -> None:
    assert imported(tmp_path, body)[0] == text


PAGES = {
    "epub:type": '<p>The lamp <span epub:type="pagebreak" id="p12">12</span>went out.</p>',
    "role": '<p>The lamp <span role="doc-pagebreak">12</span>went out.</p>',
    "class": '<p>The lamp <span class="pagenum">[Pg 12]</span>went out.</p>',
    "between paragraphs": "<p>The lamp</p><p>[Page 12]</p><p>went out.</p>",
    "with dashes": "<p>The lamp</p><p>- 12 -</p><p>went out.</p>",
}


@pytest.mark.parametrize("body", PAGES.values(), ids=PAGES)
def test_page_numbers_are_left_out_and_a_divided_sentence_is_joined(tmp_path: Path, body: str) -> None:
    done = read(tmp_path, Epub({"a.xhtml": body}))
    assert lines(done) == [TEXT]
    assert len(left_out(done, Kind.PAGE_NUMBERS)) == 1


def test_bare_numbers_that_count_on_are_page_numbers_unless_they_are_chapters(tmp_path: Path) -> None:
    def numbered(first: int) -> str:
        return "".join(f"<p>Text {'a' * count}.</p><p>{first + count}</p>" for count in range(4))

    assert imported(tmp_path, numbered(12)) == ["Text .", "Text a.", "Text aa.", "Text aaa."]
    assert "2" in " ".join(title for title, _ in outline(read(tmp_path, Epub({"a.xhtml": numbered(1)}))))


FRONT = {
    Kind.COPYRIGHT: "<p>Copyright © 2024 Jane Doe</p><p>All rights reserved. ISBN 978-3-16-148410-0</p>",
    Kind.TITLE_PAGE: "<h1>The Lighthouse</h1><p>a novel by Jane Doe</p>",
    Kind.TOC: (
        '<h1>Contents</h1><p><a href="b.xhtml">One</a></p><p><a href="c.xhtml">Two</a></p>'
        '<p><a href="c.xhtml#x">Three</a></p>'
    ),
}


@pytest.mark.parametrize(("kind", "body"), FRONT.items(), ids=FRONT)
def test_pages_before_the_text_are_left_out_by_what_they_say(tmp_path: Path, kind: Kind, body: str) -> None:
    epub = Epub({"a.xhtml": body, "b.xhtml": "<h1>One</h1><p>Text.</p>", "c.xhtml": "<h1>Two</h1><p>More.</p>"})
    done = read(tmp_path, epub)
    assert outline(done) == [("One", ["Text."]), ("Two", ["More."])]
    assert len(left_out(done, kind)) == 1
    assert len(lines(read(tmp_path, epub, keep=frozenset({kind})))) > 2


@pytest.mark.parametrize(
    ("word", "kind"), [("toc", Kind.TOC), ("copyright-page", Kind.COPYRIGHT), ("index", Kind.INDEX)]
)
def test_pages_that_the_guide_names_are_left_out(tmp_path: Path, word: str, kind: Kind) -> None:
    guide = f'<reference type="{word}" href="a.xhtml"/>'
    done = read(tmp_path, Epub({"a.xhtml": "<p>Lamp, 12</p>", "b.xhtml": "<p>Text.</p>"}, guide=guide))
    assert lines(done) == ["Text."] and len(left_out(done, kind)) == 1


def test_a_guide_that_calls_the_whole_book_a_table_of_contents_is_not_believed(tmp_path: Path) -> None:
    body = "<p>Text.</p>" * 3000
    guide = '<reference type="toc" href="a.xhtml"/>'
    assert len(imported(tmp_path, body)) == len(lines(read(tmp_path, Epub({"a.xhtml": body}, guide=guide)))) == 3000


@pytest.mark.parametrize("mark", ['epub:type="copyright-page"', 'role="doc-index"', 'epub:type="titlepage"'])
def test_a_part_of_a_page_that_says_what_it_is_is_left_out(tmp_path: Path, mark: str) -> None:
    assert imported(tmp_path, f"<section {mark}><h1>Heading</h1><p>Not this.</p></section><p>{TEXT}</p>") == [TEXT]


@pytest.mark.parametrize(
    "text",
    [
        "Ask the publisher for a contract. An index of a first edition may be reproduced without permission.",
        "Copyright belongs to the author. The publisher has a licence.",
        "The novel was first published in 1895 by a publisher in London and printed in Bath.",
    ],
)
def test_a_text_about_publishing_is_no_copyright_page(tmp_path: Path, text: str) -> None:
    assert imported(tmp_path, f"<h1>Contracts</h1><p>{text}</p>") == [text]


def test_captions_pictures_and_scripts_are_listed_and_not_spoken(tmp_path: Path) -> None:
    body = (
        f'<figure><img src="a.jpg" alt="A ship"/><figcaption>Fig. 1</figcaption></figure><p>{TEXT}</p>'
        "<script>alert(1)</script><style>p {}</style><iframe>frame</iframe>"
    )
    done = read(tmp_path, Epub({"a.xhtml": body}))
    assert lines(done) == [TEXT]
    assert left_out(done, Kind.CAPTIONS) == ["a caption: “Fig. 1”"]
    assert left_out(done, Kind.IMAGES) == ["a picture: “A ship”"]
    assert left_out(done, Kind.OTHER) == ["a script", "a frame: “frame”"]
    assert imported(tmp_path, body, keep=frozenset(KEEPABLE)) == ["A ship", "Fig. 1", TEXT]


def test_a_listing_of_code_is_left_out_and_a_poem_is_not(tmp_path: Path) -> None:
    body = f"<p>{TEXT}</p><pre><code>x = 1</code></pre><div class='programlisting'>y = 2</div><pre>A poem.</pre>"
    assert imported(tmp_path, body) == [TEXT, "A poem."]
    assert imported(tmp_path, body, keep=frozenset({Kind.CODE})) == [TEXT, "x = 1", "y = 2", "A poem."]


def test_a_table_of_data_is_left_out_or_read_by_rows(tmp_path: Path) -> None:
    body = f"<p>{TEXT}</p><table><tr><th>Ship</th><th>Year</th></tr><tr><td>Mara</td><td>1912</td></tr></table>"
    assert imported(tmp_path, body) == [TEXT]
    assert imported(tmp_path, body, keep=frozenset({Kind.TABLES})) == [TEXT, "Ship, Year", "Mara, 1912"]


def test_a_table_that_only_places_text_is_read(tmp_path: Path) -> None:
    assert imported(tmp_path, f"<table><tr><td><p>{TEXT}</p><p>Later.</p></td></tr></table>") == [TEXT, "Later."]
    letter = f"<table role='presentation'><tr><td>Dear</td><td>{TEXT}</td></tr></table>"
    assert imported(tmp_path, letter) == ["Dear", TEXT]


RUBY = "<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字<rt>じ</rt></ruby>を読む。</p>"


def test_ruby_readings_are_left_out_or_spoken_in_place_of_the_characters(tmp_path: Path) -> None:
    done = read(tmp_path, Epub({"a.xhtml": RUBY}))
    assert lines(done) == ["漢字を読む。"] and left_out(done, Kind.RUBY) == ["2 readings"]
    assert imported(tmp_path, RUBY, keep=frozenset({Kind.RUBY})) == ["かんじを読む。"]


def test_hidden_text_is_left_out(tmp_path: Path) -> None:
    body = f'<p hidden="">No.</p><p style="display: none">No.</p><p>{TEXT}</p>'
    done = read(tmp_path, Epub({"a.xhtml": body}))
    assert lines(done) == [TEXT] and len(left_out(done, Kind.HIDDEN)) == 2


INITIALS = {
    "beside its word": '<p><span class="dropcap">T</span>he lamp.</p>',
    "with a space": '<p><span class="dropcap">T</span> he lamp.</p>',
    "on a line of its own": '<p><span class="dropcap">T</span>\n  he lamp.</p>',
    "with a quote": '<p><span class="dropcap">“T</span> he lamp.</p>',
    "bold": "<p><b>T</b> he lamp.</p>",
    "a paragraph of its own": '<p class="drop">T</p><p>he lamp.</p>',
    "floating": '<div style="float: left">T</div><p>he lamp.</p>',
    "a picture": '<p><img src="t.png" alt="T"/>he lamp.</p>',
    "small capitals behind it": '<p><span class="dropcap">T</span><small>HE</small> lamp.</p>',
}


@pytest.mark.parametrize("body", INITIALS.values(), ids=INITIALS)
def test_an_initial_is_joined_to_its_word(tmp_path: Path, body: str) -> None:
    [line] = imported(tmp_path, body)
    assert line.strip("“").casefold() == "the lamp."


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('<p><span class="dropcap">I</span> was there.</p>', "I was there."),
        ('<p><span class="dropcap">A</span> lamp burned.</p>', "A lamp burned."),
        ('<p><span class="dropcap">I</span> sland life.</p><p>On the island.</p>', "Island life."),
        ('<p><span class="dropcap">A</span>nd then.</p>', "And then."),
    ],
)
def test_an_initial_that_is_a_word_stays_one(tmp_path: Path, body: str, text: str) -> None:
    assert imported(tmp_path, body)[0] == text


def test_rules_ornaments_and_rare_empty_paragraphs_are_section_breaks(tmp_path: Path) -> None:
    body = f"<p>{TEXT}</p>" * 3
    for between in ("<hr/>", "<p>* * *</p>", "<p>&nbsp;</p>", '<p class="ornament"><img src="o.png" alt=""/></p>'):
        done = read(tmp_path, Epub({"a.xhtml": f"{body}{between}{between}{body}<hr/>"}))
        kinds = [type(item).__name__ for item in done.chapters[0].items]
        assert kinds == ["Paragraph"] * 3 + ["Pause"] + ["Paragraph"] * 3
    everywhere = read(tmp_path, Epub({"a.xhtml": f"<p>{TEXT}</p><p>&nbsp;</p>" * 6}))
    assert len(everywhere.chapters[0].items) == 6


def test_a_paragraph_without_a_letter_is_listed(tmp_path: Path) -> None:
    done = read(tmp_path, Epub({"a.xhtml": f"<p>{TEXT}</p><p>?!?</p>"}))
    assert lines(done) == [TEXT]
    assert left_out(done, Kind.OTHER) == ["a paragraph: “?!?”"]


def test_each_thing_has_a_place_and_a_reason(tmp_path: Path) -> None:
    body = f'<p>{TEXT}<sup><a href="#n">1</a></sup></p>\n<p>More.</p>\n<p id="n">A note.</p>{RUBY}'
    done = read(tmp_path, Epub({"a.xhtml": body}))
    assert [(each.kind, each.place) for each in done.skipped] == [
        (Kind.FOOTNOTES, "OEBPS/a.xhtml:4"),
        (Kind.RUBY, "OEBPS/a.xhtml"),
        (Kind.FOOTNOTES, "OEBPS/a.xhtml:6"),
    ]
    assert all(each.why == REASONS[each.kind] for each in done.skipped)
    assert set(REASONS) == set(KEEPABLE)
