"""Characters that carry no sound are taken out; those that a script needs stay."""

from __future__ import annotations

import unicodedata

import pytest

from vvbatch.script.characters import lost, pictures, without_lost, without_pictures, without_silent

VISIBLE_FORMATS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"


@pytest.fixture(scope="module")
def every_character() -> list[str]:
    return [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


@pytest.mark.slow
def test_every_format_character_without_sound_is_taken_out(every_character: list[str]) -> None:
    kept = [
        char
        for char in every_character
        if unicodedata.category(char) == "Cf" and without_silent(f"key{char}per") != "keyper"
    ]
    egyptian = [char for char in kept if 0x13430 <= ord(char) <= 0x1345F]
    assert set(kept) - set(egyptian) == set(VISIBLE_FORMATS)


@pytest.mark.slow
def test_every_character_that_unicode_calls_ignorable_is_taken_out(every_character: list[str]) -> None:
    regex = pytest.importorskip("regex")
    ignorable = regex.compile(r"\p{Default_Ignorable_Code_Point}")
    assert [hex(ord(c)) for c in every_character if ignorable.match(c) and without_silent(f"a{c}b") != "ab"] == []


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم",  # Persian: two parts of a word that are not joined
        "क्\u200dष",  # Devanagari: a half form
        "ශ්\u200dරී",  # Sinhala
        "ന്\u200d",  # Malayalam: a chillu at the end of a word
    ],
)
def test_joiners_stay_where_a_script_needs_them(text: str) -> None:
    assert without_silent(text) == text


@pytest.mark.parametrize("text", ["key\u200dper", "key\u200cper", "\u200dkeyper", "keyper\u200c", "ke\u200c\u200dyper"])
def test_joiners_between_other_letters_are_taken_out(text: str) -> None:
    assert without_silent(text) == "keyper"


def test_a_row_of_joiners_becomes_one() -> None:
    assert without_silent("می\u200c\u200d\u200cخواهم") == "می\u200cخواهم"


@pytest.mark.slow
def test_every_emoji_is_a_picture(every_character: list[str]) -> None:
    regex = pytest.importorskip("regex")
    emoji = regex.compile(r"\p{Emoji_Presentation}")
    assert [char for char in every_character if emoji.match(char) and without_pictures(char)] == []


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("👨‍👩‍👧‍👦 went home.", "went home."),
        ("I love it! ❤️🔥", "I love it!"),
        ("Hello 👋🏽, world.", "Hello, world."),
        ("Great👍.", "Great."),
        ("good👍bad", "good bad"),
        ("Go (😀) home 🇩🇪 🏴󠁧󠁢󠁥󠁮󠁧󠁿 now", "Go home now"),
        ("Step 1️⃣ is ☎ easy ↔️ so", "Step 1 is easy so"),
        ("“👍 Yes”", "“ Yes”"),
        ("Super 👍 !", "Super !"),
    ],
)
def test_a_text_without_its_pictures_is_spaced_as_if_it_never_had_them(text: str, without: str) -> None:
    assert " ".join(without_silent(without_pictures(text)).split()) == without


@pytest.mark.parametrize("text", ["© 2020 Acme™", "C♯ and B♭", "a → b", "½ ❶ №", "¡Qué‼", "5 × 3 ÷ 2 ± 1 °C €"])
def test_signs_that_are_read_aloud_are_no_pictures(text: str) -> None:
    assert without_pictures(text) == text
    assert pictures(text) == []


def test_lost_characters_are_named_and_taken_out() -> None:
    text = "caf\ufffd \ue000\ufdd0 \U0010fffe"
    assert lost(text) == ["\ufffd", "\ue000", "\ufdd0", "\U0010fffe"]
    assert without_lost(text).split() == ["caf"]
