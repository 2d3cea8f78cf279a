from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvbatch.listening.wording import compare, spoken_words

words = st.lists(st.sampled_from(["the", "lamp", "went", "out", "at", "midnight", "nobody"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("That'll be £3.50, please.", "That'll be three pounds fifty, please."),
        ("It's 7:30 p.m.", "It is seven thirty PM."),
        ("In 1984, prices rose by 12.5 %.", "in nineteen eighty-four prices rose by 12.5 percent"),
        ("Dr. Smith lives at 12 Oak Street", "Doctor Smith lives at 12 Oak Street"),
        ("The colour of the lighthouse", "the color of the light house"),
        ("Sarah’s cat", "Sara's cat"),
    ],
)
def test_what_is_written_otherwise_and_sounds_the_same_is_no_error(written: str, said: str) -> None:
    wording = compare(spoken_words(written), spoken_words(said))
    assert wording.error_rate <= 0.25  # "pence" may be left out
    assert wording.likeness[0] > 0.5 and wording.likeness[-1] > 0.5


def test_missing_added_repeated_and_wrong_words_are_named() -> None:
    text = spoken_words("The lamp went out at midnight.")
    missing = compare(text, spoken_words("The lamp went out."))
    assert (missing.missing, missing.likeness[-1]) == (["at", "midnight"], 0)
    assert missing.error_rate == pytest.approx(2 / 6)
    added = compare(text, spoken_words("Well, the lamp went out at midnight."))
    assert (list(added.added), list(added.repeated)) == (["well"], [])
    twice = compare(text, spoken_words("The lamp went the lamp went out at midnight."))
    assert list(twice.repeated) == ["the", "lamp", "went"]
    wrong = compare(text, spoken_words("The lamp went blue at midnight."))
    assert list(wrong.wrong) == [("out", "blue")]


def test_what_the_text_says_again_may_be_heard_again_however_it_is_written() -> None:
    text = spoken_words("Marine heatwaves are heatwaves at sea. GPT-5 is not GPT-4.")
    heard = "Marine heat waves are heat waves at sea. GPT-5 is not GPT-4."
    assert compare(text, spoken_words(heard)).repeated == ()
    assert compare(text, spoken_words(f"{heard} is not GPT-4.")).repeated[-1:] == ("four",)


def test_a_slip_of_the_ear_beside_what_the_text_repeats_is_no_phrase_said_again() -> None:
    text = spoken_words("They speak of supply and demand as if supply and demand were weather.")
    heard = spoken_words("They speak of supply and demand as of supply and demand were weather.")
    assert compare(text, heard).repeated == ()
    twice = spoken_words("They speak of supply and demand, of supply and demand, as if supply and demand were weather.")
    assert compare(text, twice).repeated == ("of", "supply", "and", "demand")


def test_a_misheard_article_at_the_start_is_not_a_missing_opening() -> None:
    text = spoken_words("A kettle whistled.")
    assert compare(text, spoken_words("kettle whistled")).opening > 0.8
    assert compare(text, spoken_words("whistled")).opening == 0


@given(words)
def test_the_same_words_have_no_error(text: list[str]) -> None:
    assert compare(text, text).error_rate == 0


@given(words, words)
def test_every_word_of_the_text_has_a_likeness(text: list[str], heard: list[str]) -> None:
    wording = compare(text, heard)
    assert len(wording.likeness) == len(text)
    assert all(0 <= likeness <= 1 for likeness in wording.likeness)
    assert 0 <= wording.error_rate <= (len(text) + len(heard)) / len(text)


@given(words)
def test_nothing_heard_is_all_missing(text: list[str]) -> None:
    assert compare(text, []).missing == text
