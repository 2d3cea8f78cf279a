from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.script_files import all_lines, parsed, problems, texts
from vvbatch.script import Position, Problems
from vvbatch.script.csv_cells import rows
from vvbatch.script.source import Source


def test_every_column_reaches_its_line() -> None:
    script = parsed(
        "s.csv",
        "id,chapter,speaker,voice,model,seed,cfg_scale,steps,takes,max_duration_s,pause_after_s,text,escalate\n"
        "a-1,One,mara,alice,1.5b,11,1.5,20,3,60,0.5,Who's there?,7b\n",
    )
    [chapter] = script.chapters
    [line] = chapter.lines
    [turn] = line.turns
    assert (chapter.title, line.id, turn.speaker, turn.voice, turn.text) == (
        "One",
        "a-1",
        "mara",
        "alice",
        "Who's there?",
    )
    assert (line.model, line.escalate) == ("1.5b", "7b")
    assert (line.seed, line.cfg_scale, line.steps, line.takes) == (11, 1.5, 20, 3)
    assert (line.max_duration_s, line.pause_after_s) == (60, 0.5)
    assert (line.position, turn.position, turn.voice_position) == (Position(2, 1), Position(2, 44), Position(2, 14))
    assert line.positions["seed"] == Position(2, 25)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator_line", [False, True])
def test_every_dialect_of_spreadsheets_is_read(
    delimiter: str, encoding: str, newline: str, separator_line: bool
) -> None:
    table = [
        ["ID ", " Text", "SPEAKER", ""],
        ["a", f'„Ja{delimiter} "gut"“ — 𐍈{newline}zwei', "Zoë", ""],
        ["", "  ", "", ""],
    ]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=newline).writerows(table)
    head = f"sep={delimiter}{newline}" if separator_line else ""
    [line] = all_lines(parsed("s.csv", (head + out.getvalue()).encode(encoding)))
    gap = " " if delimiter == "\t" else delimiter
    assert (line.id, line.turns[0].speaker) == ("a", "Zoë")
    assert line.turns[0].text == f'„Ja{gap} "gut"“ — 𐍈 zwei'.replace("  ", " ")


def test_line_numbers_are_those_of_an_editor() -> None:
    found = problems("s.csv", '\r\nid,text,seed\r\na,"one\r\ntwo",x\r\n\r\n,,\r\nb,three,y\r\n')
    assert [(line, column) for line, column, _ in found] == [(4, 6), (7, 9)]


def test_decimal_commas_are_read_where_the_separator_is_not_a_comma() -> None:
    [line] = all_lines(parsed("s.csv", "text;cfg_scale;takes\nhi;1,5;3,00\n"))
    assert (line.cfg_scale, line.takes) == (1.5, 3)
    [(line_number, column, _)] = problems("s.csv", 'text,cfg_scale\nhi,"1,5"\n')
    assert (line_number, column) == (2, 5)


def test_a_speaker_keeps_the_voice_of_its_last_row_with_one() -> None:
    script = parsed("s.csv", "speaker,voice,text\nm,,a\nm,alice,b\nm,,c\nm,maya,d\nm,,e\nother,,f\n,frank,g\n,,h\n")
    assert [line.turns[0].voice for line in all_lines(script)] == [
        *("alice", "alice", "alice", "maya", "maya", "default", "frank", "default")
    ]


def test_a_chapter_lasts_until_the_next_and_may_continue_later() -> None:
    script = parsed("s.csv", "chapter,text\n,a\nOne,b\n,c\nTwo,d\nOne,e\n")
    assert [
        (chapter.title, texts_of)
        for chapter in script.chapters
        for texts_of in [[x.turns[0].text for x in chapter.lines]]
    ] == [
        ("", ["a"]),
        ("One", ["b", "c", "e"]),
        ("Two", ["d"]),
    ]


@pytest.mark.parametrize(
    ("content", "position", "part"),
    [
        ("id,words\na,b\n", (1, 4), "unknown column 'words'"),
        ("id,txt\na,b\n", (1, 4), "did you mean 'text'?"),
        ("id,seed\na,1\n", (1, 1), "no column named text"),
        ("Once upon a time\nthere was\n", (1, 1), "unknown column 'Once upon a time'"),
        ("text,Text\na,b\n", (1, 6), "the column 'text' again"),
        ("text\nHello, you\n", (2, 8), "beyond the last of 1 columns"),
        ("text,,id\na,b,c\n", (2, 3), "'b' in a column without a name"),
        ("text,id\n,a\n", (2, 1), "empty text"),
        ("id,text\na\n", (2, 1), "a row without text"),
        ('text,id\n"a,b\nc,d\n', (2, 1), "a quote that is never closed"),
        ('id,text\na,"b" c\nd,e\n', (2, 6), "text after the closing quote of the cell at 2:3"),
        ("id,text\na,b\nA,c\n", (3, 1), "the same as the one at 2:1"),
        ("speaker,text\nMara,a\nmara,b\nmara,c\n", (3, 1), "speaker 'mara' next to 'Mara'"),
        ("chapter,text\nOne,a\none,b\n", (3, 1), "chapter 'one' next to 'One'"),
        ("text,seed\na,1.2E+18\n", (2, 3), "format the cell as text"),
        ("text,seed\na,010\n", (2, 3), "leading zero"),
        ("sep=|\ntext\na\n", (1, 1), "allowed: comma, semicolon or tab"),
        ("text\n", (1, 1), "no lines"),
        ("text\na\x00b\n", (1, 1), "a binary file"),
        ("text\na\x07b\n", (2, 2), "U+0007"),
        (b"text\ncaf\xe9\n", (2, 4), "save the file as UTF-8"),
    ],
)
def test_an_invalid_table_is_reported_with_position_and_remedy(
    content: str | bytes, position: tuple[int, int], part: str
) -> None:
    [(line, column, message)] = problems("s.csv", content)
    assert (line, column) == position
    assert part in message


def test_a_cell_of_100_000_words_is_read() -> None:
    words = "word " * 100_000
    assert texts(parsed("s.csv", f'text\n"{words}"\n')) == [words.strip()]


@given(
    st.lists(st.lists(st.text(st.sampled_from('ab ,;"\n\u2028\x0b'), max_size=6), min_size=1, max_size=4), max_size=5),
    st.sampled_from(",;\t"),
)
@settings(deadline=None)
def test_tables_of_the_csv_module_are_read_back(table: list[list[str]], delimiter: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    found = list(rows(Source(Path("s.csv"), out.getvalue()), 0, delimiter, Problems()))
    assert [[cell.raw for cell in row] for row in found] == [row for row in table if any(cell.strip() for cell in row)]


@given(st.text(st.sampled_from('ab ,"\n'), max_size=40))
@settings(deadline=None)
def test_a_table_without_problems_is_read_as_the_csv_module_reads_it(text: str) -> None:
    problems = Problems()
    found = [[cell.raw for cell in row] for row in rows(Source(Path("s.csv"), text), 0, ",", problems)]
    if not problems:
        expected = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
        assert [[cell.strip() for cell in row] for row in found] == [
            [cell.strip() for cell in row] for row in expected if any(cell.strip() for cell in row)
        ]
