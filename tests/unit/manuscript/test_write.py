"""The script that is written is one that the project itself reads, with the same texts and without a warning."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.manuscripts import Epub, docx, entry, lines, paragraph, read
from vvbatch.manuscript import read_manuscript
from vvbatch.manuscript.model import Manuscript, ManuscriptError, Options
from vvbatch.manuscript.write import scalar, script_text
from vvbatch.script import Script, parsed_text
from vvbatch.script.fields import NARRATOR
from vvbatch.script.model import Role

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def parsed(manuscript: Manuscript, cover: str | None = None, voice: str | None = None) -> Script:
    return parsed_text(Path("book.yaml"), script_text(manuscript, source="book.epub", cover=cover, voice=voice))


def same(manuscript: Manuscript) -> Script:
    """The script that is written of a manuscript, after its chapters, texts, speakers and pauses were compared."""
    script = parsed(manuscript)
    assert script.warnings == ()
    assert [chapter.title for chapter in script.chapters] == [chapter.title for chapter in manuscript.chapters]
    for chapter, wanted in zip(script.chapters, manuscript.chapters, strict=True):
        spoken = [line for line in chapter.lines if line.role is not Role.TITLE]
        assert [[(turn.speaker, turn.text) for turn in line.turns] for line in spoken] == [
            [(turn.speaker or NARRATOR, turn.text) for turn in paragraph.turns] for paragraph in wanted.paragraphs
        ]
        pauses = [pause for line in chapter.lines for pause in line.pauses]
        assert len(pauses) == len(wanted.items) - len(wanted.paragraphs)
        assert all(turn.written is None for line in chapter.lines for turn in line.turns)
    assert (script.title, script.author, script.language) == (manuscript.title, manuscript.author, manuscript.language)
    return script


def test_the_script_of_a_manuscript(tmp_path: Path) -> None:
    body = "<h1>The lamp: a story</h1><p>It’s late.</p><hr/><p>“Who?” said Mara. “You?”</p><p>“Me.”</p><p># 1: no</p>"
    done = read(tmp_path, Epub({"a.xhtml": body}, title="Lamps & “Oil”"), quotes="alice")
    assert script_text(done, source="book.epub", cover="book-cover.png", voice="frank") == (
        "# Imported from book.epub by `vvbatch import`. Each paragraph is a line; edit what you like.\n"
        "version: 1\n"
        'title: "Lamps & “Oil”"\n'
        "author: Jane Doe\n"
        "language: en\n"
        "cover: book-cover.png\n"
        "speak_titles: true\n"
        "pauses: {line: 0.7}  # lines are paragraphs\n"
        "defaults: {voice: frank}\n"
        "speakers:\n"
        "  quoted: {voice: alice}\n"
        "chapters:\n"
        '  - title: "The lamp: a story"\n'
        "    lines:\n"
        "      - It’s late.\n"
        "      - break: section\n"
        "      - dialogue:\n"
        "          - quoted: “Who?”\n"
        "          - said Mara.\n"
        "          - quoted: “You?”\n"
        "      - quoted: “Me.”\n"
        '      - "1: no"\n'
    ).replace("quoted: “", 'quoted: "“').replace("?”\n", '?”"\n').replace("Me.”\n", 'Me.”"\n')
    script = parsed(done, cover="book-cover.png", voice="frank")
    assert script.speak_titles and script.cover == "book-cover.png"
    same(done)


@pytest.mark.parametrize(
    "text",
    ["null", "Yes", "~", "a: b", "a #b", "a # b", "- a", "? a", "[a]", "{a}", "a 'b' \"c\" \\d", "a:", "*a b",
     "&a", "!a",
     "%a", "@a", "`a`", "| a", "> a", "'a'", "2024-01-01", "1.10", "a, b", "narrator", "text", "...", "--- a"],
)  # fmt: skip
def test_a_text_is_read_as_it_was_whatever_yaml_thinks_of_it(text: str) -> None:
    import yaml

    for flow in (False, True):
        value = scalar(text, flow=flow)
        document = f"{{voice: {value}}}" if flow else f"voice: {value}"
        assert yaml.load(document, Loader=yaml.BaseLoader) == {"voice": text}


WORDS = st.text(
    alphabet=st.one_of(
        st.sampled_from("ab Zé.,:;!?'\"’“”«»—-#*_~`[]{}()<>&|%@\\/0123456789\t\n"), st.characters(codec="utf-8")
    ),
    max_size=60,
)


@FUZZ
@given(texts=st.lists(WORDS, min_size=1, max_size=6), quoted=st.booleans())
def test_any_text_of_a_docx_is_written_as_a_script_that_reads_the_same(
    tmp_path: Path, texts: list[str], quoted: bool
) -> None:
    path = tmp_path / "book.docx"
    plain = ["".join(char for char in text if char.isprintable() or char in "\t\n") for text in texts]
    path.write_bytes(docx("".join(paragraph(text, "Heading1" if text[:1] == "Z" else "") for text in plain)))
    try:
        done = read_manuscript(path, Options(quotes="alice" if quoted else None))
    except ManuscriptError as error:
        assert "no text to speak" in str(error)
    else:
        same(done)


HTML = st.lists(
    st.sampled_from(
        ["<p>", "</p>", "<h1>", "</h1>", "<h2>One</h2>", "<hr>", "<br>", "<table><tr><td>", "</table>", "<ul><li>",
         "<sup>1</sup>",
         "<a href='#n'>1</a>", "<p id=n>", "<span class=dropcap>T</span>", "he lamp", " ", "“Who?” she said",
         "“One.", "[pause 1s]", "<b>*x*</b>",
         "😀", "&nbsp;", "&bogus;", "<!-- x -->", "<script>x</script>", "- 12 -",
         "<ruby>a<rt>b</rt></ruby>", "<nav>", "</nav>", "<div lang=fr>", "</div>", "* * *",
         "12", "# x", "a: b", "[break]", "[pause 50s]"]
    ),
    max_size=30,
)  # fmt: skip


@FUZZ
@given(pieces=HTML, quoted=st.booleans())
def test_any_order_of_the_pieces_of_a_page_is_imported_or_refused(
    tmp_path: Path, pieces: list[str], quoted: bool
) -> None:
    path = tmp_path / "book.html"
    path.write_text("".join(pieces), encoding="utf-8")
    try:
        done = read_manuscript(path, Options(quotes="alice" if quoted else None))
    except ManuscriptError as error:
        assert "book.html: " in str(error)
    else:
        same(done)


def test_a_title_is_cut_at_200_characters_and_a_very_long_paragraph_is_divided(tmp_path: Path) -> None:
    body = f"<h1>{'Lamp ' * 60}</h1><p>{'One sentence. ' * 2000}</p>"
    done = read(tmp_path, Epub({"a.xhtml": body, "b.xhtml": "<h1>B</h1><p>End.</p>"}))
    script = same(done)
    assert len(script.chapters[0].title) <= 200 and script.chapters[0].title.endswith("…")
    assert len(lines(done)) == 3
    assert [warning.message.split(" is ")[0] for warning in done.warnings] == [
        "a paragraph of 27,999 characters",
        "a title of 299 characters",
    ]


def test_entries_of_a_table_of_contents_with_markup_are_titles(tmp_path: Path) -> None:
    toc = entry("<i>One</i>: 😀 lamp", "a.xhtml") + entry("2 &amp; 3", "b.xhtml")
    done = read(tmp_path, Epub({"a.xhtml": "<p>One.</p>", "b.xhtml": "<p>Two.</p>"}, toc))
    assert [chapter.title for chapter in same(done).chapters] == ["One: lamp", "2 & 3"]
