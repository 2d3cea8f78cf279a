"""Whatever bytes come, a manuscript is imported, or refused with the project's own error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.manuscripts import Epub, archive, docx, entry, page, paragraph
from vvbatch.manuscript import SUFFIXES, read_manuscript
from vvbatch.manuscript.model import ManuscriptError

FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EPUB = Epub({"a.xhtml": "<h1>One</h1><p>Text.</p>", "b.xhtml": "<p>More.</p>"}, entry("One", "a.xhtml"))
SUBTITLES = (
    b"WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\n<v Mara>Who?</v>\n\n2\n00:00:03,000 --> 00:00:04,000\n{\\an8}Me\n"
)
PIECES = [
    b"\n", b"1\n", b"00:00:01,000 --> 00:00:02,000\n", b"99:99:99,999 --> 00:00:00,000", b"WEBVTT\n\n", b"<v Mara>",
    b"\\N",
    b"---\n", b"title: x\n", b"# One\n", b"[^1]", b"[^1]: note", b"|a|b|\n|-|-|\n", b"```\n", b"<p>", b"<!--", b"]]>",
    b"<![CDATA[", b"&#0;", b"&#x110000;", b"<?xml version='1.0' encoding='utf-16'?>", b"\xff\xfe", b"\x00",
    b"Speaker 1: ",
    b"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n", b"Contents\n", b"[1] note\n\n", b"\xc3\x28",
]  # fmt: skip


def imported_or_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        done = read_manuscript(path)
    except ManuscriptError as error:
        assert path.name in str(error)
    else:
        assert done.chapters


@FUZZ
@given(data=st.binary(max_size=300), suffix=st.sampled_from(SUFFIXES))
def test_any_bytes(tmp_path: Path, data: bytes, suffix: str) -> None:
    imported_or_refused(tmp_path / f"fuzz{suffix}", data)


@FUZZ
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=25), suffix=st.sampled_from(SUFFIXES))
def test_any_order_of_the_pieces_of_texts(tmp_path: Path, pieces: list[bytes], suffix: str) -> None:
    imported_or_refused(tmp_path / f"pieces{suffix}", b"".join(pieces))


WHOLE = [("book.epub", EPUB.data()), ("book.docx", docx(paragraph("Text."))), ("talk.vtt", SUBTITLES)]


@FUZZ
@given(
    whole=st.sampled_from(WHOLE),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
)
def test_a_manuscript_with_changed_and_missing_bytes(
    tmp_path: Path, whole: tuple[str, bytes], cut: float, changes: list[tuple[int, int]]
) -> None:
    name, data = whole
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    imported_or_refused(tmp_path / name, bytes(changed[: len(changed) - int(len(changed) * cut / 4)]))


@FUZZ
@given(
    name=st.sampled_from(["OEBPS/a.xhtml", "OEBPS/book.opf", "OEBPS/nav.xhtml", "META-INF/container.xml", "mimetype"]),
    data=st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)),
)
def test_an_epub_with_any_bytes_in_one_of_its_files(tmp_path: Path, name: str, data: bytes) -> None:
    imported_or_refused(tmp_path / "book.epub", archive(EPUB.entries() | {name: data}))


@pytest.mark.parametrize("name", ["a.xhtml", "b.xhtml"])
def test_a_page_that_is_empty_is_no_obstacle(tmp_path: Path, name: str) -> None:
    imported_or_refused(tmp_path / "book.epub", archive(EPUB.entries() | {f"OEBPS/{name}": page("")}))
