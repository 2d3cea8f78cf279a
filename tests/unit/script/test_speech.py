"""What is written and what is spoken."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.script_files import all_lines, parsed, texts
from vvbatch.script import speech
from vvbatch.script.model import Pause, PauseKind, Refused
from vvbatch.script.speech import Said, Speech, speech_of

PIECES = st.sampled_from(
    [
        *("a", "Lamp", "1", "é", "日", "خ", "क", " ", "\n", ".", ",", "!", "’", "-", "* ", "*", "**", "_", "__", "~~"),
        *("`", "``", "[", "]", "(", ")", "<", ">", "/", "# ", "&amp;", "&lt;", "&#42;", "http://x.y", "![", "[^1]"),
        *("<b>", "</b>", "<!--", "-->", "<break/>", '<break time="1s"/>', "[pause 1s]", "[break]", "[pause", "{pause}"),
        *("\u200b", "\u200c", "\u200d", "\u00ad", "\ufe0f", "\u3164", "\ufffd", "\ue000", "\u2800", "\u0301"),
        *("❤️", "👨‍👩‍👧", "🔥", "1️⃣", "\u20e3", "\ufffc", "> ", "• ", "```\n", "light-\nhouse", "\u00ad\n"),
    ]
)


def said(raw: str) -> str:
    [part] = speech_of(raw).parts
    assert isinstance(part, Said)
    return part.spoken


def codes(speech: Speech) -> list[str]:
    return [note.code for note in speech.notes]


@given(st.one_of(st.text(), st.text("ab é.日 -e\u0301'", max_size=8), st.lists(PIECES, max_size=25).map("".join)))
@example("Wait (a pause) here.")
@example("0\u2800")
@settings(deadline=None, max_examples=400)
def test_the_short_way_of_a_plain_text_gives_what_all_rules_give(raw: str) -> None:
    if speech._is_plain(raw):
        with mock.patch.object(speech, "_is_plain", return_value=False):
            assert speech_of(raw) == Speech((Said(raw),))


@given(st.one_of(st.text(), st.lists(PIECES, max_size=25).map("".join)))
@example("*[pause 1s]* a")
@example("e\u200b\u0301 \u200c\u200d")
@settings(deadline=None, max_examples=400)
def test_speech_is_not_changed_again(raw: str) -> None:
    try:
        speech = speech_of(raw)
    except Refused:
        return
    for part in speech.parts:
        if isinstance(part, Said):
            again = speech_of(part.spoken)
            assert again.parts == (Said(part.spoken),)
            assert set(codes(again)) <= {"mark"}


@given(st.text(st.sampled_from("abé日. "), min_size=1), st.sampled_from("\u200b\u00ad\u2060\u180e\u3164\u200e\ufe0f"))
@settings(deadline=None)
def test_a_text_with_invisible_characters_is_spoken_as_the_clean_one(text: str, invisible: str) -> None:
    if not any(char.isalnum() for char in text):
        return
    dirty = invisible + invisible.join(text)
    speech = speech_of(dirty)
    assert speech.parts == (Said(said(text), " ".join(dirty.split())),)
    assert speech.notes == ()


@pytest.mark.parametrize(
    "text",
    [
        "The lamp went out at midnight.",
        "“It’s late,” she said — and left…",
        "5 * 3 * 2 is 30, 2*3*4 is 24, and 7 < 8 > 6.",
        "a_b_c, snake_case_name, __init and **kwargs",
        "if a<b and c>d, f(x)[0] is x [sic] (really)",
        "AT&T and R&D; 50% of $5 #1 at 3 o'clock",
        "``quoted'' as in TeX, and an asterisk* here",
        "F*** you, d**n it",
        "-20 degrees outside.",
        "- Bonjour, dit-il.",
        "Fill in the ____ please. He paused... then ~5 more.",
        "<3 you, me@x.org, see https://x.y/a_b_c",
        "The pause was long, a break [in the weather].",
    ],
)
def test_ordinary_texts_are_spoken_as_they_are_written(text: str) -> None:
    assert speech_of(text) == Speech((Said(text),))


@pytest.mark.parametrize(
    ("raw", "spoken"),
    [
        ("**bold** and *thin* and ***both***", "bold and thin and both"),
        ("__bold__ and _thin_ words", "bold and thin words"),
        ("~~gone~~ `code`", "gone code"),
        ('see [the lamp](http://x.y/z_(a) "title") there', "see the lamp there"),
        ("see [the lamp][1], a note[^2].", "see the lamp, a note."),
        ("an ![picture](a.png) here", "an here"),
        ("# Title", "Title"),
        ("> quoted\n> twice", "quoted twice"),
        ("* one\n* two", "one two"),
        ("```python\nx\n```", "x"),
        ('<emphasis level="strong">very</emphasis> well', "very well"),
        ("<speak><p><s>Hi.</s><s>You.</s></p></speak>", "Hi. You."),
        ('<prosody rate="slow">a</prosody><audio src="x.wav"/> b', "a b"),
        ("a<br>b <!-- not -- this --> c", "a b c"),
        ("R&amp;D &lt;b&gt;x&lt;/b&gt;&nbsp;y", "R&D x y"),
        ("H<sub>2</sub>O", "H2O"),
    ],
)
def test_markup_is_not_spoken_and_warned_of(raw: str, spoken: str) -> None:
    speech = speech_of(raw)
    assert speech.parts == (Said(spoken, " ".join(raw.split())),)
    assert codes(speech) == ["markup"]


@pytest.mark.parametrize(
    ("mark", "seconds"),
    [
        ("[pause 1.5s]", 1.5),
        ("[pause 2]", 2),
        ("[pause:1000ms]", 1),
        ("[pause: 2 seconds]", 2),
        ("[PAUSE=1,5 s]", 1.5),
        ("[pause]", 0.5),
        ("[break 1s]", 1),
        ("{pause 1s}", 1),
        ("<pause 1s>", 1),
        ("<#0.5#>", 0.5),
        ("[[slnc 500]]", 0.5),
        ('<break time="1s"/>', 1),
        ("<break time='250ms' />", 0.25),
        ('<break strength="strong"></break>', 1),
        ("<break/>", 0.5),
        ("<break></break>", 0.5),
        ("<break time=1s/>", 1),
        ('<pause duration="700ms"/>', 0.7),
        ('<silence msec="250"></silence>', 0.25),
        ("[pause 60s]", 60),
        ("[pause 0s]", 0),
    ],
)
def test_a_mark_of_a_pause_divides_a_text(mark: str, seconds: float) -> None:
    speech = speech_of(f"One {mark} two.")
    pause = Pause(PauseKind.PAUSE, seconds)
    assert speech == Speech((Said("One"), pause, Said("two.")))
    assert speech_of(f"One {mark}.").parts == (Said("One."), pause)
    assert speech_of(mark) == Speech((pause,))


@pytest.mark.parametrize("mark", ["[break]", "[section break]", "[Scene Break]", "[BREAK]"])
def test_a_mark_of_a_break_is_a_section_break(mark: str) -> None:
    assert speech_of(f"One. {mark}").parts == (Said("One."), Pause(PauseKind.SECTION, 2.0))


@pytest.mark.parametrize("mark", ["[pause 61s]", "[pause -1s]", "[pause 1h]", "[pause 1..5]", '<break time="2 min"/>'])
def test_a_pause_that_is_out_of_range_is_refused(mark: str) -> None:
    with pytest.raises(Refused) as caught:
        speech_of(f"One {mark} two.")
    assert mark in caught.value.found
    assert "0 to 60 seconds" in caught.value.allowed


@pytest.mark.parametrize(
    "mark", ["[pause for effect]", "[long pause]", "(pause)", "[beat]", "[pause_1s]", "[1s]", "{500 ms}", "<wait 1s>"]
)
def test_a_mark_that_is_no_pause_is_spoken_and_warned_of(mark: str) -> None:
    speech = speech_of(f"One {mark} two.")
    assert speech.parts == (Said(f"One {mark} two."),)
    assert codes(speech) == ["mark"]


def test_each_part_of_a_text_keeps_what_was_written_of_it() -> None:
    assert speech_of("The *old* lamp [pause 1s] went\u200b out.").parts == (
        Said("The old lamp", "The *old* lamp"),
        Pause(PauseKind.PAUSE, 1),
        Said("went out.", "went\u200b out."),
    )


def test_emoji_and_lost_characters_are_warned_of_with_their_place() -> None:
    script = parsed("s.txt", "A lamp.\n\nI love it ❤️🔥 so\nmuch caf\ufffd.\n")
    assert texts(script) == ["A lamp.", "I love it so much caf."]
    assert [(w.position.line, w.position.column, w.code) for w in script.warnings] == [
        (3, 11, "emoji"),
        (4, 9, "lost-character"),
    ]
    assert "❤️🔥" in script.warnings[0].message
    assert "U+FFFD" in script.warnings[1].message


@pytest.mark.parametrize(
    ("raw", "spoken", "warned"),
    [
        ("The light-\nhouse. A lighthouse.", "The lighthouse. A lighthouse.", False),
        ("A well-\nknown, well-known man.", "A well-known, well-known man.", False),
        ("The light\u00ad\nhouse.", "The lighthouse.", False),
        ("Short-\nand long-term", "Short- and long-term", False),
        ("Wait-\nNo!", "Wait- No!", False),
        ("The light-\nhouse.", "The light-house.", True),
        ("He went --\nand came", "He went -- and came", False),
    ],
)
def test_a_word_that_a_line_end_divides_is_joined_as_it_is_written_elsewhere(
    raw: str, spoken: str, warned: bool
) -> None:
    script = parsed("s.txt", raw)
    assert texts(script) == [spoken]
    assert [w.code for w in script.warnings] == (["hyphen"] if warned else [])


@pytest.mark.parametrize("name", ["s.yaml", "s.csv", "s.txt"])
def test_a_cleaned_text_has_the_id_of_the_clean_one_in_every_format(name: str) -> None:
    form = {"s.yaml": 'version: 1\nlines:\n- "%s"\n', "s.csv": "text\n%s\n", "s.txt": "%s\n"}[name]
    [dirty], [clean] = (
        all_lines(parsed(name, form % text)) for text in ("The key\u200bper 🔥 *left*.", "The keyper left.")
    )
    assert dirty.id == clean.id
    assert dirty.turns[0].text == clean.turns[0].text == "The keyper left."
    assert dirty.turns[0].written == "The key\u200bper 🔥 *left*."
    assert clean.turns[0].written is None


@pytest.mark.parametrize("name", ["s.yaml", "s.csv"])
def test_a_name_with_an_invisible_character_is_the_same_name(name: str) -> None:
    content = {
        "s.yaml": 'version: 1\nspeakers: {mara: alice}\nlines:\n- "ma\\u200Bra": Hi.\n',
        "s.csv": "speaker,text\nmara,Hi.\nma\u200bra,Ho.\n",
    }[name]
    assert {turn.speaker for line in all_lines(parsed(name, content)) for turn in line.turns} == {"mara"}
