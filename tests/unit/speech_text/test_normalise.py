from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vvbatch.script.model import Normalise
from vvbatch.speech_text.normalise import normalised


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Chapter IV", "Chapter four"),
        ("King Henry VIII met Elizabeth II.", "King Henry the eighth met Elizabeth the second."),
        ("No. 5 is alive. See fig. 3, vol. 2, p. 12.", "Number 5 is alive. See figure 3, volume two page twelve."),
        ("I am. No. I won't. It cost £3.50 in 1984.", "I am. No. I won't. It cost £3.50 in 1984."),
        ("Dr. Smith had 3 kg.", "Dr. Smith had 3 kg."),
    ],
)
def test_light_leaves_to_the_model_what_it_reads_well(text: str, spoken: str) -> None:
    assert normalised(text, "light", "en") == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("It cost £3.50. Dr. Smith paid.", "It cost three pounds and fifty pence. Doctor Smith paid."),
        ("In 1984 he left.", "In nineteen eighty four he left."),
    ],
)
def test_full_puts_numbers_money_and_abbreviations_into_words(text: str, spoken: str) -> None:
    assert normalised(text, "full", "en") == spoken


def test_off_and_a_language_that_is_not_known_leave_the_text() -> None:
    assert normalised("Chapter IV, £5", "off", "en") == "Chapter IV, £5"
    assert normalised("x IV £5", "full", "xx") == "x IV £5"
    assert normalised("Kapitel IV, Nr. 5", "light", "de") == "Kapitel vier, Nummer 5"


@settings(deadline=None)  # the first text loads spokenform
@given(st.text(max_size=60), st.sampled_from(["light", "full"]))
def test_any_text_gives_a_text_and_one_without_numbers_or_marks_stays(text: str, level: Normalise) -> None:
    assert isinstance(normalised(text, level, "en"), str)
    plain = "".join(letter for letter in text if letter.isalpha() and letter.islower()) + " and so on"
    assert normalised(plain, level, "en") == plain
