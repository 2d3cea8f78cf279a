from __future__ import annotations

from vvbatch.speech_text.candidates import SHOWN, candidates

TEXTS = [
    "The R2D2 met NASA in Worcestershire. She saw the 21st.",
    "Аlice met Bоb. “Oh,” said Ann. I'd go, and Ann too.",
]


def kinds(**more: object) -> dict[str, str]:
    return {each.word: each.why for each in candidates(TEXTS, **more)}  # type: ignore[arg-type]


def test_names_capitals_mixed_words_and_misheard_words_are_found() -> None:
    assert kinds(misheard={"saw": 3, "met": 1}) == {
        "saw": "misheard in 3 lines",
        "Аlice": "two scripts",  # its first letter is Cyrillic
        "Bоb": "two scripts",
        "R2D2": "letters and digits",
        "NASA": "capitals",
        "Ann": "name",
        "Worcestershire": "name",
    }


def test_a_word_with_a_pronunciation_is_left_out() -> None:
    assert "Worcestershire" not in kinds(known=["worcestershire"])


def test_a_word_that_only_begins_sentences_or_is_written_small_too_is_no_name() -> None:
    assert candidates(["Night fell. Night came.", "The Keeper and the keeper.", "“Come,” he said. «Ici.»"]) == []


def test_roman_numerals_are_no_abbreviations_and_the_list_is_short() -> None:
    assert candidates(["Part IV of MMXX."]) == []
    assert len(candidates([f"the A{chr(97 + n)}xa" for n in range(26)])) == SHOWN
