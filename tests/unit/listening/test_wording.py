from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvbatch.listening.wording import as_recognized, compare, spoken_words

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


@pytest.mark.parametrize("said", ["She met Shivawn in Worcestershire.", "She met Siobhan in Wooster-sher."])
def test_a_word_counts_as_said_in_its_written_and_in_its_spoken_form(said: str) -> None:
    spoken, written = "She met Shivawn in Wooster-sher.", "She met Siobhan in Worcestershire."
    transcript = spoken_words(said)
    text = as_recognized(spoken_words(spoken), spoken_words(written), transcript)
    assert compare(text, transcript).error_rate == 0
    other = spoken_words("She met Susan in London.")
    assert compare(as_recognized(spoken_words(spoken), spoken_words(written), other), other).error_rate >= 0.2


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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It costs 1,000,000,000,000 dollars", ["it", "costs", "one", "trillion", "dollars"]),
        ("1000000000000.5", ["one", "trillion", "5"]),
        ("1000000000000th", ["one", "trillionth"]),
        ("$2,000,000,000,000", ["two", "trillion"]),
        ("5000000000 yen", ["five", "billion", "yen"]),
        ("今日はGPTです", ["今", "日", "は", "gpt", "で", "す"]),
    ],
)
def test_spoken_words_of_very_large_numbers_and_of_ideographs(text: str, words: list[str]) -> None:
    assert spoken_words(text) == words


@pytest.mark.parametrize("text", ["9" * 60, "1" + "0" * 40, "1" + ",000" * 30, "-1000000000000.25 %", "1e9999"])
@pytest.mark.parametrize("language", ["en", "de", "fr", "zh", "ja", "xx"])
def test_spoken_words_of_any_number_and_language_do_not_raise(text: str, language: str) -> None:
    assert spoken_words(f"It is {text} m", language)


def test_one_misrecognized_short_word_at_an_edge_is_no_missing_edge() -> None:
    text = spoken_words("By seven the harbour was calm.")
    assert compare(text, spoken_words("my seven the harbour was calm")).opening >= 0.3
    text = spoken_words("Light rain fell over the old harbour light.")
    said = compare(text, spoken_words("night train fell over the old harbour right"))
    assert said.opening >= 0.3 and said.ending >= 0.3
    assert compare(text, spoken_words("Light rain fell over the old harbour")).ending == 0
    assert compare(text, spoken_words("fell over the old harbour light")).opening == 0


def test_a_phrase_that_is_not_in_the_transcript_is_left_out() -> None:
    text = spoken_words("Hello everyone, welcome to our podcast. Thank you for having me here today.")
    said = compare(text, spoken_words("Hello everyone welcome to what. Thank you for having me here today."))
    assert said.left_out == ("our", "podcast")
    assert said.error_rate < 0.25
    assert compare(text, text).left_out == ()


@pytest.mark.parametrize(
    ("text", "said"), [("Yes.", "Yeah."), ("Right?", "Right, like"), ("It's beautiful.", "beautiful")]
)
def test_one_wrong_word_of_a_very_short_text_is_within_the_limit(text: str, said: str) -> None:
    assert compare(spoken_words(text), spoken_words(said)).error_rate <= 0.25
