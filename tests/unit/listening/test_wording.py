from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvbatch.listening.wording import compare, spoken_words

words = st.lists(st.sampled_from(["the", "lamp", "went", "out", "at", "midnight", "island"]), min_size=1, max_size=12)


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
def test_another_spelling_of_the_same_speech_is_no_error(written: str, said: str) -> None:
    wording = compare(spoken_words(written), spoken_words(said))
    assert wording.error_rate <= 0.25  # "pence" may be missing
    assert wording.similarity[0] > 0.5 and wording.similarity[-1] > 0.5


def test_missing_added_repeated_and_wrong_words_are_named() -> None:
    text = spoken_words("The lamp went out at midnight.")
    missing = compare(text, spoken_words("The lamp went out."))
    assert (missing.missing, missing.similarity[-1]) == (["at", "midnight"], 0)
    assert missing.error_rate == pytest.approx(2 / 6)
    added = compare(text, spoken_words("Well, the lamp went out at midnight."))
    assert (list(added.added), list(added.repeated)) == (["well"], [])
    twice = compare(text, spoken_words("The lamp went the lamp went out at midnight."))
    assert list(twice.repeated) == ["the", "lamp", "went"]
    wrong = compare(text, spoken_words("The lamp went blue at midnight."))
    assert list(wrong.wrong) == [("out", "blue")]


def test_a_repetition_in_the_text_itself_is_no_repeated_phrase() -> None:
    text = spoken_words("Marine heatwaves are heatwaves at sea. GPT-5 is not GPT-4.")
    said = "Marine heat waves are heat waves at sea. GPT-5 is not GPT-4."
    assert compare(text, spoken_words(said)).repeated == ()
    assert compare(text, spoken_words(f"{said} is not GPT-4.")).repeated[-1:] == ("four",)


def test_a_misrecognized_word_next_to_a_repetition_in_the_text_is_no_repeated_phrase() -> None:
    text = spoken_words("They speak of supply and demand as if supply and demand were weather.")
    transcript = spoken_words("They speak of supply and demand as of supply and demand were weather.")
    assert compare(text, transcript).repeated == ()
    twice = spoken_words("They speak of supply and demand, of supply and demand, as if supply and demand were weather.")
    assert compare(text, twice).repeated == ("of", "supply", "and", "demand")


def test_a_missed_article_at_the_start_is_not_a_missing_opening() -> None:
    text = spoken_words("A kettle whistled.")
    assert compare(text, spoken_words("kettle whistled")).opening > 0.8
    assert compare(text, spoken_words("whistled")).opening == 0


@given(words)
def test_equal_words_have_no_error(text: list[str]) -> None:
    assert compare(text, text).error_rate == 0


@given(words, words)
def test_every_word_of_the_text_has_a_similarity(text: list[str], transcript: list[str]) -> None:
    wording = compare(text, transcript)
    assert len(wording.similarity) == len(text)
    assert all(0 <= each <= 1 for each in wording.similarity)
    assert 0 <= wording.error_rate <= (len(text) + len(transcript)) / len(text)


@given(words)
def test_an_empty_transcript_misses_every_word(text: list[str]) -> None:
    assert compare(text, []).missing == text
