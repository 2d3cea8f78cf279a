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


@pytest.mark.parametrize(
    ("name", "content", "position"),
    [
        ("s.tsv", 'id\ttext\na\t"Hello, said Bob\nb\tHi there\nc\tBye"\n', (2, 3)),
        ("s.tsv", 'id\ttext\na\t"Hello\nb\tHi"\n', (2, 3)),
        ("s.csv", 'id;speaker;text\na;m;"Hello\nb;m;Hi\nc;m;Bye"\n', (2, 5)),
        ("s.csv", 'id,speaker,text\na,m,Hello\nb,m,"Hello\nc,m,Hi\nd,m,Bye"\n', (3, 5)),
        ("s.tsv", 'text\tid\n"Hello\ta\nHi\tb\nBye"\tc\n', (2, 1)),
        ("s.tsv", 'text\tid\n"Hello\ta\nBye"\tc\n', (2, 1)),
        ("s.csv", 'text,id\n"Hello,a\nHi,b\nBye",c\n', (2, 1)),
    ],
)
def test_a_quote_that_swallows_rows_is_a_problem(name: str, content: str, position: tuple[int, int]) -> None:
    [(line, column, message)] = problems(name, content)
    assert (line, column) == position
    assert "a quote that opens a cell of" in message


@pytest.mark.parametrize(
    ("name", "content", "spoken"),
    [
        ("s.csv", 'id,text\na,"Dear all, hi.\nWell, I am off, bye."\n', "Dear all, hi. Well, I am off, bye."),
        ("s.csv", 'id,text\na,"It cost 1,000\nor 2,500 or 3,000."\n', "It cost 1,000 or 2,500 or 3,000."),
        ("s.tsv", 'id\ttext\na\t"Dear all,\nhi."\n', "Dear all, hi."),
        ("s.csv", 'id,text\na,"red,green,blue\nand more"\n', "red,green,blue and more"),
        ("s.csv", 'text\n"a,b\nc,d\ne,f"\n', "a,b c,d e,f"),
    ],
)
def test_a_quoted_text_of_several_rows_is_read(name: str, content: str, spoken: str) -> None:
    assert texts(parsed(name, content)) == [spoken]


ERROR_VALUES = [
    *("#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#N/A", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#ERROR!", "#BEZUG!"),
    *("#WERT!", "#NV", "#NOM?", "#¡REF!", "#NOME?", "#NAAM?", "Err:502", "Err:508", "####", "#GETTING_DATA"),
    *("#ИМЯ?", "#ССЫЛКА!", "#ДЕЛ/0!", "#Н/Д", "#名前?", "#ADR!", "#DZIEL/0!", "#BRAK", "#NAMN?", "#AD?", "#SAYI/0!"),
    *("#NÉV?", "#HODNOTA!", "#LIEN!", "#I/T", "#ERR522", "#¿NOMBRE?", "Error:502", "Błąd:502", "Loading...", "#name?"),
]


@pytest.mark.parametrize("value", ERROR_VALUES)
@pytest.mark.parametrize(("column", "at"), [("text", 7), ("id", 1), ("chapter", 3), ("speaker", 5), ("seed", 9)])
def test_an_error_value_of_a_spreadsheet_is_a_problem_in_every_column(value: str, column: str, at: int) -> None:
    cells = {"id": "a", "chapter": "b", "speaker": "c", "text": "d", "seed": "1"} | {column: value}
    [(line, place, message)] = problems("s.csv", ",".join(cells) + "\n" + ",".join(cells.values()) + "\n")
    assert (line, place) == (2, at)
    assert f"{value!r}, an error value of a spreadsheet" in message


@pytest.mark.parametrize(
    "text",
    ["#1 keeper", "#wow", "#Wow!", "Err: 502 is what it says", "See #REF! there", "# 1", "Room: 502", "Loading…", "NV"],
)
def test_a_text_that_is_like_an_error_value_is_read(text: str) -> None:
    assert len(all_lines(parsed("s.csv", f"text\n{text}\n"))) == 1


@pytest.mark.parametrize(
    ("header", "rows_of", "words"),
    [
        ("id,speaker,text", "1;mara;Hello, you\n2;mara;Hi", "semicolons between the cells, and commas"),
        ("id,text", "1;Hello, you\n2;Hi", "semicolons between the cells, and commas"),
        ("text,id", "Hello;a\nHi;b", "semicolons between the cells, and commas"),
        ("id,speaker,text", '"1";"mara";"Hello, you"', "semicolons between the cells, and commas"),
        ("id;speaker;text", "1,mara,Hello", "commas between the cells, and semicolons"),
        ("id,speaker,text", "1\tmara\tHello", "tabs between the cells, and commas"),
        ("id\ttext", "1,Hello", "commas between the cells, and tabs"),
    ],
)
def test_another_separator_than_in_the_header_is_a_problem(header: str, rows_of: str, words: str) -> None:
    [(line, column, message)] = problems("s.csv", f"{header}\n{rows_of}\n")
    assert (line, column) == (2, 1)
    assert words in message


def test_another_separator_in_a_later_row_is_a_problem() -> None:
    [(line, column, message)] = problems("s.csv", "text,speaker,id\nHi,mara,a\nHo;mara;b\n")
    assert (line, column) == (3, 1)
    assert "semicolons between the cells" in message


@pytest.mark.parametrize(
    ("content", "spoken"),
    [
        ("text,speaker\nHello; you\nfoo,bar\n", ["Hello; you", "foo"]),
        ("text\nHello;you;all\n", ["Hello;you;all"]),
        ('text,speaker\n"a;b;c",mara\n', ["a;b;c"]),
        ("id;text\na;Hello, you, all\n", ["Hello, you, all"]),
    ],
)
def test_other_separators_in_a_text_are_no_problem(content: str, spoken: list[str]) -> None:
    assert texts(parsed("s.csv", content)) == spoken


def test_a_row_that_is_a_pause_belongs_to_the_row_above() -> None:
    script = parsed(
        "s.csv",
        "id,chapter,speaker,text,pause_after_s\na,One,m,One.,0.5\n,,,[break],\nb,Two,m,Two [pause 1s] three,0.2\n"
        "c,,,[pause 1.5s],\nd,Three,,[pause 3s],\ne,,m,Four.,\n",
    )
    assert [(chapter.title, [line.id for line in chapter.lines][:1]) for chapter in script.chapters] == [
        ("One", ["a"]),
        ("Two", ["b"]),
        ("Three", ["e"]),
    ]
    assert [(line.turns[0].text, line.pause_after_s) for line in all_lines(script)] == [
        ("One.", 2.0),
        ("Two", 1.0),
        ("three", 4.5),
        ("Four.", 0.0),
    ]
    assert all_lines(script)[2].id == "b-part-2"


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
