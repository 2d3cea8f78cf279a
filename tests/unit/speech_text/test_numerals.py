from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvbatch.speech_text.numerals import in_words


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Chapter I. The storm", "Chapter one. The storm"),
        ("see chapter xiv", "see chapter fourteen"),
        ("Chapters IV and V, parts I–III", "Chapters four and five, parts one–three"),
        ("Book XL, act I, scene V.", "Book forty, act one, scene five."),
        ("Henry VIII's wives", "Henry the eighth's wives"),
        ("Louis XIV and Pope John Paul II", "Louis the fourteenth and Pope John Paul the second"),
        ("King Charles I was tried.", "King Charles the first was tried."),
        ("Charles I, who was tried", "Charles the first, who was tried"),
        ("Mary I of England", "Mary the first of England"),
        ("Queen Elizabeth II.", "Queen Elizabeth the second."),
        ("Chapter I begins with act I, scene V.", "Chapter one begins with act one, scene five."),
        ("In part I of Book II, I think", "In part one of Book two, I think"),
        ("see chapter I", "see chapter one"),
        ("Part I and II, then part I.", "Part one and two, then part one."),
    ],
)
def test_numerals_after_a_word_that_counts_and_after_a_ruler_are_put_into_words(text: str, spoken: str) -> None:
    assert in_words(text, "en") == spoken


@pytest.mark.parametrize(
    "text",
    [
        "Part C and D, chapter D",  # letters
        "Chapter IIII, chapter VX",  # no numerals
        "With Charles I went home.",
        "on page I'm not sure of",
        "part of it, part mi, chapter di",
        "Malcolm X, an IV drip, the CIVIL war, a MIX",
        "Chapter 4 and I",
        "chapterIV, Chapter IVa",
        "For the most part I agree.",
        "On this page I found nothing.",
        "In this book I argue that it was so.",
        "For my part I, too, was tired.",
        "Part I like best is the end.",
        "Of this scene I remember little; in that act I was asleep.",
    ],
)
def test_letters_and_words_that_only_look_like_numerals_stay(text: str) -> None:
    assert in_words(text, "en") == text


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("de", "Das war Ludwig II. Er lebte.", "Das war Ludwig der Zweite. Er lebte."),
        ("de", "König Ludwig II. war da.", "König Ludwig der Zweite war da."),
        ("de", "Kapitel IV, Elisabeth II.", "Kapitel vier, Elisabeth die Zweite."),
        ("fr", "Napoléon Ier, Louis XIV, chapitre II", "Napoléon premier, Louis quatorze, chapitre deux"),
        ("es", "Felipe II, Isabel II, capítulo IV", "Felipe segundo, Isabel segunda, capítulo cuatro"),
        ("es", "Alfonso XIII", "Alfonso trece"),
        ("it", "Vittorio Emanuele II, capitolo IV", "Vittorio Emanuele secondo, capitolo quattro"),
        ("pt", "Pedro II, capítulo IV", "Pedro segundo, capítulo quatro"),
        ("ja", "Chapter IV", "Chapter IV"),
    ],
)
def test_each_language_orders_or_counts_its_rulers_its_own_way(language: str, text: str, spoken: str) -> None:
    assert in_words(text, language) == spoken


@pytest.mark.parametrize(
    ("language", "text"), [("es", "En esta parte vi un barco."), ("it", "In questa parte vi dico tutto.")]
)
def test_words_in_small_letters_stay_where_a_language_has_such_words(language: str, text: str) -> None:
    assert in_words(text, language) == text


@given(st.text(max_size=80))
def test_a_text_without_a_numeral_stays(text: str) -> None:
    plain = "".join(letter for letter in text if letter.upper() not in "IVXLC")
    assert in_words(plain, "en") == plain
