from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvbatch.script.roman import value_of


@pytest.mark.parametrize(
    ("numeral", "value"),
    [("I", 1), ("iv", 4), ("IX", 9), ("XIV", 14), ("XL", 40), ("xcix", 99), ("CCCXCIX", 399)],
)
def test_a_numeral_has_its_value_in_large_and_small_letters(numeral: str, value: int) -> None:
    assert value_of(numeral) == value


@pytest.mark.parametrize("text", ["", "IIII", "VX", "IC", "LL", "chapter", "M", "I V", "1"])
def test_what_is_no_numeral_in_its_usual_form_has_no_value(text: str) -> None:
    assert value_of(text) is None


@given(st.text("IVXLC", max_size=12))
def test_each_number_has_one_form_and_larger_numbers_have_other_forms(text: str) -> None:
    """Every valid form is that of its value: built again by subtracting the largest step each time."""
    value = value_of(text)
    if value is not None:
        steps = [(100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]
        form = ""
        for step, digits in steps:
            form += digits * (value // step)
            value %= step
        assert form == text
