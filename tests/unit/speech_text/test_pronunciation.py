from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vvbatch.speech_text.pronunciation import lines_with, pronounced, used

SAYS = {
    "Worcestershire": "Wooster-sher",
    "bath": "bahth",
    "New York": "Noo Yawk",
    "New": "Noo",
    "US": "you ess",
    "read": "red",
    "can": "ken",
    "Ann": "Anne",
    "北京": "bay jing",
    "कमल": "kamal",
}


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Worcestershire sauce", "Wooster-sher sauce"),
        ("WORCESTERSHIRE", "Wooster-sher"),
        ("worcestershire", "worcestershire"),  # a capital in the lexicon means a name
        ("A Bath, a BATH; the bath.", "A bahth, a bahth; the bahth."),
        ("Worcestershire's best, Ann’s too", "Wooster-sher's best, Anne’s too"),
        ("New Yorker in New York", "Noo Yorker in Noo Yawk"),
        ("us in the US", "us in the you ess"),
        ("我在北京住", "我在bay jing住"),
        ("“Ann,” said Ann-", "“Anne,” said Anne-"),
    ],
)
def test_a_whole_word_is_replaced_the_longest_first(text: str, spoken: str) -> None:
    assert pronounced(text, SAYS) == spoken


@pytest.mark.parametrize(
    "text",
    ["A bathroom", "bath-time", "re-read", "I can't, I can’t", "Hanna, O'Ann, Ann-Marie", "USA", "कमला", "bath2"],
)
def test_nothing_inside_another_word_is_replaced(text: str) -> None:
    assert pronounced(text, SAYS) == text


def test_what_was_put_in_is_not_replaced_again() -> None:
    assert pronounced("a b", {"a": "b", "b": "a"}) == "b a"


@settings(deadline=None)  # the first word needs the classes of all characters
@given(st.text(), st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5))
def test_any_text_and_lexicon_give_a_text(text: str, says: dict[str, str]) -> None:
    assert isinstance(pronounced(text, says), str)
    assert pronounced(text, {}) == text


def test_words_of_a_lexicon_that_a_text_has_are_found_whatever_their_case() -> None:
    assert used(["Lamp", "sea", "absent"], "The lamp by the Sea") == ["Lamp", "sea"]
    assert lines_with(["Ann", "bath"], ["Ann", "Hanna", "Ann's bath"]) == {"Ann": 2, "bath": 1}
