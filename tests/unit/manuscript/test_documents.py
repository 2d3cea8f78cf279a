"""DOCX, Markdown, HTML, plain text and subtitles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.manuscripts import docx, left_out, lines, outline, paragraph, read, refused, run
from vvbatch.manuscript.model import Kind, Manuscript
from vvbatch.script.model import Pause, PauseKind

NOTE = '<w:r><w:footnoteReference w:id="2"/></w:r>'


def test_a_docx_has_chapters_by_its_styles_and_leaves_out_notes_contents_and_captions(tmp_path: Path) -> None:
    body = (
        paragraph("The Lighthouse", "Title")
        + paragraph("One ..... 3", "TOC1")
        + paragraph("One", "Heading1")
        + paragraph(f"{run('The lamp')}{NOTE}{run(' went out.')}")
        + paragraph("* * *")
        + paragraph("Figure 1", "Caption")
        + paragraph("Two", "Heading1")
        + paragraph("Part of two", "Heading2")
        + paragraph("The end.")
    )
    done = read(tmp_path, docx(body, footnotes={2: "A note."}, author="Jane Doe"), "book.docx")
    assert (done.title, done.author) == ("The Lighthouse", "Jane Doe")
    assert outline(done) == [("One", ["The lamp went out."]), ("Two: Part of two", ["The end."])]
    assert [(each.kind, each.what, each.place) for each in done.skipped] == [
        (Kind.FOOTNOTES, "a note: “A note.”", "paragraph 4"),
        (Kind.TOC, "toc, 11 characters: “One ..... 3”", "paragraph 2"),
        (Kind.CAPTIONS, "a caption: “Figure 1”", "paragraph 6"),
    ]


def test_the_notes_of_a_docx_are_kept_behind_their_paragraph(tmp_path: Path) -> None:
    body = paragraph(f"{run('The lamp')}{NOTE}{run(' burns.')}") + paragraph("More.")
    done = read(tmp_path, docx(body, footnotes={2: "A note."}), "b.docx", keep=frozenset({Kind.FOOTNOTES}))
    assert lines(done) == ["The lamp [2] burns.", "[2] A note.", "More."]


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        (f"{run('The ')}<w:del><w:r><w:delText>old </w:delText></w:r></w:del>{run('lamp.')}", "The lamp."),
        (f"{run('The ')}<w:ins>{run('new ')}</w:ins>{run('lamp.')}", "The new lamp."),
        (f"{run('The ')}{run('secret ', '<w:vanish/>')}{run('lamp.')}", "The lamp."),
        (f"{run('The')}<w:r><w:tab/></w:r>{run('lamp.')}", "The lamp."),
        (f"{run('The ')}<w:hyperlink w:anchor='x'>{run('lamp')}</w:hyperlink>{run('.')}", "The lamp."),
        (f"{run('The la')}<w:smartTag>{run('mp.')}</w:smartTag>", "The lamp."),
        (f"{run('The ')}<w:r><w:fldChar w:fldCharType='begin'/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>"
         f"<w:r><w:fldChar w:fldCharType='end'/></w:r>{run('lamp.')}", "The lamp."),
    ],
)  # fmt: skip
def test_a_paragraph_of_a_docx_has_the_text_that_is_shown(tmp_path: Path, runs: str, text: str) -> None:
    assert lines(read(tmp_path, docx(paragraph(runs)), "book.docx")) == [text]


def test_an_initial_in_a_frame_of_a_docx_is_joined_to_its_word(tmp_path: Path) -> None:
    body = paragraph("T", "", '<w:framePr w:dropCap="drop"/>') + paragraph("he lamp.")
    assert lines(read(tmp_path, docx(body), "book.docx")) == ["The lamp."]


def test_a_generated_table_of_contents_of_a_docx_is_left_out(tmp_path: Path) -> None:
    field = (
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>TOC \\o</w:instrText></w:r>'
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
    )
    contents = paragraph(field + run("One 3")) + paragraph(run("Two 9") + '<w:r><w:fldChar w:fldCharType="end"/></w:r>')
    gallery = '<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val="Table of Contents"/></w:docPartObj></w:sdtPr>'
    for given in (contents, f"{gallery}<w:sdtContent>{paragraph('One 3')}</w:sdtContent></w:sdt>"):
        done = read(tmp_path, docx(given + paragraph("The lamp.")), "book.docx")
        assert lines(done) == ["The lamp."] and len(left_out(done, Kind.TOC)) == 1


def test_chapters_of_a_docx_without_styles_are_found_by_their_words(tmp_path: Path) -> None:
    texts = ("CHAPTER ONE", "The lamp.", "Chapter 2: The Oil", "The oil.")
    done = read(tmp_path, docx("".join(map(paragraph, texts))), "book.docx")
    assert outline(done) == [("CHAPTER ONE", ["The lamp."]), ("Chapter 2: The Oil", ["The oil."])]


def test_a_table_of_a_docx_is_left_out_or_read_by_rows(tmp_path: Path) -> None:
    def row(*cells: str) -> str:
        return f"<w:tr>{''.join(f'<w:tc>{paragraph(cell)}</w:tc>' for cell in cells)}</w:tr>"

    body = paragraph("Text.") + f"<w:tbl>{row('Ship', 'Year')}{row('Mara', '1912')}</w:tbl>"
    assert lines(read(tmp_path, docx(body), "book.docx")) == ["Text."]
    kept = read(tmp_path, docx(body), "book.docx", keep=frozenset({Kind.TABLES}))
    assert lines(kept) == ["Text.", "Ship, Year", "Mara, 1912"]


MARKDOWN = """\
---
title: "The Lighthouse"
author: Jane Doe
lang: en-GB
---

# The lamp

The **lamp** went
out.[^1] See [the map](map.html).

[^1]: A note
    in two rows.

* * *

> A quote.

- an item

# The oil

| a | b |
|---|---|
| 1 | 2 |

![A ship](ship.png)

<script>alert(1)</script>

The end.
"""


def test_markdown(tmp_path: Path) -> None:
    done = read(tmp_path, MARKDOWN, "book.md")
    assert (done.title, done.author, done.language) == ("The Lighthouse", "Jane Doe", "en-GB")
    assert outline(done) == [
        ("The lamp", ["The lamp went out. See the map.", "A quote.", "an item"]),
        ("The oil", ["The end."]),
    ]
    assert breaks(done) == 1
    assert {(each.kind, each.place) for each in done.skipped} == {
        (Kind.FOOTNOTES, "book.md:9"),
        (Kind.FOOTNOTES, "book.md:12"),
        (Kind.TABLES, "book.md:23"),
        (Kind.IMAGES, "book.md:27"),
        (Kind.OTHER, "book.md:29"),
    }


def test_a_single_first_heading_is_the_title_of_the_manuscript(tmp_path: Path) -> None:
    done = read(tmp_path, "# The Lighthouse\n\n## One\n\nText.\n\n## Two\n\nMore.\n", "book.md")
    assert (done.title, outline(done)) == ("The Lighthouse", [("One", ["Text."]), ("Two", ["More."])])


def test_the_title_block_of_pandoc_is_read(tmp_path: Path) -> None:
    done = read(tmp_path, "% The Lighthouse\n% Jane Doe\n\nText.\n", "book.md")
    assert (done.title, done.author, lines(done)) == ("The Lighthouse", "Jane Doe", ["Text."])


@pytest.mark.parametrize(
    ("written", "title", "author"),
    [
        ("The Project Gutenberg eBook of The Lamp, by Jane Doe.", "The Lamp", "Jane Doe"),
        ("The Project Gutenberg E-text of The Lamp", "The Lamp", None),
        ("The Lamp by Jane Doe", "The Lamp by Jane Doe", None),
    ],
)
def test_the_title_of_a_project_gutenberg_page(tmp_path: Path, written: str, title: str, author: str | None) -> None:
    done = read(tmp_path, f"<title>{written}</title><p>Text.</p>", "book.html")
    assert (done.title, done.author) == (title, author)


def test_html(tmp_path: Path) -> None:
    page = (
        '<!DOCTYPE html><html lang="de"><head><title>Der Turm</title><meta name="author" content="Jane Doe">'
        "<meta charset=utf-8></head><body><h1>Eins</h1><p>Die Lampe<br>erlosch.<h1>Zwei</h1><p>Ende.</body></html>"
    )
    done = read(tmp_path, page, "book.html")
    assert (done.title, done.author, done.language) == ("Der Turm", "Jane Doe", "de")
    assert outline(done) == [("Eins", ["Die Lampe erlosch."]), ("Zwei", ["Ende."])]


def breaks(done: Manuscript) -> int:
    return sum(
        isinstance(item, Pause) and item.kind is PauseKind.SECTION
        for chapter in done.chapters
        for item in chapter.items
    )


TEXT = """\
The Project Gutenberg eBook of The Lighthouse

Title: The Lighthouse

Author: Jane Doe

*** START OF THE PROJECT GUTENBERG EBOOK THE LIGHTHOUSE ***

CONTENTS

CHAPTER I. The Lamp
CHAPTER II. The Oil

CHAPTER I. The Lamp

The lamp[1] went out.

[1] It was
an old lamp.

* * *

- 12 -

Morning came.

CHAPTER II. The Oil

The end.

*** END OF THE PROJECT GUTENBERG EBOOK THE LIGHTHOUSE ***

The licence.
"""


def test_plain_text(tmp_path: Path) -> None:
    done = read(tmp_path, TEXT, "book.txt")
    assert (done.title, done.author) == ("The Lighthouse", "Jane Doe")
    assert outline(done) == [
        ("CHAPTER I. The Lamp", ["The lamp went out.", "Morning came."]),
        ("CHAPTER II. The Oil", ["The end."]),
    ]
    assert breaks(done) == 1
    assert [(each.kind, each.place) for each in done.skipped] == [
        (Kind.COPYRIGHT, "book.txt:1"),
        (Kind.COPYRIGHT, "book.txt:31"),
        (Kind.TOC, "book.txt:9"),
        (Kind.PAGE_NUMBERS, "book.txt:23"),
        (Kind.FOOTNOTES, "book.txt:18"),
        (Kind.FOOTNOTES, "book.txt:16"),
    ]


def test_labels_and_pauses_of_a_plain_text_are_those_of_a_script(tmp_path: Path) -> None:
    done = read(tmp_path, "Speaker 1: Hello. [pause 1.5s] Well.\n\nSpeaker 2: Yes.\n", "talk.txt")
    assert lines(done) == ["Speaker 1: Hello.", "Speaker 1: Well.", "Speaker 2: Yes."]
    assert done.speakers == {"Speaker 1": "carter", "Speaker 2": "alice"}
    assert Pause(PauseKind.PAUSE, 1.5) in done.chapters[0].items


SRT = """\
1
00:00:01,000 --> 00:00:02,000
[door slams]
Who is

2
00:00:02,000 --> 00:00:03,000
<i>there?</i>

3
00:00:03,000 --> 00:00:04,000
- Me.
- You?

4
00:00:20,000 --> 00:00:21,000
MARA: It is late.
♪ music ♪
"""


def test_cues_of_subtitles_are_joined_to_sentences(tmp_path: Path) -> None:
    done = read(tmp_path, SRT, "film.srt")
    assert lines(done) == ["Who is there?", "Me.", "You?", "Mara: It is late."]
    assert done.speakers == {"Mara": "carter"} and breaks(done) == 1
    assert [(each.kind, each.what, each.place) for each in done.skipped] == [
        (Kind.SOUNDS, "sounds: “[door slams]”", "00:00:01"),
        (Kind.SOUNDS, "sounds: “♪ music ♪”", "00:00:20"),
    ]


def test_webvtt_names_speakers_and_repeats_rows(tmp_path: Path) -> None:
    vtt = (
        "WEBVTT\n\nNOTE a comment\n\n00:01.000 --> 00:02.000 align:left\n<v Mara>Who is <b>there</b>?</v>\n\n"
        "00:02.000 --> 00:03.000\n<v Tom>Me &amp; you.</v>\n\n00:03.000 --> 00:04.000\n<v Tom>Me &amp; you.</v>\n"
    )
    assert lines(read(tmp_path, vtt, "film.vtt")) == ["Mara: Who is there?", "Tom: Me & you."]


def test_a_long_silence_or_text_begins_a_paragraph(tmp_path: Path) -> None:
    def cue(number: int, start: int, text: str) -> str:
        return f"{number}\n00:00:{start:02d},000 --> 00:00:{start + 1:02d},000\n{text}\n\n"

    srt = cue(1, 1, "One.") + cue(2, 2, "Two.") + cue(3, 6, "Three.") + cue(4, 7, "and")
    assert lines(read(tmp_path, srt, "film.srt")) == ["One. Two.", "Three. and"]
    long = "".join(cue(number, number, f"{number} " * 60 + "end.") for number in range(1, 9))
    assert len(lines(read(tmp_path, long, "film.srt"))) == 2


@pytest.mark.parametrize(
    ("name", "data"), [("a.srt", b"nothing"), ("a.vtt", b"WEBVTT\n"), ("a.md", b"\n"), ("a.html", b"<p>")]
)
def test_a_document_without_a_text_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    assert name in refused(tmp_path, data, name)
