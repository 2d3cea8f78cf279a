"""Long texts in parts: their sizes, that nothing is lost, and that an edit leaves the other parts as they are."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.script_files import all_lines, parsed
from vvbatch.profiles import PartWords, TextLimits
from vvbatch.script import BreakAfter
from vvbatch.speech_text.parts import parts_of, text_parts
from vvbatch.speech_text.words import word_ends, words

LIMITS = PartWords()
VOCABULARY = [
    f"{a}{b}" for a in ("lamp", "sea", "stone", "wind", "glass", "keep") for b in ("", "s", "ed", "ing", "er")
]


def sentence(length: int, dice: random.Random) -> str:
    return " ".join(dice.choices(VOCABULARY, k=length)).capitalize() + dice.choice([".", ".", "?", "!"])


def sentences(dice: random.Random, count: int) -> list[str]:
    return [sentence(max(1, int(dice.lognormvariate(2.6, 0.6))), dice) for _ in range(count)]


numbers = st.integers(min_value=0, max_value=2**32)
texts = st.one_of(
    st.builds(lambda seed, count: " ".join(sentences(random.Random(seed), count)), numbers, st.integers(1, 120)),
    st.lists(
        st.sampled_from(["So.", "Dr. No", "and, then", "yes", "—", "one; two", "“What?”", "3.5"]), max_size=600
    ).map(" ".join),
    st.text("灯灭了，他走。！ab ไปกัน", max_size=900).map(lambda text: " ".join(text.split())),
)


@given(texts)
def test_the_parts_joined_are_the_text_again(text: str) -> None:
    parts = text_parts(text, LIMITS)
    assert "".join("".join(parts).split()) == "".join(text.split())
    if text.isascii():
        assert " ".join(parts) == text


@given(texts)
def test_no_part_is_smaller_or_larger_than_the_profile_allows(text: str) -> None:
    parts = text_parts(text, LIMITS)
    if words(text) <= LIMITS.max:
        assert parts == [text]
    else:
        assert len(parts) > 1
        assert all(LIMITS.min <= words(part) <= LIMITS.max for part in parts)


def test_parts_have_about_the_best_number_of_words() -> None:
    dice = random.Random(1)
    sizes = [words(part) for _ in range(40) for part in text_parts(" ".join(sentences(dice, 80)), LIMITS)]
    assert 70 < sum(sizes) / len(sizes) < 90
    assert sum(40 <= size <= 130 for size in sizes) / len(sizes) > 0.9


@pytest.mark.parametrize("count", [160, 161])
def test_a_line_is_divided_when_it_has_more_than_the_most_words(count: int) -> None:
    text = " ".join(["word"] * (count - 1)) + " end."
    assert len(text_parts(text, LIMITS)) == (1 if count == 160 else 2)


def test_parts_end_where_sentences_end() -> None:
    dice = random.Random(2)
    for _ in range(20):
        for part in text_parts(" ".join(sentence(dice.randint(3, 60), dice) for _ in range(30)), LIMITS):
            assert part[-1] in ".?!" and part[0].isupper()


def test_a_sentence_that_is_too_long_is_cut_at_clauses_and_a_clause_between_words() -> None:
    dice = random.Random(3)
    clauses = [" ".join(dice.choices(VOCABULARY, k=dice.randint(8, 30))) for _ in range(20)]
    assert all(part[-1] in ",." for part in text_parts(", ".join(clauses) + ".", LIMITS))
    unbroken = " ".join(dice.choices(VOCABULARY, k=500)) + "."
    parts = text_parts(unbroken, LIMITS)
    assert len(parts) > 3 and " ".join(parts) == unbroken


def test_scripts_without_spaces_are_divided_by_their_letters() -> None:
    dice = random.Random(5)
    letters = "灯塔的在午夜熄灭了岛上没有人见过它大家都很害怕"
    text = "".join("".join(dice.choices(letters, k=dice.randint(5, 25))) + dice.choice("。。！？") for _ in range(40))
    parts = text_parts(text, LIMITS)
    assert "".join(parts) == text and len(parts) > 4
    assert all(part[-1] in "。！？" and LIMITS.min <= words(part) <= LIMITS.max for part in parts)
    unbroken = "".join(dice.choices(letters, k=700))
    assert all(LIMITS.min <= len(part) <= LIMITS.max for part in text_parts(unbroken, LIMITS))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("It's a well-known lamp — 1,984 of them.", 7),
        ("… ?! —", 0),
        ("灯塔的灯", 4),
        ("在GitHub上 today", 4),
        ("이것은 한국어 문장입니다.", 3),
        ("यह एक वाक्य है।", 4),
    ],
)
def test_words_are_counted_as_an_author_counts_them(text: str, count: int) -> None:
    assert words(text) == count


def test_words_of_scripts_without_spaces_are_counted_by_the_time_that_they_take() -> None:
    assert 8 <= words("ประภาคารดับลงตอนเที่ยงคืนและไม่มีใครเห็น") <= 12  # 10 words
    assert 4 <= words("あかりが消えたので、だれもいなかった。") <= 9


def test_a_word_never_ends_before_a_mark_of_its_last_letter() -> None:
    text = "ที่นี่ กำลัง"
    assert all(not re.match(r"[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]", text[end:]) for end in word_ends(text))


def changed(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """How many neighbouring parts of each version the other one does not have."""
    head = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    rest = zip(reversed(before[head:]), reversed(after[head:]), strict=False)
    tail = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], rest))
    return len(before) - head - tail, len(after) - head - tail


def edited(before: Sequence[str], place: int, kind: str, dice: random.Random) -> list[str]:
    """The sentences with one replaced, taken out, put in front, or with another word in it."""
    if kind == "word":
        own = before[place].split()
        own[dice.randrange(len(own))] = "another" if len(own) > 1 else "Another."
        return [*before[:place], " ".join(own), *before[place + 1 :]]
    new = [] if kind == "delete" else [sentence(dice.randint(1, 30), dice)]
    return [*before[:place], *new, *before[place + (kind != "insert") :]]


KINDS = ("word", "replace", "insert", "delete")


@given(numbers, st.integers(15, 150), st.sampled_from(KINDS))
def test_an_edit_of_one_sentence_changes_neighbouring_parts_only(seed: int, count: int, kind: str) -> None:
    dice = random.Random(seed)
    before = sentences(dice, count)
    after = edited(before, dice.randrange(count), kind, dice)
    if min(words(" ".join(each)) for each in (before, after)) > LIMITS.max:
        old, new = changed(text_parts(" ".join(before), LIMITS), text_parts(" ".join(after), LIMITS))
        assert old <= 4 and new <= 4


@pytest.mark.parametrize(("kind", "one", "two"), [("word", 0.9, 0.98), ("replace", 0.65, 0.95), ("delete", 0.8, 0.95)])
def test_an_edit_of_one_sentence_renders_one_part_again_and_rarely_two(kind: str, one: float, two: float) -> None:
    counts: Counter[int] = Counter()
    for seed in range(200):
        dice = random.Random(seed)
        before = sentences(dice, 60)
        after = edited(before, dice.randrange(60), kind, dice)
        counts[changed(text_parts(" ".join(before), LIMITS), text_parts(" ".join(after), LIMITS))[1]] += 1
    assert (counts[0] + counts[1]) / 200 > one
    assert (counts[0] + counts[1] + counts[2]) / 200 > two


def test_a_text_that_repeats_itself_is_divided_quickly() -> None:
    parts = text_parts("The lamp went out. " * 10_000, LIMITS)
    assert all(LIMITS.min <= words(part) <= LIMITS.max for part in parts)


LONG = " ".join(f"This is sentence number {number} of the text." for number in range(60))
LIMITED = TextLimits(max_chars=400, part_words=LIMITS)


def test_a_part_has_an_id_of_its_own_and_what_follows_the_line_follows_the_last() -> None:
    lines = f"  - {{id: intro, text: {LONG}, seed: 7, pause_after_s: 2}}\n  - break: section\n  - After.\n"
    line, after = all_lines(parsed("s.yaml", f"version: 1\nlines:\n{lines}"))
    parts = parts_of(line, LIMITED)
    count = len(parts)
    assert count > 3
    assert [(part.id, part.part_of, part.part) for part in parts] == [
        (f"intro~{number}", "intro", number) for number in range(1, count + 1)
    ]
    assert {part.seed for part in parts} == {7}
    assert [(part.pause_after_s, part.pause_given_s, part.break_after) for part in parts] == [
        *[(0.0, None, BreakAfter.LINE)] * (count - 1),
        (2.0, 2.0, BreakAfter.SECTION),
    ]
    assert parts_of(after, LIMITED) == [after]


def test_a_line_is_whole_where_the_profile_has_no_parts() -> None:
    [line] = all_lines(parsed("s.yaml", f"version: 1\nlines:\n  - {LONG}\n"))
    assert parts_of(line, TextLimits(max_chars=400)) == [line]


def test_a_dialogue_is_whole_up_to_the_limit_and_cut_between_turns_beyond_it() -> None:
    turns = "".join(f"      - {'mara' if n % 2 else 'narrator'}: This is turn number {n}.\n" for n in range(40))
    content = f"version: 1\nspeakers: {{mara: alice}}\nlines:\n  - id: talk\n    dialogue:\n{turns}"
    [line] = all_lines(parsed("s.yaml", content))
    assert parts_of(line, TextLimits(max_chars=2000, part_words=LIMITS)) == [line]
    parts = parts_of(line, LIMITED)
    assert [turn for part in parts for turn in part.turns] == list(line.turns)
    assert [part.id for part in parts] == [f"talk~{number}" for number in range(1, len(parts) + 1)]
    assert all(sum(len(turn.text) for turn in part.turns) <= 400 for part in parts)


def test_each_part_has_what_the_author_wrote_of_it() -> None:
    written = LONG.replace("number 7 ", "**number 7** ").replace(
        "sentence number 30", "[sentence](x.html) number 30 🔥"
    )
    [line] = all_lines(parsed("s.yaml", f"version: 1\nlines:\n  - {written!r}\n"))
    parts = parts_of(line, LIMITED)
    assert " ".join(part.turns[0].text for part in parts) == LONG
    own = [part.turns[0].written or part.turns[0].text for part in parts]
    assert " ".join(own) == written
    assert sum(part.turns[0].written is not None for part in parts) == 2
