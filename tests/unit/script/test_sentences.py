"""Ends of sentences, and long texts divided there."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vvbatch.script.sentences import divided, sentence_ends


def sentences(text: str) -> list[str]:
    ends = [0, *sentence_ends(text), len(text)]
    return [text[start:end].strip() for start, end in pairwise(ends) if text[start:end].strip()]


@pytest.mark.parametrize(
    "marked",
    [
        "It was dark.| He left.| “Who’s there?” she said.",
        "Dr. Watson met Mr. J. R. Smith at 5.30 p.m. on St. James St. in the U.S. today.| He left.",
        "“Stop!” he cried.| “Now.”| Then (it was late.)| He went… away.| No!?| Yes.",
        "Das ist z.B. gut, bzw. Nr. 5 usw. im Haus.| Er ging.",
        "灯灭了。|他走了！|“谁在那里？”|她说。",
        "Wait... no, he said.| Wait...| No.",
        "one sentence without an end",
    ],
)
def test_sentences_end_where_a_reader_ends_them(marked: str) -> None:
    assert sentences(marked.replace("|", "")) == [part.strip() for part in marked.split("|")]


def test_a_long_text_is_divided_into_parts_of_about_equal_length() -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(100))
    parts = divided(text, 1000)
    assert parts is not None
    assert " ".join(parts) == text
    assert [part[-1] for part in parts] == ["."] * 3
    assert max(map(len, parts)) - min(map(len, parts)) < 60


def test_a_long_sentence_is_divided_at_its_clauses_and_one_without_is_not() -> None:
    assert divided("one two, three four, five six", 20) == ["one two, three four,", "five six"]
    assert divided("one two three four five six", 20) is None


@given(st.lists(st.sampled_from(["word", "Word", "a", "it.", "end!", "no?", "Dr.", "well,", "日。", "”"]), max_size=80))
@settings(deadline=None)
def test_parts_are_short_enough_and_lose_nothing(words: list[str]) -> None:
    text = " ".join(words)
    parts = divided(text, 60)
    if parts is not None:
        assert "".join("".join(parts).split()) == "".join(text.split())
        assert all(len(part) <= 60 for part in parts)
