"""What a table shows at any width: numbers and names whole, and nothing left out in silence."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from vvbatch.report import columns, tables
from vvbatch.report.columns import Column, name, number, text, wrapped


def shown(monkeypatch: pytest.MonkeyPatch, width: int, of: list[Column], rows: list[list[object]]) -> str:
    file = io.StringIO()
    made = Console(file=file, force_terminal=True, width=width, markup=False, highlight=False, emoji=False)
    monkeypatch.setattr(tables, "console", lambda _file=None: made)
    tables.print_table(of, rows)
    return Text.from_ansi(file.getvalue()).plain


COLUMNS = [name("take"), name("batch", 2), number("seconds"), number("rtf", 1), text("text")]
ROW: list[object] = ["ee627a83b23b9f0d", "the-lighthouse-23cd0937", "21.99", "0.899", "No one had ever seen it dark."]


def test_text_is_wrapped_before_anything_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    out = shown(monkeypatch, 80, COLUMNS, [ROW, ["x" * 16, "other-1", "1.00", "1.5", "Short."]])
    assert "No one had" in out
    assert "it dark." in out
    assert "not shown" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_what_all_rows_share_is_said_once_before_anything_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    out = shown(monkeypatch, 56, COLUMNS, [ROW, ["x" * 16, ROW[1], "1.00", "1.5", "Short."]])
    assert "in every row: batch the-lighthouse-23cd0937" in out
    assert "not shown" not in out


def test_what_is_left_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    out = shown(monkeypatch, 45, COLUMNS, [ROW, ["x" * 16, "other-1", "1.00", "1.5", "Short."]])
    assert "not shown: batch, rtf" in " ".join(out.split())
    assert "21.99" in out


def test_one_row_that_does_not_fit_becomes_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    out = shown(monkeypatch, 40, COLUMNS, [ROW])
    assert [line.split()[0] for line in out.splitlines()][:4] == ["take", "batch", "seconds", "rtf"]


def test_a_column_without_any_value_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "batch" not in shown(monkeypatch, 160, COLUMNS, [["t", None, "1", "2", "x"]])
    assert "seconds" in shown(monkeypatch, 160, COLUMNS, [["t", None, None, "2", "x"]])


cells = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=40)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=4), st.integers(20, 200))
def test_no_layout_is_wider_than_the_terminal_and_names_stay_whole(rows: list[tuple[str, ...]], width: int) -> None:
    known = [name("a"), number("b", 1), text("c")]
    found = columns.layout(known, rows, width)
    if found.widths is not None:
        assert sum(found.widths.values()) + columns.GAP * (len(found.widths) - 1) <= width
        for place, cells_wide in found.widths.items():
            if known[place].kind != "text":
                assert all(cell_len(row[place]) <= cells_wide for row in rows)


@given(cells, st.integers(2, 30))
def test_wrapping_keeps_every_character_and_the_width(cell: str, width: int) -> None:
    parts = wrapped(cell, width, most=100)
    assert all(cell_len(part) <= width for part in parts)
    assert "".join("".join(parts).split()) == "".join(cell.split())


def test_a_long_cell_ends_with_a_sign_that_there_is_more() -> None:
    assert wrapped("one two three four five six", 5, most=3) == ["one", "two", "thre…"]


def test_a_path_is_broken_at_its_slashes() -> None:
    assert wrapped("/home/mara/.vvbatch/out/the-lighthouse", 20) == ["/home/mara/.vvbatch/", "out/the-lighthouse"]
    assert wrapped("in /home/mara/audio/ and more", 12) == ["in /home/", "mara/audio/", "and more"]
