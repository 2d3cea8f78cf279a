from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvbatch.script.written import written_parts


@pytest.mark.parametrize(
    ("parts", "written", "pieces"),
    [
        (["One two.", "Three four."], "One **two.** Three four.", ["One **two.**", "Three four."]),
        (["One two.", "Three four."], "*One two.* ❤️ *Three* four.", ["*One two.*", "❤️ *Three* four."]),
        (["One two.", "One two."], "One <b>two.</b> One two.", ["One <b>two.</b>", "One two."]),
        (["a", "b", "c"], "**a b** c", ["**a", "b**", "c"]),
        (["灯灭了。", "天亮了。"], "灯\u200b灭了。天亮了。", ["灯\u200b灭了。", "天亮了。"]),
        (["One.", "Two."], "", ["", ""]),
        (["One."], "*One.*", ["*One.*"]),
    ],
)
def test_each_part_has_the_piece_that_was_written_of_it(parts: list[str], written: str, pieces: list[str]) -> None:
    assert written_parts(parts, written) == pieces


@given(st.lists(st.text("ab *.", min_size=1), min_size=1, max_size=5), st.text("ab *.灯"))
def test_the_pieces_make_the_whole_text(parts: list[str], written: str) -> None:
    pieces = written_parts(parts, written)
    assert len(pieces) == len(parts)
    assert "".join("".join(pieces).split()) == "".join(written.split())
