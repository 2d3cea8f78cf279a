from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tests.support.script_files import all_lines, parsed, problems, texts
from vvbatch.script import Position, parse

EXAMPLES = ROOT / "examples"
DOCS = ROOT / "docs" / "scripts.md"
TEXTS = ROOT.parent / "shared" / "texts"


def test_a_label_begins_a_turn_that_lasts_until_the_next_label() -> None:
    script = parsed("Talk.txt", "\nSpeaker 1: One:\n two\n\nthree.\nspeaker 2 :four\n  Speaker 5：\nfive\n")
    assert script.title == "Talk"
    assert [(t.speaker, t.voice, t.text, t.position) for line in all_lines(script) for t in line.turns] == [
        ("Speaker 1", "carter", "One: two three.", Position(2, 1)),
        ("Speaker 2", "alice", "four", Position(6, 1)),
        ("Speaker 5", "carter", "five", Position(7, 3)),
    ]


def test_without_labels_each_paragraph_is_a_line_of_the_narrator() -> None:
    script = parsed("s.txt", "One\ntwo.\n \t\n\nThree, said Speaker 1: no.\n")
    assert texts(script) == ["One two.", "Three, said Speaker 1: no."]
    assert {(t.speaker, t.voice) for line in all_lines(script) for t in line.turns} == {("narrator", "default")}
    assert [line.position for line in all_lines(script)] == [Position(1, 1), Position(5, 1)]


@pytest.mark.parametrize(
    ("content", "position", "part"),
    [
        ("Title\n\nSpeaker 1: a\n", (1, 1), "text before the first speaker label"),
        ("Speaker 1000: a\n", (1, 9), "allowed: Speaker 0 to 999"),
        (f"Speaker {'9' * 6000}: a\n", (1, 9), "allowed: Speaker 0 to 999"),
        ("Speaker 1: a\nSpeaker 2:\n\nSpeaker 1: b\n", (2, 1), "empty text"),
        ("a\n\n…\n\nb\n", (3, 1), "nothing to speak"),
    ],
)
def test_an_invalid_text_is_reported_with_position_and_remedy(
    content: str, position: tuple[int, int], part: str
) -> None:
    [(line, column, message)] = problems("s.txt", content)
    assert (line, column) == position
    assert part in message


def test_the_examples_parse() -> None:
    lighthouse = parse(EXAMPLES / "lighthouse.yaml")
    assert [chapter.title for chapter in lighthouse.chapters] == ["The lamp", "The stairs", "Morning"]
    assert {turn.voice for line in all_lines(lighthouse) for turn in line.turns} == {"carter", "alice", "frank", "maya"}
    assert any(len(line.turns) > 1 for line in all_lines(lighthouse))
    assert [len(chapter.lines) for chapter in parse(EXAMPLES / "course.csv").chapters] == [3, 4]
    assert len(all_lines(parse(EXAMPLES / "podcast.txt"))) == 4


def test_every_script_in_the_documentation_parses() -> None:
    blocks = DOCS.read_text(encoding="utf-8").split("```")[1::2]
    scripts = dict.fromkeys(("yaml", "csv", "txt"), 0)
    for block in blocks:
        kind, _, content = block.partition("\n")
        if kind in scripts:
            scripts[kind] += 1
            assert all_lines(parsed(f"s.{kind}", content))
    assert min(scripts.values()) > 0


@pytest.mark.skipif(not TEXTS.is_dir(), reason="the texts are not part of the repository")
@pytest.mark.parametrize(
    ("name", "lines", "speakers"),
    [
        ("1p_abs", 2, 1),
        ("1p_vibevoice", 4, 1),
        ("2p_goat", 22, 2),
        ("2p_short", 2, 2),
        ("3p_gpt5", 47, 3),
        ("4p_climate_45min", 211, 4),
    ],
)
def test_real_texts_parse(name: str, lines: int, speakers: int) -> None:
    found = all_lines(parse(TEXTS / f"{name}.txt"))
    assert len(found) == lines
    assert len({line.turns[0].speaker for line in found}) == speakers
