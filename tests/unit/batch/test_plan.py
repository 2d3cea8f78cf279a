"""Plans of scripts: keys of cleaned texts, what was written, and paragraphs that are too long for a profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vvbatch import profiles
from vvbatch.batch.plan import Overrides, Plan, make_plan
from vvbatch.engine.contract import Manner, Voice
from vvbatch.profiles import ProfileError
from vvbatch.script import ScriptError, parse
from vvbatch.script.one import one_line

PROFILE = """
title: For plans
engine: draft
model: {repo: microsoft/VibeVoice-1.5B, revision: "abc"}
device: cpu
dtype: float32
slots: 8
generation:
  cfg_scale: {golden: 1.3, min: 1.0, max: 3.0}
  steps: {golden: 10, min: 1, max: 50}
text: {max_chars: 200}
"""
PARAGRAPH = " ".join(f"This is sentence number {number}." for number in range(20))


class Voices:
    def resolve(self, name: str) -> Voice:
        return Voice(name, Path(f"/voices/{name}.wav"), "f" * 64, Manner())


@pytest.fixture(autouse=True, scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("configs")
    (folder / "small.yaml").write_text(PROFILE)
    parts = "part_words: {min: 3, best: 10, max: 20}"
    (folder / "parts.yaml").write_text(PROFILE.replace("max_chars: 200", f"max_chars: 200, {parts}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VVBATCH_CONFIGS", str(folder))
        profiles.load.cache_clear()
        yield
    profiles.load.cache_clear()


def plan_of(path: Path, content: str) -> Plan:
    path.write_text(content, encoding="utf-8")
    return make_plan(parse(path), Voices(), Overrides(profile="small"))


@pytest.mark.parametrize(
    "dirty",
    [
        "The kee\u200bper left.",
        "The \u2060keeper\u00ad left\u180e\u3164.\u200e\ufe0f",
        "The keeper left. 👨‍👩‍👧‍👦❤️🔥",
        "The **keeper** _left_.",
        "<speak>The <emphasis>keeper</emphasis> left.</speak>",
        "The kee\ufffdper left.",
        "The keeper\u00a0\u2003left.",
    ],
)
def test_a_cleaned_text_has_the_key_of_the_clean_one_and_keeps_what_was_written(tmp_path: Path, dirty: str) -> None:
    [clean] = plan_of(tmp_path / "s.txt", "The keeper left.").lines
    [line] = plan_of(tmp_path / "s.txt", dirty).lines
    assert (line.key, line.line, line.text, line.request) == (clean.key, clean.line, clean.text, clean.request)
    assert clean.written is None
    assert line.written == (None if "\u2003" in dirty else dirty)


@given(st.text(st.sampled_from("aé日. \u200b\u00ad🔥*_\ufffd"), max_size=20))
@settings(deadline=None)
def test_any_text_has_the_key_of_what_is_spoken_of_it(text: str) -> None:
    def planned(raw: str) -> Plan:
        return make_plan(one_line(raw, voice="v", seed=None), Voices(), Overrides(profile="small"))

    try:
        [line] = planned(text).lines
    except ScriptError:
        return
    [clean] = planned(line.text).lines
    assert (clean.key, clean.written) == (line.key, None)


def test_the_written_text_of_a_dialogue_is_that_of_all_turns(tmp_path: Path) -> None:
    [line] = plan_of(tmp_path / "s.yaml", 'version: 1\nlines:\n- dialogue:\n  - "Hi *you*."\n  - Yes.\n').lines
    assert (line.text, line.written) == ("Hi you. Yes.", "Hi *you*. Yes.")


@pytest.mark.parametrize("label", ["", "Speaker 1: "])
def test_a_paragraph_over_the_limit_of_its_profile_is_divided_at_ends_of_sentences(tmp_path: Path, label: str) -> None:
    plan = plan_of(tmp_path / "s.txt", f"{label}{PARAGRAPH}\n\n***\n\n{label}The end.\n")
    *parts, end = plan.lines
    assert " ".join(part.text for part in parts) == PARAGRAPH
    assert all(len(part.text) <= 200 and part.text.endswith(".") for part in parts)
    assert [part.line for part in parts] == [
        parts[0].line, *(f"{parts[0].line}-part-{number}" for number in range(2, len(parts) + 1)),
    ]  # fmt: skip
    assert [part.pause_after_s for part in parts] == [0.0] * (len(parts) - 1) + [2.0]
    assert (end.text, end.number) == ("The end.", len(parts) + 1)
    [warning] = plan.warnings
    assert (warning.code, warning.position.line) == ("divided", 1)


def test_each_part_of_a_divided_paragraph_keeps_what_was_written_of_it(tmp_path: Path) -> None:
    written = PARAGRAPH.replace("lamp", "**lamp**")
    plan = plan_of(tmp_path / "s.txt", written)
    assert len(plan.lines) > 1
    assert " ".join(part.written or part.text for part in plan.lines) == written
    assert [part.written.replace("*", "") for part in plan.lines if part.written] == [
        part.text for part in plan.lines if part.written
    ]


@pytest.mark.parametrize(("name", "form"), [("s.yaml", "version: 1\nlines:\n- {}\n"), ("s.csv", "text\n{}\n")])
def test_an_authored_line_over_the_limit_is_refused(tmp_path: Path, name: str, form: str) -> None:
    with pytest.raises(ScriptError) as caught:
        plan_of(tmp_path / name, form.format(PARAGRAPH))
    assert "at most 200" in str(caught.value)


def test_a_paragraph_without_an_end_of_a_sentence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScriptError) as caught:
        plan_of(tmp_path / "s.txt", "word " * 60)
    assert "split it into several lines" in str(caught.value)


def test_warnings_of_a_script_are_those_of_its_plan(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "s.txt", "I love it 🔥.\n")
    assert [warning.code for warning in plan.warnings] == ["emoji"]


def test_a_profile_that_does_not_exist_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("version: 1\ntitle: T\nlines: [One., Two.]\n")
    with pytest.raises(ProfileError, match=r"^unknown profile 'absent': there is .*small"):
        make_plan(parse(path), Voices(), Overrides(profile="absent"))
    path.write_text("version: 1\ntitle: T\nmodel: absent\nlines: [One., Two.]\n")
    with pytest.raises(ScriptError) as caught:
        make_plan(parse(path), Voices())
    (problem,) = caught.value.problems
    assert problem.found == "unknown profile 'absent'" and "small" in problem.allowed


def test_a_line_in_another_language_than_its_script_is_warned_of(tmp_path: Path) -> None:
    text = "title: T\nversion: 1\nlanguage: en\nlines: [The lamp went out., Bonjour tout le monde et merci à tous.]\n"
    path = tmp_path / "s.yaml"
    path.write_text(text)
    (warning,) = make_plan(parse(path), Voices(), Overrides(profile="small")).warnings
    assert (warning.code, warning.position.line) == ("other-language", 4)
    assert "'fr'" in warning.message and "'en'" in warning.message


def test_the_language_of_the_command_line_reaches_every_request_and_changes_no_key(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("text\nParis.\n")
    script = parse(tmp_path / "s.csv")
    (plain,) = make_plan(script, Voices(), Overrides(profile="small")).lines
    (french,) = make_plan(script, Voices(), Overrides(profile="small", language="fr")).lines
    assert (plain.request.language, french.request.language) == (None, "fr")
    assert plain.key == french.key


def parts_plan(path: Path, content: str, *, whole_lines: bool = False) -> Plan:
    path.write_text(content, encoding="utf-8")
    return make_plan(parse(path), Voices(), Overrides(profile="parts", whole_lines=whole_lines))


def test_a_line_longer_than_the_profile_allows_is_planned_in_parts(tmp_path: Path) -> None:
    content = f"version: 1\nlines:\n  - {{id: long, text: {PARAGRAPH}}}\n  - {{id: b, text: The end.}}\n"
    with pytest.raises(ScriptError, match="at most 200 with model small"):
        plan_of(tmp_path / "s.yaml", content)
    lines = parts_plan(tmp_path / "s.yaml", content).lines
    assert len(lines) > 5
    assert " ".join(line.text for line in lines) == f"{PARAGRAPH} The end."
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert [(line.line, line.part_of, line.part) for line in lines] == [
        *((f"long~{number}", "long", number) for number in range(1, len(lines))),
        ("b", None, None),
    ]


def test_a_part_has_the_key_of_an_equal_line_and_other_parts_keep_theirs(tmp_path: Path) -> None:
    script = "version: 1\nlines:\n  - {}\n"
    before = parts_plan(tmp_path / "s.yaml", script.format(PARAGRAPH)).lines
    alone = parts_plan(tmp_path / "t.yaml", script.format(before[2].text)).lines
    assert [line.key for line in alone] == [before[2].key]
    after = parts_plan(
        tmp_path / "s.yaml", script.format(PARAGRAPH.replace("This is sentence number 9", "Edited"))
    ).lines
    assert len({line.key for line in after} - {line.key for line in before}) == 1


def test_a_problem_of_a_line_in_parts_is_reported_once(tmp_path: Path) -> None:
    content = f"version: 1\nlines:\n  - {{text: {PARAGRAPH}, steps: 90}}\n"
    with pytest.raises(ScriptError) as caught:
        parts_plan(tmp_path / "s.yaml", content)
    assert [problem.found for problem in caught.value.problems] == ["steps 90"]


def test_no_line_is_divided_where_whole_lines_are_asked_for(tmp_path: Path) -> None:
    text = " ".join(f"Word {number}." for number in range(12))
    content = f"version: 1\nlines:\n  - {text}\n"
    assert len(parts_plan(tmp_path / "s.yaml", content).lines) > 1
    assert len(parts_plan(tmp_path / "s.yaml", content, whole_lines=True).lines) == 1


def test_each_line_knows_where_its_text_begins_in_the_script(tmp_path: Path) -> None:
    yaml = "version: 1\nlines:\n- The lamp went out.\n- text: No one answered.\n  id: second\n"
    assert [(line.script_line, line.script_column) for line in plan_of(tmp_path / "s.yaml", yaml).lines] == [
        (3, 3),
        (4, 9),
    ]
    [first, second] = plan_of(tmp_path / "s.csv", "id,text\na,The lamp went out.\nb,No one answered.\n").lines
    assert (first.script_line, second.script_line) == (2, 3)
