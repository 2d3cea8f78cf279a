from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.script_files import all_lines, parsed, problems, refused, texts, write
from vvbatch.script import PauseKind, Position, Script, parse

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
    ],
)
def test_an_invalid_text_is_reported_with_position_and_remedy(
    content: str, position: tuple[int, int], part: str
) -> None:
    [(line, column, message)] = problems("s.txt", content)
    assert (line, column) == position
    assert part in message


def chapters(script: Script) -> list[tuple[str, list[str]]]:
    return [(chapter.title, [line.turns[0].text for line in chapter.lines]) for chapter in script.chapters]


def speakers(script: Script) -> list[tuple[str, str, str]]:
    return [(turn.speaker, turn.voice, turn.text) for line in all_lines(script) for turn in line.turns]


BREAKS = [
    *("* * *", "***", "---", "■", "#", "* * * * *", "###", "~~~", "~", "___", "===", "+ + +", "•••", "· · ·", "⁂", "❦"),
    *(
        "◆ ◇ ◆",
        "— — —",
        "—",
        "⁎⁎⁎",
        "-o0o-",
        "oOo",
        "x x x",
        "🌊🌊🌊",
        "★",
        "<hr/>",
        "\u200b***",
        "[break]",
        ". . .",
        "[scene break]",
    ),
    *("＊　＊　＊", "───", "═══", "﹡", "⁕", "$$$", "%%%", "@", "[***]", "(***)", "\\*\\*\\*", "⋆⋅☆⋅⋆", "※", "§"),
    *("--- Scene Break ---", "*—*", "⸻", "꙳"),
]


@pytest.mark.parametrize(
    "silent", ["…", "...", "? !", "“…”", "— …", "&nbsp;", "<br/>", "()", "・・・", "!!!", "…\n…", "<!-- draft -->", "‥"]
)
def test_a_paragraph_with_nothing_to_speak_is_left_out_with_a_warning(silent: str) -> None:
    script = parsed("s.txt", f"The lamp went out.\n\n{silent}\n\nMorning came.\n")
    assert [(line.turns[0].text, line.pause_after_s) for line in all_lines(script)] == [
        ("The lamp went out.", 0),
        ("Morning came.", 0),
    ]
    assert [(warning.code, warning.position) for warning in script.warnings] == [("nothing-to-speak", Position(3, 1))]
    assert "[pause 1s]" in script.warnings[0].remedy


def test_a_turn_with_nothing_to_speak_is_left_out_with_a_warning() -> None:
    script = parsed("s.txt", "Speaker 1: Well?\nSpeaker 2: …\nSpeaker 1: Say it.\n")
    assert [text for _, _, text in speakers(script)] == ["Well?", "Say it."]
    assert [(warning.code, warning.position) for warning in script.warnings] == [("nothing-to-speak", Position(2, 1))]


@pytest.mark.parametrize("mark", BREAKS)
def test_a_scene_break_is_the_pause_of_the_line_before_it(mark: str) -> None:
    first, second = all_lines(parsed("s.txt", f"The lamp went out.\n\n{mark}\n\nMorning came.\n"))
    assert (first.turns[0].text, first.turns[0].written) == ("The lamp went out.", None)
    assert (first.pause_after_s, [pause.kind for pause in first.pauses]) == (2.0, [PauseKind.SECTION])
    assert (second.turns[0].text, second.pause_after_s) == ("Morning came.", 0.0)


def test_two_scene_breaks_in_a_row_are_one() -> None:
    first, _ = all_lines(parsed("s.txt", "One.\n***\n\n---\nTwo."))
    assert first.pause_after_s == 2.0


def test_a_scene_break_in_a_labelled_turn_is_not_spoken_and_the_speaker_continues() -> None:
    script = parsed("s.txt", "Speaker 1: One.\n* * *\nTwo.\nSpeaker 2: Three.\n***\n")
    assert speakers(script) == [
        ("Speaker 1", "carter", "One."),
        ("Speaker 1", "carter", "Two."),
        ("Speaker 2", "alice", "Three."),
    ]
    assert [line.pause_after_s for line in all_lines(script)] == [2.0, 0.0, 2.0]


def test_a_pause_before_the_first_line_is_warned_of() -> None:
    script = parsed("s.txt", "***\n\nOne.\n")
    assert chapters(script) == [("", ["One."])]
    assert [(warning.position, warning.code) for warning in script.warnings] == [(Position(1, 1), "pause")]


@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("CHAPTER ONE", "CHAPTER ONE"),
        ("Chapter 3: The Lamp", "Chapter 3: The Lamp"),
        ("Chapter 3. The Lamp", "Chapter 3. The Lamp"),
        ("Chapter 12 – The Lamp", "Chapter 12 – The Lamp"),
        ("Chapter Five The Lamp of the Sea", "Chapter Five The Lamp of the Sea"),
        ("chapter twenty-one", "chapter twenty-one"),
        ("CHAPTER XIV.", "CHAPTER XIV"),
        ("CHAPTER I.\nDown the Rabbit-Hole", "CHAPTER I: Down the Rabbit-Hole"),
        ("Part the First", "Part the First"),
        ("BOOK II", "BOOK II"),
        ("Kapitel 3: Die Lampe", "Kapitel 3: Die Lampe"),
        ("Chapitre II", "Chapitre II"),
        ("第三章 灯塔", "第三章 灯塔"),
        ("PROLOGUE", "PROLOGUE"),
        ("Epilogue: The Sea", "Epilogue: The Sea"),
        ("IV", "IV"),
        ("XII.", "XII"),
        ("# The **Lamp**", "The Lamp"),
        ("\u200b# The Lamp", "The Lamp"),
        ("## The Lamp ##", "The Lamp"),
        ("The Lamp\n========", "The Lamp"),
        ("The Lamp\n---", "The Lamp"),
        ("CHAPTER  ONE", "CHAPTER ONE"),
        ("**Chapter 1**", "Chapter 1"),
        ("__Chapter 1: The Lamp__", "Chapter 1: The Lamp"),
        ("== Chapter 1 ==", "Chapter 1"),
        ("[Chapter 1]", "Chapter 1"),
        ("- Prologue -", "Prologue"),
        ("**IV**", "IV"),
        ("Ch. 3: The Lamp", "Ch. 3: The Lamp"),
        ("Kap. 3", "Kap. 3"),
        ("1. Kapitel", "1. Kapitel"),
        ("Erstes Kapitel.", "Erstes Kapitel"),
        ("CHAPITRE PREMIER", "CHAPITRE PREMIER"),
        ("Capítulo segundo", "Capítulo segundo"),
        ("CAPITOLO TERZO: Il mare", "CAPITOLO TERZO: Il mare"),
        ("FIRST PART", "FIRST PART"),
        ("3rd Act", "3rd Act"),
        ("Luku 4", "Luku 4"),
        ("제1장", "제1장"),
    ],
)
def test_a_heading_begins_a_chapter(heading: str, title: str) -> None:
    script = parsed("s.txt", f"Before.\n\n{heading}\n\nThe lamp went out.\n")
    assert chapters(script) == [("", ["Before."]), (title, ["The lamp went out."])]
    assert not script.warnings


def test_a_heading_needs_no_blank_line_below_it() -> None:
    assert chapters(parsed("s.txt", "CHAPTER ONE\nIt was dark.\n\n# Two\nIt was light.\n")) == [
        ("CHAPTER ONE", ["It was dark."]),
        ("Two", ["It was light."]),
    ]


@pytest.mark.parametrize("numerals", [["I", "II", "III"], ["V.", "VI.", "VII."], ["1", "2", "3"], ["1.", "2.", "3."]])
def test_numerals_that_count_on_begin_chapters(numerals: list[str]) -> None:
    script = parsed("s.txt", "\n\n".join(f"{numeral}\n\nText." for numeral in numerals))
    assert [title for title, _ in chapters(script)] == [numeral.rstrip(".") for numeral in numerals]


@pytest.mark.parametrize(
    "paragraph",
    [
        "Chapter three was long and boring.",
        "Book one flight today.",
        "Part of the lamp broke.",
        "Act now!",
        "Section 3.2 applies here.",
        "It was in chapter 4.",
        "I",
        "C.",
        "MIX",
        "1",
        "7\n\n3",
        "1\n\n2\n\n3",
        "#1 keeper",
        "Introduction to the sea.",
        "Two parts\n---and a dash.",
        "The second act.",
        "the first chapter",
        "[Part of it]",
        "Second part of the night",
    ],
)
def test_a_paragraph_that_is_like_a_heading_is_spoken(paragraph: str) -> None:
    script = parsed("s.txt", f"Before.\n\n{paragraph}\n")
    assert chapters(script) == [("", ["Before.", *[" ".join(one.split()) for one in paragraph.split("\n\n")]])]


def test_headings_are_spoken_without_chapters(tmp_path: Path) -> None:
    path = write(tmp_path, "s.txt", "CHAPTER ONE\n\n# Two\n\nText.\n")
    assert chapters(parse(path, chapters=False)) == [("", ["CHAPTER ONE", "Two", "Text."])]


def test_the_heading_of_a_book_is_its_title_and_that_of_a_part_stays_with_its_first_chapter() -> None:
    script = parsed("s.txt", "# The Lamp\n\n## Part One\n\n### Dark\n\na\n\n### Light\n\nb\n")
    assert script.title == "The Lamp"
    assert chapters(script) == [("Part One, Dark", ["a"]), ("Light", ["b"])]


def test_headings_without_a_text_are_warned_of() -> None:
    script = parsed("s.txt", "CHAPTER I\n\nCHAPTER II\n\nCHAPTER III\n\na\n\nCHAPTER IV\n")
    assert [title for title, _ in chapters(script)] == ["CHAPTER III"]
    assert [(warning.position.line, warning.code) for warning in script.warnings] == [
        (1, "empty-chapter"),
        (3, "empty-chapter"),
        (9, "empty-chapter"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("Alice:", "Bob:", ["Alice", "Bob"]),
        ("ALICE:", "BOB SMITH:", ["ALICE", "BOB SMITH"]),
        ("Alice (laughing):", "Dr. Bob:", ["Alice", "Dr. Bob"]),
        ("**Alice:**", "**Bob**:", ["Alice", "Bob"]),
        ("[00:01:02] Alice:", "00:05 Bob:", ["Alice", "Bob"]),
        ("Q:", "A:", ["Q", "A"]),
        ("爱丽丝：", "鲍勃：", ["爱丽丝", "鲍勃"]),
        ("[1]:", "[2]:", ["Speaker 1", "Speaker 2"]),
        ("[S1]", "[S2]", ["Speaker 1", "Speaker 2"]),
        ("[S1]:", "[S2]:", ["Speaker 1", "Speaker 2"]),
        ("(Speaker 1)", "(Speaker 2)", ["Speaker 1", "Speaker 2"]),
        ("SPEAKER_00:", "SPEAKER_01:", ["Speaker 0", "Speaker 1"]),
        ("[SPEAKER_00]:", "[SPEAKER_01]:", ["Speaker 0", "Speaker 1"]),
        ("S1:", "S2:", ["Speaker 1", "Speaker 2"]),
        ("**Speaker 1:**", "**Speaker 2**:", ["Speaker 1", "Speaker 2"]),
        ("Speaker 0:", "Speaker 1:", ["Speaker 0", "Speaker 1"]),
        ("Speaker 01:", "Speaker 02:", ["Speaker 1", "Speaker 2"]),
        ("Speaker #1:", "Speaker #2:", ["Speaker 1", "Speaker 2"]),
        ("\u200bSpeaker 1:", "\u200eSpeaker 2:", ["Speaker 1", "Speaker 2"]),
        ("Speaker A:", "Speaker B:", ["Speaker A", "Speaker B"]),
        ("alice:", "bob:", ["alice", "bob"]),
        ("- Alice:", "- Bob:", ["Alice", "Bob"]),
        ("* Speaker 1:", "* Speaker 2:", ["Speaker 1", "Speaker 2"]),
        ("> Speaker 1:", "> Speaker 2:", ["Speaker 1", "Speaker 2"]),
        ("Speaker one:", "Speaker two:", ["Speaker one", "Speaker two"]),
        ("Speaker 1 (happy):", "Speaker 2 [00:05]:", ["Speaker 1", "Speaker 2"]),
        ("Alice [00:01]:", "Bob [00:05]:", ["Alice", "Bob"]),
        ("Speaker 1 -", "Speaker 2 –", ["Speaker 1", "Speaker 2"]),
        ("{{speaker 1}}", "{{speaker 2}}", ["Speaker 1", "Speaker 2"]),
        ("<v Alice>", "<v.loud Bob>", ["Alice", "Bob"]),
        ("spk_0:", "spk_1:", ["Speaker 0", "Speaker 1"]),
    ],
)
@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_labels_of_every_form_are_not_spoken(first: str, second: str, names: list[str], gap: str) -> None:
    script = parsed("s.txt", gap.join([f"{first} Hello there.", f"{second} Hi.", f"{first} Good bye."]))
    assert [(speaker, text) for speaker, _, text in speakers(script)] == [
        (names[0], "Hello there."),
        (names[1], "Hi."),
        (names[0], "Good bye."),
    ]
    assert len({voice for _, voice, _ in speakers(script)}) == 2
    assert not script.warnings


def test_a_label_may_stand_in_a_row_above_its_text() -> None:
    script = parsed("s.txt", "Speaker 1  0:05\nHello.\n\nSpeaker 2\nHi.\n\nSpeaker 1 [1:02:03]\nBye.\n")
    assert [(speaker, text) for speaker, _, text in speakers(script)] == [
        ("Speaker 1", "Hello."),
        ("Speaker 2", "Hi."),
        ("Speaker 1", "Bye."),
    ]


def test_labels_in_brackets_may_be_within_a_row() -> None:
    script = parsed("s.txt", "[S1] Hello. [S2] Hi.\n[S1] Bye.")
    assert [text for _, _, text in speakers(script)] == ["Hello.", "Hi.", "Bye."]


def test_bold_that_a_label_opens_may_end_with_the_turn() -> None:
    assert speakers(parsed("s.txt", "**Speaker 1: Hello.**\n\n**Speaker 2: Hi.**")) == [
        ("Speaker 1", "carter", "Hello."),
        ("Speaker 2", "alice", "Hi."),
    ]


def test_numbers_from_0_have_the_voices_of_numbers_from_1() -> None:
    assert [voice for _, voice, _ in speakers(parsed("s.txt", "Speaker 0: a\nSpeaker 1: b\nSpeaker 4: c"))] == [
        *("carter", "alice", "carter")
    ]


def test_a_speaker_named_as_a_voice_has_it() -> None:
    script = parsed("s.txt", "Bob: a\nAlice: b\nEve: c\nBob: d")
    assert [voice for _, voice, _ in speakers(script)] == ["carter", "alice", "frank", "carter"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("Alice: Hello.\n\nShe paused.\n\nAlice: Bye.\n", 1),
        ("It was dark.\n\nAlice: Hello.\nBob: Hi.\n", 3),
        ("It was dark.\n\n[1]: Hello.\n", 3),
        ("It was dark.\n\n[S1] Hello.\n", 3),
        ("It was dark.\n\nSPEAKER_00: Hello.\n", 3),
        ("Alice: Hello.\n", 1),
        ("It was night.\n\nAlice: Hello.\n\nIt was day.\n", 3),
        ("It was night.\n\nAlice: “Hello!”\n\nIt was day.\n\nBob: Hi.\n", 3),
        ("Speaker 1: Hello.\nAlice: Hi.\nSpeaker 2: Yes.\nAlice: Bye.\n", 2),
        ("[Alice] Hello.\n\n[Bob] Hi.\n", 1),
        ("ALICE. Hello.\n\nBOB. Hi.\n", 1),
        ("ALICE\nHello.\n\nBOB\nHi.\n", 1),
        ("Alice – Hello.\n\nBob – Hi.\n", 1),
        ("Alice:\n\nHello.\n\nBob:\n\nHi.\n", 1),
        ("1: Hello.\n\n2: Hi.\n\n1: Bye.\n", 1),
        ("[1] Hello.\n\n[2] Hi.\n", 1),
        ("It was dark.\n\nSpeaker 1 - Hello.\n", 3),
    ],
)
def test_labels_that_are_not_consistent_are_spoken_and_warned_of(content: str, line: int) -> None:
    script = parsed("s.txt", content)
    assert [(warning.position, warning.code) for warning in script.warnings] == [(Position(line, 1), "label")]
    assert "label" in script.warnings[0].remedy
    spoken = " ".join(texts(script))
    forms = ("Alice:", "[1]", "[S1]", "SPEAKER_00:", "[Alice]", "ALICE", "Alice –", "1:", "Speaker 1 -")
    assert any(form in spoken for form in forms)


@pytest.mark.parametrize(
    "content",
    [
        "Note: the lamp is out.\n\nIt was dark.\n",
        "Note: the lamp is out.\n\nWarning: it is dark.\n",
        "He said: no.\n\nShe said: yes.\n\nHe said: no.\n",
        "It was dark.\n\nRemember: close the door.\n\nShe left.\n",
        "The Lamp: A History\n\nIt was dark.\n",
        "It was 10:30 at night.\n\nAt 11:00 it was dark.\n",
        "Monday: bread.\n\nTuesday: soup.\n\nMonday: bread.\n",
        "eggs: three.\n\nmilk: one.\n",
        "he: no, thanks.\n\nIt was dark.\n\nhe: well.\n",
        "See the note.[1]\n\n[1]: https://example.org\n",
        "Alice left – it was dark.\n\nBob stayed – it was cold.\n",
        "NASA\nis far away.\n\nIt was dark.\n",
        "1: bread\n\n2: milk\n\n3: eggs\n\n4: salt\n\n5: tea\n",
        "[laughs] No.\n\n[sighs] Well.\n",
        "- he left\n\n- she stayed\n",
    ],
)
def test_a_colon_in_prose_makes_no_label(content: str) -> None:
    script = parsed("s.txt", content)
    assert {speaker for speaker, _, _ in speakers(script)} == {"narrator"}
    assert not script.warnings


def test_many_rows_without_a_blank_line_are_warned_of() -> None:
    script = parsed("s.txt", "The lamp went out, and nobody saw it go.\n" * 290)
    [warning] = script.warnings
    assert (warning.position, warning.code) == (Position(1, 1), "long-paragraph")
    assert "290 rows without a blank line" in warning.message
    assert "13 minutes" in warning.message
    assert "blank lines" in warning.remedy
    assert not parsed("s.txt", "The lamp went out, and nobody saw it go.\n\n" * 290).warnings


def test_more_rows_than_are_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vvbatch.script.text_script.MAX_ROWS", 50)
    assert parsed("s.txt", "a\n" * 50)
    [problem] = refused("s.txt", "a\n" * 60).problems
    assert (problem.position.line, problem.found) == (51, "more than 50 rows of text")


def test_the_examples_parse() -> None:
    lighthouse = parse(EXAMPLES / "lighthouse.yaml")
    for name in ("lighthouse.yaml", "course.csv", "podcast.txt"):
        script = parse(EXAMPLES / name)
        assert not script.warnings
        assert all(turn.written is None for line in all_lines(script) for turn in line.turns)
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
    script = parse(TEXTS / f"{name}.txt")
    found = all_lines(script)
    assert not script.warnings
    assert all(turn.written is None for line in found for turn in line.turns)
    assert len(found) == lines
    assert len({line.turns[0].speaker for line in found}) == speakers
