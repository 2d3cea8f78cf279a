from __future__ import annotations

import pytest
import yaml

from tests.support.script_files import YAML_LINES, all_lines, parsed, problems, texts
from vvbatch.script import Position, nodes

COMPLETE = """\
version: 1
title: The Lighthouse
model: 1.5b                       # a profile's name; `--model` overrides
defaults: {voice: carter, pause_after_s: 0.35}
speakers:
  mara: {voice: alice}
chapters:
  - title: The lamp
    lines:
      - The lamp went out at midnight.            # default speaker
      - mara: Who's there?                        # speaker: text
      - {id: ch1-003, speaker: mara, text: "Answer me!", seed: 11, cfg_scale: 1.5, takes: 3}
      - dialogue:                                 # one take, natural turn-taking, up to 4 speakers
          - mara: You came back.
          - narrator: I said I would.
"""


@pytest.fixture(params=["C", "Python"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "LOADER", yaml.CSafeLoader if request.param == "C" else yaml.SafeLoader)


def test_every_part_of_the_format_is_read() -> None:
    script = parsed("s.yaml", COMPLETE)
    assert (script.title, script.model, script.model_position) == ("The Lighthouse", "1.5b", Position(3, 8))
    [chapter] = script.chapters
    assert chapter.title == "The lamp"
    plain, short, full, dialogue = chapter.lines
    [turn] = plain.turns
    assert (turn.speaker, turn.voice, turn.text) == ("narrator", "carter", "The lamp went out at midnight.")
    assert (plain.position, turn.position, turn.voice_position) == (Position(10, 9), Position(10, 9), Position(4, 19))
    assert (plain.pause_after_s, plain.positions) == (0.35, {"pause_after_s": Position(4, 42)})
    assert [(t.speaker, t.voice, t.text) for t in short.turns] == [("mara", "alice", "Who's there?")]
    assert (full.id, full.seed, full.cfg_scale, full.takes, full.steps) == ("ch1-003", 11, 1.5, 3, None)
    assert full.positions["seed"] == Position(12, 64)
    assert [(t.speaker, t.voice, t.text) for t in dialogue.turns] == [
        ("mara", "alice", "You came back."),
        ("narrator", "carter", "I said I would."),
    ]


def test_chapters_and_the_title_are_optional() -> None:
    script = parsed("my story.yaml", "version: 1\nlines: [Hello.]\n")
    assert (script.title, script.chapters[0].title) == ("my story", "")
    [turn] = script.chapters[0].lines[0].turns
    assert (turn.voice, turn.voice_position) == ("default", turn.position)


def test_the_voice_of_a_line_comes_before_that_of_its_speaker_and_of_the_defaults() -> None:
    head = "version: 1\ndefaults: {voice: carter}\nspeakers: {mara: {voice: alice}, narrator: maya}\nlines:\n"
    script = parsed(
        "s.yaml", head + "- a\n- mara: b\n- {text: c, voice: frank}\n- {speaker: mara, text: d, voice: frank}\n"
    )
    assert [line.turns[0].voice for line in all_lines(script)] == ["maya", "alice", "frank", "frank"]
    assert all_lines(script)[3].turns[0].voice_position == Position(8, 35)


@pytest.mark.parametrize("word", ["no", "010", "2024-01-01", "1.10", "12:30", "true", "1_000", "0x1F", "1e3", "on"])
def test_a_text_that_yaml_would_convert_stays_as_written(word: str) -> None:
    script = parsed("s.yaml", f"version: 1\ntitle: {word}\nlines:\n- {word}\n- {{text: {word}}}\n- narrator: {word}\n")
    assert texts(script) == [word] * 3
    assert script.title == word


@pytest.mark.parametrize("nothing", ["", "~", "null", "''", '"  "', "Null"])
def test_an_empty_value_is_not_a_text(nothing: str) -> None:
    for line in (f"- {nothing}", f"- text: {nothing}", f"- mara: {nothing}"):
        assert len(problems("s.yaml", f"{YAML_LINES}{line}\n- ok\n")) == 1


def test_a_quoted_null_is_a_text() -> None:
    assert texts(parsed("s.yaml", YAML_LINES + "- 'null'\n")) == ["null"]


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        *[
            ("seed", raw)
            for raw in ["010", "1_000", "yes", "-1", "1.5", "1e3", "0x10", "9223372036854775808", "9" * 5000]
        ],
        *[("seed", raw) for raw in ["１", ".inf", "'1'", "[1]", "+1", "1:30"]],
        *[("takes", raw) for raw in ["0", "21"]],
        *[("steps", raw) for raw in ["0", "101"]],
        *[("cfg_scale", raw) for raw in ["-0.1", "20.1", ".nan", "nan", "inf", ".inf", "1e400", "1,5", "01.5", "1."]],
        *[("max_duration_s", raw) for raw in ["0", "0.0", "7200.1", "1:00"]],
        *[("pause_after_s", raw) for raw in ["-1", "60.01"]],
    ],
)
def test_an_invalid_number_is_refused_by_name_at_its_position(key: str, raw: str) -> None:
    [(line, column, message)] = problems("s.yaml", f"{YAML_LINES}- text: hi\n  {key}: {raw}\n")
    assert (line, column) == (5, 5 + len(key))
    assert key in message


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("seed", "0", 0),
        ("seed", "9223372036854775807", 2**63 - 1),
        ("takes", "20", 20),
        ("steps", "100", 100),
        ("cfg_scale", "0", 0),
        ("cfg_scale", ".5", 0.5),
        ("cfg_scale", "1.5e1", 15),
        ("max_duration_s", "7200", 7200),
        ("pause_after_s", "60", 60),
    ],
)
def test_the_ends_of_a_range_are_allowed(key: str, raw: str, value: float) -> None:
    [line] = all_lines(parsed("s.yaml", f"{YAML_LINES}- {{text: hi, {key}: {raw}}}\n"))
    assert getattr(line, key) == value


@pytest.mark.parametrize(
    ("body", "position", "part"),
    [
        ("- He said: hello\n", (4, 3), "put a sentence with a colon in quotes"),
        ("- marra: hello\n", (4, 3), "did you mean 'mara'?"),
        ("- Mara: hello\n", (4, 3), "did you mean 'mara'?"),
        ("- {speaker: maro, text: hello}\n", (4, 13), "unknown speaker 'maro', did you mean 'mara'?"),
        ("- {txt: a, seed: 1}\n", (4, 4), "unknown key 'txt' in a line, did you mean 'text'?"),
        ("- {mara: a, seed: 1}\n", (4, 4), "write speaker: … and text: …"),
        ("- {seed: 1}\n", (4, 3), "a line without text"),
        ("- {text: a, text: b}\n", (4, 13), "the key 'text' again, first at 4:4"),
        ("- [sighs]\n", (4, 3), "put a text with [ in quotes"),
        ("- *x\n", (4, 3), "the YAML alias *x"),
        ("- &x a\n", (4, 3), "the YAML anchor &x"),
        ("- !!str a\n", (4, 3), "the YAML tag"),
        ("- !Wow that\n", (4, 3), "put a text with ! in quotes"),
        ("- {text: a, [b]: c}\n", (4, 13), "a list or mapping as a key"),
        ("- dialogue: []\n", (4, 13), "empty dialogue"),
        ("- dialogue: hi\n", (4, 13), "'hi' as dialogue"),
        ("- dialogue: [{text: a}]\n", (4, 14), "a turn is text or `speaker: text`"),
        ("- {dialogue: [a], text: b}\n", (4, 25), "both dialogue and text"),
        ("- {dialogue: [a], voice: b}\n", (4, 26), "both dialogue and voice"),
        ("- {dialogue: [a], speaker: mara}\n", (4, 28), "both dialogue and speaker"),
        ("- '…!?'\n", (4, 3), "nothing to speak"),
        ("- '🎉'\n", (4, 3), "nothing to speak"),
        ('- "a\\0b"\n', (4, 3), "U+0000"),
        ('- "a\\u202eb"\n', (4, 3), "U+202E"),
        ('- "a\\uFEFFb"\n', (4, 3), "byte order mark"),
        ("- a\n---\n- b\n", (5, 1), "a second YAML document"),
        ("- " + "[" * 20 + "]" * 20 + "\n", (4, 13), "nesting"),
    ],
)
def test_an_invalid_line_is_reported_with_position_and_remedy(body: str, position: tuple[int, int], part: str) -> None:
    [(line, column, message)] = problems("s.yaml", YAML_LINES + body)
    assert (line, column) == position
    assert part in message


@pytest.mark.parametrize(
    ("script", "position", "part"),
    [
        ("lines: [a]\n", (1, 1), "the script without version"),
        ("version: 2\nlines: [a]\n", (1, 10), "version '2'; allowed: 1"),
        ("version: '1'\nlines: [a]\n", (1, 10), "in quotes"),
        ("version: 1\n", (1, 1), "neither chapters nor lines"),
        ("version: 1\nlines: []\n", (2, 8), "empty lines"),
        ("version: 1\nlines: [a]\nchapters: [{title: b, lines: [c]}]\n", (2, 8), "both chapters and lines"),
        ("version: 1\nchapters: [{title: b}]\n", (2, 12), "a chapter without lines"),
        ("version: 1\nchapters: [{lines: [b]}]\n", (2, 12), "a chapter without title"),
        ("version: 1\nlines: a\n", (2, 8), "'a' as lines"),
        ("version: 1\ntitel: a\nlines: [a]\n", (2, 1), "did you mean 'title'?"),
        (f"version: 1\ntitle: {'a' * 201}\nlines: [a]\n", (2, 8), "a title has at most 200"),
        ('version: 1\ntitle: "a\\x07"\nlines: [a]\n', (2, 8), "U+0007"),
        ("version: 1\nmodel:\nlines: [a]\n", (2, 7), "no model"),
        ("version: 1\ndefaults: {seed: 1}\nlines: [a]\n", (2, 12), "unknown key 'seed' in defaults"),
        ("version: 1\nspeakers: {a: b, A: c}\nlines: [a]\n", (2, 18), "speaker 'A' next to 'a'"),
        (
            "version: 1\nspeakers: {caf\u00e9: b, cafe\u0301: c}\nlines: [a]\n",
            (2, 21),
            "again; use one spelling of each name, once",
        ),
        ("version: 1\nspeakers: {Narrator: b}\nlines: [a]\n", (2, 12), "next to 'narrator'"),
        ("version: 1\nspeakers: {text: b}\nlines: [a]\n", (2, 12), "a speaker named 'text'"),
        ("version: 1\nspeakers: {a: {}}\nlines: [a]\n", (2, 15), "a speaker without voice"),
        (f"version: 1\nspeakers: {{{'a' * 65}: b}}\nlines: [a]\n", (2, 12), "a speaker has at most 64"),
        ("- a\n- b\n", (1, 1), "a list as the script"),
        ("just words\n", (1, 1), "'just words' as the script"),
        ("# nothing\n", (1, 1), "no lines"),
    ],
)
def test_an_invalid_script_is_reported_with_position_and_remedy(
    script: str, position: tuple[int, int], part: str
) -> None:
    [(line, column, message)] = problems("s.yaml", script)
    assert (line, column) == position
    assert part in message


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ('- "Hello," she said.\n', "in quotes"),
        ("- 'Tis the season\n", "in double quotes"),
        ("- What: is: this\n", "put a text with a colon in quotes"),
        ("-\tb: c\n\td: e\n", "spaces, not tabs"),
        ("- @home\n", "in quotes"),
        ("- *bold* text\n", "in quotes"),
        ("- {a: b\n", "quotes or brackets"),
        ('- "\\q"\n', "\\\\"),
    ],
)
def test_invalid_yaml_is_one_problem_with_a_remedy(body: str, part: str) -> None:
    [(line, _, message)] = problems("s.yaml", YAML_LINES + body)
    assert line in (3, 4, 5)
    assert "invalid YAML" in message
    assert part in message


def test_a_dialogue_has_at_most_four_speakers() -> None:
    head = "version: 1\nspeakers: {a: v, b: v, c: v, d: v}\nlines:\n"
    four = "- dialogue: [{a: x}, {b: x}, {c: x}, {d: x}, {a: y}]\n"
    [line] = all_lines(parsed("s.yaml", head + four))
    assert [turn.voice for turn in line.turns] == ["v"] * 5
    [(_, column, message)] = problems("s.yaml", head + four.replace("{a: y}", "e"))
    assert column == 46
    assert "at most 4" in message


def test_all_problems_are_reported_in_the_order_of_the_file() -> None:
    body = "- maro: a\n- {text: b, seed: x, takes: 0}\n- ''\n- {id: a, text: b}\n- {id: A, text: b}\n"
    found = problems("s.yaml", "version: 3\nspeakers: {mara: alice}\nlines:\n" + body)
    assert [line for line, _, _ in found] == [1, 4, 5, 5, 6, 8]
    assert "7:8" in found[-1][2]


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_NODES", 10)
    [(_, _, message)] = problems("s.yaml", YAML_LINES + "- a\n" * 20)
    assert "more than 10 values" in message


def test_positions_count_characters_and_the_lines_of_an_editor() -> None:
    body = "- é😀\u2028x\r\n- {text: é😀, seed: x}\r\n"
    [(line, column, _)] = problems("s.yaml", YAML_LINES + body)
    assert (line, column) == (5, 20)


def test_folded_and_literal_blocks_are_texts() -> None:
    script = parsed("s.yaml", YAML_LINES + "- >\n  One: two\n  three.\n- |\n  'Four'\n  five\n- six\n  seven\n")
    assert texts(script) == ["One: two three.", "'Four' five", "six seven"]


def test_a_line_and_the_defaults_name_the_profile_to_escalate_to() -> None:
    text = "version: 1\ndefaults: {escalate: 7b, takes: 2}\nlines:\n- One.\n- {text: Two., escalate: none, takes: 1}\n"
    one, two = all_lines(parsed("s.yaml", text))
    assert (one.escalate, one.takes) == ("7b", 2)
    assert (two.escalate, two.takes) == ("none", 1)


HEAD = "version: 1\nspeakers: {mara: alice}\n"


@pytest.mark.parametrize(
    ("content", "position"),
    [
        ("lines:\n- You are the #1 keeper\n", (4, 15)),
        ("lines:\n- mara: You are the #1 keeper\n", (4, 21)),
        ("lines:\n- text: You are the #1 keeper\n  seed: 3\n", (4, 21)),
        ("lines:\n- {text: You are the #1 keeper, seed: 1}\n", (4, 22)),
        ("title: The #1 keeper\nlines: [a]\n", (3, 12)),
        ("chapters:\n- title: The #1 keeper\n  lines: [a]\n", (4, 14)),
        ("lines:\n- dialogue:\n  - mara: The #1\n", (5, 15)),
        ("lines:\n- You are the\n  #1 keeper\n", (5, 3)),
        ("lines:\n- mara: You are\n    the #1\n", (5, 9)),
        ("lines:\n- text: You are\n        #1 keeper\n", (5, 9)),
        ("lines:\n- You are the\n  best #1 keeper\n  of all\n", (5, 8)),
        ("lines: [You are the #1 keeper, Second]\n", (3, 21)),
        ("lines: [a b #1\n , c]\n", (3, 13)),
        ("lines:\n- {text: You are the #1 keeper\n  , seed: 1}\n", (4, 22)),
        ("lines:\n- #1 keeper\n- a\n", (4, 3)),
        ("lines:\n- text: #1 keeper\n", (4, 9)),
        ("lines:\n- #1 keeper\n  is here\n", (4, 3)),
        ("lines:\n- mara: #1 keeper\n    is here\n", (4, 9)),
        ("lines:\n- > #1 keeper\n  is here\n", (4, 5)),
        ("lines:\n- |- #1 keeper\n  is here\n", (4, 6)),
        ("lines:\n- {speaker: mara #1, text: a}\n", (4, 18)),
        ("lines:\n- mara #1: a\n", (4, 8)),
    ],
)
def test_a_text_that_yaml_would_cut_at_a_hash_is_refused(content: str, position: tuple[int, int]) -> None:
    [(line, column, message)] = problems("s.yaml", HEAD + content)
    assert (line, column) == position
    assert "YAML cuts the text here" in message
    assert "in quotes" in message


@pytest.mark.parametrize(
    "content",
    [
        "lines:\n- Hello. # the narrator\n",
        "title: Hello. # the title\nlines:\n- Hello.\n",
        "lines: # all of them\n- text: Hello. # one\n  seed: 3 #note\n",
        "lines:\n- Hello.\n#- old line\n# - older\n",
        "chapters:\n  - title: A\n    lines:\n      - Hello.\n      #- old line\n      # - older\n",
        "lines:\n- text: Hello.\n  #old: x\n  seed: 3\n",
        "lines:\n- Hello.\n\n  #old\n",
        "lines:\n- Hello. #\n- Hello. #### x\n",
        'lines:\n- "Hello." #1\n',
        "lines: #all\n- Hello.\n",
        "lines:\n- # of the narrator\n  Hello.\n",
        "lines:\n- text: # of the narrator\n    Hello.\n",
        "lines:\n- > # folded\n  Hello.\n",
        "lines:\n- #one\n  text: Hello.\n",
        "lines:\n- {text: Hello., voice: alice #1\n  }\n",
    ],
)
def test_a_comment_is_no_problem(content: str) -> None:
    assert set(texts(parsed("s.yaml", HEAD + content))) == {"Hello."}


def test_a_speaker_whose_name_yaml_would_cut_at_a_hash_is_refused() -> None:
    [(line, column, message)] = problems("s.yaml", "version: 1\nspeakers:\n  Guard #1: alice\nlines: [a]\n")
    assert (line, column) == (3, 9)
    assert "YAML cuts the text here" in message


def test_a_hash_in_quotes_in_a_block_and_within_a_word_is_text() -> None:
    content = "lines:\n- 'The #1 keeper'\n- >-\n  The #1\n  keeper\n- C#1 and #2\n".replace(" and #2", "")
    assert texts(parsed("s.yaml", HEAD + content)) == ["The #1 keeper", "The #1 keeper", "C#1"]


def test_pauses_and_breaks_among_lines_are_pauses_of_the_line_before() -> None:
    script = parsed(
        "s.yaml",
        HEAD + "defaults: {pause_after_s: 0.35}\nchapters:\n- title: A\n  lines:\n  - One.\n  - pause: 1.5\n  - Two.\n"
        "  - break: section\n  - pause: 500ms\n- title: B\n  lines:\n  - pause: 1\n"
        "  - {text: Three., pause_after_s: 9}\n  - break: section\n  - Four.\n",
    )
    assert [(line.turns[0].text, line.pause_after_s) for line in all_lines(script)] == [
        ("One.", 1.5),
        ("Two.", 3.5),
        ("Three.", 9.0),
        ("Four.", 0.35),
    ]
    assert [pause.kind for pause in all_lines(script)[1].pauses] == ["section", "pause", "pause"]


def test_a_declared_speaker_wins_over_a_pause_or_a_break() -> None:
    content = "version: 1\nspeakers: {pause: alice, break: frank}\nlines:\n- pause: 1.5\n- break: section\n"
    script = parsed("s.yaml", content)
    assert [(turn.speaker, turn.text) for line in all_lines(script) for turn in line.turns] == [
        ("pause", "1.5"),
        ("break", "section"),
    ]


@pytest.mark.parametrize(
    ("item", "part"),
    [
        ("pause: 61", "0 to 60 seconds"),
        ("pause: -1", "0 to 60 seconds"),
        ("pause: long", "0 to 60 seconds"),
        ("pause:", "no pause"),
        ("pause: [1]", "a list as pause"),
        ("break: chapter", "allowed: section"),
        ("break: 2", "allowed: section"),
        ("pause: 40\n- pause: 40", "pauses of 80 seconds in a row"),
    ],
)
def test_a_pause_that_is_none_is_refused(item: str, part: str) -> None:
    [(_, _, message)] = problems("s.yaml", f"version: 1\nlines:\n- One.\n- {item}\n")
    assert part in message


def test_a_pause_in_a_text_divides_the_line_and_the_first_part_keeps_its_id() -> None:
    script = parsed(
        "s.yaml",
        HEAD + "lines:\n- {id: a, seed: 7, text: 'One [pause 1s] two. [break]'}\n"
        "- dialogue:\n  - mara: Hi [pause 2s] there.\n  - You.\n",
    )
    assert [
        (line.id if line.seed else "", [turn.text for turn in line.turns], line.pause_after_s, line.seed)
        for line in all_lines(script)
    ] == [
        ("a", ["One"], 1.0, 7),
        ("a-part-2", ["two."], 2.0, 7),
        ("", ["Hi"], 2.0, None),
        ("", ["there.", "You."], 0.0, None),
    ]


def test_a_script_says_who_wrote_it_and_has_a_cover() -> None:
    head = "version: 1\nauthor: Jane  Doe\ncover: art/front.jpg\nspeak_titles: true\nlines: [One.]\n"
    script = parsed("s.yaml", head)
    assert (script.author, script.cover, script.speak_titles) == ("Jane Doe", "art/front.jpg", True)
    plain = parsed("s.yaml", "version: 1\nlines: [One.]\n")
    assert (plain.author, plain.cover, plain.speak_titles) == (None, None, False)


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ("speak_titles: yes", "speak_titles is 'yes'; allowed: true, false"),
        ('speak_titles: "true"', "speak_titles in quotes; write true or false without quotes"),
        ("author: ~", "no author"),
        ("author: [Jane]", "a list as author"),
        (f"cover: {'x' * 401}", "a path of 401 characters"),
    ],
)
def test_an_invalid_field_about_the_script_is_refused(field: str, part: str) -> None:
    [(line, _, found)] = problems("s.yaml", f"version: 1\n{field}\nlines: [One.]\n")
    assert line == 2 and part in found
