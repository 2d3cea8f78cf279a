"""The narrator of a script, chapter titles that are spoken, and what ends with a line."""

from __future__ import annotations

import pytest

from tests.support.script_files import all_lines, parsed, problems
from vvbatch.script import BreakAfter, Role, Script

TWO_SPEAKERS = "version: 1\nspeakers: {mara: alice, keeper: frank}\n"
CHAPTERS = "chapters:\n  - title: The lamp\n    lines:\n      - mara: Who's there?\n"


def titles(script: Script) -> list[tuple[str, str, str, str]]:
    """Id, speaker, voice and text of each spoken title."""
    return [
        (line.id, line.turns[0].speaker, line.turns[0].voice, line.turns[0].text)
        for line in all_lines(script)
        if line.role is Role.TITLE
    ]


def test_a_title_is_spoken_before_the_lines_of_its_chapter() -> None:
    script = parsed("s.yaml", f"{TWO_SPEAKERS}narrator: keeper\nspeak_titles: true\n{CHAPTERS}")
    [chapter] = script.chapters
    assert [(line.role, line.turns[0].text) for line in chapter.lines] == [
        (Role.TITLE, "The lamp"),
        (Role.LINE, "Who's there?"),
    ]
    assert titles(script) == [("chapter-01~title", "keeper", "frank", "The lamp")]


@pytest.mark.parametrize("head", ["", "speak_titles: false\n"])
def test_titles_are_not_spoken_unless_the_script_says_so(head: str) -> None:
    assert titles(parsed("s.yaml", TWO_SPEAKERS + head + CHAPTERS)) == []


def test_spoken_titles_change_no_generated_id() -> None:
    silent, spoken = (parsed("s.yaml", f"{TWO_SPEAKERS}{head}{CHAPTERS}") for head in ("", "speak_titles: true\n"))
    assert [line.id for line in all_lines(silent)] == [line.id for line in all_lines(spoken)][1:]


@pytest.mark.parametrize(
    ("head", "more", "speaker"),
    [
        ("narrator: keeper\n", "", "keeper"),
        ("defaults: {voice: carter}\n", "", "narrator"),
        ("", "", "mara"),  # nothing is the narrator's: the first speaker
        ("", "      - The lamp went out.\n", "narrator"),
    ],
)
def test_titles_are_spoken_by_the_narrator_or_else_the_first_speaker(head: str, more: str, speaker: str) -> None:
    script = parsed("s.yaml", f"{TWO_SPEAKERS}{head}speak_titles: true\n{CHAPTERS}{more}")
    assert [each[1] for each in titles(script)] == [speaker]


def test_the_narrator_speaks_the_lines_without_a_speaker() -> None:
    content = f"{TWO_SPEAKERS}narrator: keeper\nlines:\n  - Night.\n  - {{text: Dawn., seed: 1}}\n  - mara: Day.\n"
    script = parsed("s.yaml", content)
    turns = [line.turns[0] for line in all_lines(script)]
    assert script.narrator == "keeper"
    assert [(turn.speaker, turn.voice) for turn in turns] == [
        ("keeper", "frank"),
        ("keeper", "frank"),
        ("mara", "alice"),
    ]


def test_a_narrator_must_be_a_speaker_and_the_only_one_without_a_label() -> None:
    assert problems("s.yaml", f"{TWO_SPEAKERS}narrator: marra\n{CHAPTERS}") == [
        (3, 11, "unknown speaker 'marra', did you mean 'mara'?; allowed: narrator, mara, keeper")
    ]
    both = f"{TWO_SPEAKERS}defaults: {{voice: carter}}\nnarrator: mara\n{CHAPTERS}"
    assert problems("s.yaml", both) == [
        (
            4,
            11,
            "both a narrator and the default voice 'carter'; leave out one of them: 'mara' has a voice of its own",
        )
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("yes", "speak_titles is 'yes'; allowed: true, false"),
        ("'true'", "speak_titles in quotes; write true or false without quotes"),
    ],
)
def test_speak_titles_is_true_or_false(value: str, problem: str) -> None:
    assert problems("s.yaml", f"{TWO_SPEAKERS}speak_titles: {value}\n{CHAPTERS}") == [(3, 15, problem)]


def test_a_title_without_words_is_left_out_with_a_warning() -> None:
    content = f"{TWO_SPEAKERS}speak_titles: true\n{CHAPTERS}  - title: '* * *'\n    lines: [Night.]\n"
    script = parsed("s.yaml", content)
    assert [each[0] for each in titles(script)] == ["chapter-01~title"]
    warnings = [each for each in script.warnings if each.code != "unused-speaker"]
    assert [(each.code, each.position.line, each.message) for each in warnings] == [
        ("title", 8, "the title '* * *' has nothing to speak; it is left out")
    ]


def test_a_title_is_cleaned_and_takes_the_defaults_but_not_the_pause() -> None:
    head = "defaults: {steps: 20, pause_after_s: 0.4}\nspeak_titles: true\n"
    content = TWO_SPEAKERS + head + CHAPTERS.replace("The lamp", '"**The lamp** 🔥"')
    title, line = all_lines(parsed("s.yaml", content))
    assert (title.turns[0].text, title.turns[0].written) == ("The lamp", "**The lamp** 🔥")
    assert (title.steps, title.pause_given_s, line.pause_given_s) == (20, None, 0.4)


def test_no_author_can_write_the_id_of_a_title() -> None:
    content = "version: 1\nlines:\n  - {id: chapter-01~title, text: Night.}\n"
    assert problems("s.yaml", content)[0][:2] == (3, 10)


def breaks(name: str, content: str) -> list[tuple[str, float | None]]:
    return [(line.break_after, line.pause_given_s) for line in all_lines(parsed(name, content))]


def test_a_section_break_ends_a_section_and_gives_no_silence_of_its_own() -> None:
    lines = "  - One.\n  - break: section\n  - Two.\n  - pause: 1.5\n  - break: section\n  - Three.\n"
    assert breaks("s.yaml", f"version: 1\nlines:\n{lines}") == [
        (BreakAfter.SECTION, None),
        (BreakAfter.SECTION, 1.5),
        (BreakAfter.LINE, None),
    ]


def test_the_longer_of_the_pauses_that_are_given_counts() -> None:
    lines = "  - {text: One., pause_after_s: 2}\n  - pause: 1.5\n  - {text: Two., pause_after_s: 0}\n  - Three.\n"
    assert breaks("s.yaml", f"version: 1\nlines:\n{lines}") == [
        (BreakAfter.LINE, 2.0),
        (BreakAfter.LINE, 0.0),
        (BreakAfter.LINE, None),
    ]


def test_a_block_of_plain_text_is_a_paragraph_and_a_turn_is_none() -> None:
    assert breaks("s.txt", "One.\n\nTwo. [pause 1s] Three.\n\n* * *\n\nFour.\n") == [
        (BreakAfter.PARAGRAPH, None),
        (BreakAfter.LINE, 1.0),
        (BreakAfter.SECTION, None),
        (BreakAfter.PARAGRAPH, None),
    ]
    assert breaks("s.txt", "Speaker 1: One.\n\nSpeaker 2: Two.\n") == [(BreakAfter.LINE, None)] * 2
    assert breaks("s.csv", "text\nOne.\nTwo.\n") == [(BreakAfter.LINE, None)] * 2
