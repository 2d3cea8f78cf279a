"""SRT and WebVTT of a finished book, and times of words."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vvbatch.book.contents import Cue, Word
from vvbatch.book.subtitles import aligned, clamped, srt, vtt


def cue(text: str, start: float = 1.0, stop: float = 3.5, words: tuple[Word, ...] = ()) -> Cue:
    return Cue("l1", 1, "emma", text, start, stop, words)


def test_a_short_line_is_one_cue_with_its_times() -> None:
    assert srt([cue("Snow fell.", 3599.9996, 3602.5)]) == "1\n01:00:00,000 --> 01:00:02,500\nSnow fell.\n"
    assert vtt([cue("Snow & ice.")]) == "WEBVTT\n\n00:00:01.000 --> 00:00:03.500\n<v emma>Snow &amp; ice.\n"


def test_a_long_line_is_divided_within_its_time_and_no_row_is_long() -> None:
    text = " ".join(f"word{index}" for index in range(60))
    blocks = srt([cue(text, 10.0, 40.0), cue("Next.", 41.0, 42.0)]).strip().split("\n\n")
    rows = [block.split("\n")[2:] for block in blocks]
    assert " ".join(" ".join(part) for part in rows) == text + " Next."
    assert all(len(row) <= 45 for part in rows for row in part) and all(len(part) <= 2 for part in rows)
    times = [block.split("\n")[1].split(" --> ") for block in blocks]
    assert times[0][0] == "00:00:10,000" and times[-2][1] == "00:00:40,000"
    assert all(first[1] == second[0] for first, second in pairwise(times[:-1]))


def test_a_text_cannot_end_its_cue_or_open_a_tag() -> None:
    hostile = "a --> b\n\n2\n00:00:00,000 --> 00:00:01,000\n<b>x"
    assert srt([cue(hostile)]).count("-->") == srt([cue(hostile)]).count("\n00:0")
    assert "<b>" not in vtt([cue(hostile)])


def test_a_line_without_words_has_no_cue() -> None:
    assert srt([cue(""), cue("Yes.")]).startswith("1\n") and srt([cue("")]) == ""


def test_times_of_words_are_clamped_into_their_line() -> None:
    words = [Word("a", 0.2, 1.2), Word("b", 1.1, 1.0), Word("c", 9.0, 9.5)]
    assert clamped(words, 1.0, 2.0) == [Word("a", 1.0, 1.2), Word("b", 1.2, 1.2), Word("c", 2.0, 2.0)]


def test_known_words_take_the_times_of_recognised_ones_and_the_others_lie_between() -> None:
    recognised = [Word("the", 1.0, 1.2), Word("snow", 1.3, 1.6), Word("gently", 2.0, 2.4)]
    found = aligned("The Snow, fell gently!", recognised, 1.0, 3.0)
    assert [word.text for word in found] == ["The", "Snow,", "fell", "gently!"]
    assert (found[1].start_s, found[1].stop_s) == (1.3, 1.6)
    assert (found[2].start_s, found[2].stop_s) == (1.6, 2.0)


@given(
    st.text("abc d", max_size=60),
    st.lists(st.tuples(st.text("abcd", min_size=1, max_size=3), st.floats(0, 9), st.floats(0, 9)), max_size=12),
)
def test_aligned_words_are_in_order_and_within_their_line(
    text: str, recognised: list[tuple[str, float, float]]
) -> None:
    found = aligned(text, [Word(*word) for word in recognised], 2.0, 5.0)
    assert [word.text for word in found] == text.split()
    times = [time for word in found for time in (word.start_s, word.stop_s)]
    assert times == sorted(times) and all(2.0 <= time <= 5.0 + 1e-9 for time in times)
