"""Ids of lines, and properties that hold for every script and every file."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.script_files import all_lines, parsed, problems, refused, texts
from vvbatch.script import Script, ScriptError, did_you_mean, ids
from vvbatch.script.model import Refused
from vvbatch.script.speech import Said, speech_of


def speakable(text: str) -> bool:
    """Whether a text is read alike in every format: what is between rows or words depends on the format."""
    if "\n" in text and any(char in text for char in "-,;"):
        return False
    try:
        return bool(speech_of(text).parts)
    except Refused:
        return False


WORDS = st.text(st.sampled_from("abcdé ,;:\"'#-[]{}&*!|>%@`\n日1"), max_size=20).filter(speakable)
LINES = st.lists(st.tuples(st.sampled_from(["narrator", "mara", "no", "1"]), WORDS), min_size=1, max_size=6)


def yaml_of(lines: list[tuple[str, str]], **options: Any) -> str:
    speakers = {speaker: {"voice": "alice"} for speaker in ("mara", "no", "1")}
    script = {"version": 1, "speakers": speakers, "lines": [{speaker: text} for speaker, text in lines]}
    written: str = yaml.safe_dump(script, allow_unicode=True, **options)
    return written


def csv_of(lines: list[tuple[str, str]], delimiter: str = ",") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows([("speaker", "text"), *lines])
    return out.getvalue()


def ids_of(script: Script) -> list[str]:
    return [line.id for line in all_lines(script)]


@pytest.mark.slow
@given(LINES)
@settings(deadline=None)
@example([("narrator", "1\n> ")])
def test_a_script_in_yaml_and_in_csv_has_the_same_lines_and_ids(lines: list[tuple[str, str]]) -> None:
    expected = [
        (speaker, part.spoken) for speaker, text in lines for part in speech_of(text).parts if isinstance(part, Said)
    ]
    scripts = [parsed("s.csv", csv_of(lines, delimiter)) for delimiter in ",;\t"]
    scripts += [parsed("s.yaml", yaml_of(lines)), parsed("s.yml", yaml_of(lines, default_flow_style=True, width=30))]
    for script in scripts:
        assert [(turn.speaker, turn.text) for line in all_lines(script) for turn in line.turns] == expected
        assert ids_of(script) == ids_of(scripts[0])


@pytest.mark.slow
@given(LINES, st.data())
@settings(deadline=None)
def test_inserting_a_line_renames_no_other(lines: list[tuple[str, str]], data: st.DataObject) -> None:
    before = ids_of(parsed("s.csv", csv_of(lines)))
    at = data.draw(st.integers(0, len(lines)))
    new = data.draw(st.tuples(st.sampled_from(["narrator", "mara"]), st.just("A line that was not there.")))
    after = ids_of(parsed("s.csv", csv_of([*lines[:at], new, *lines[at:]])))
    assert after[:at] + after[at + 1 :] == before
    assert len(set(after)) == len(after)


@pytest.mark.slow
@given(LINES, st.data())
@settings(deadline=None)
def test_editing_a_line_renames_no_line_with_another_text(lines: list[tuple[str, str]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(lines) - 1))
    edited = [*lines[:at], (lines[at][0], "Other words."), *lines[at + 1 :]]
    old, new = parsed("s.csv", csv_of(lines)), parsed("s.csv", csv_of(edited))
    changed = texts(old)[at]
    kept = [(a.id, b.id) for a, b in zip(all_lines(old), all_lines(new), strict=True) if a.turns[0].text != changed]
    assert all(a == b for a, b in kept)


def test_a_repeated_text_gets_another_id_in_its_chapter_and_in_another_one() -> None:
    found = ids_of(parsed("s.csv", "chapter,text\nOne,Hello.\nOne,Hello.\nTwo,Hello.\n"))
    assert len(set(found)) == 3
    assert found[0] == ids_of(parsed("t.csv", "chapter,text\nOne,Hello.\n"))[0]


def test_a_generated_id_is_short_and_a_valid_given_id() -> None:
    [one] = ids_of(parsed("s.txt", "Hello.\n"))
    assert len(one) == 10
    assert ids_of(parsed("s.csv", f"id,text\n{one},Other words.\n")) == [one]


def test_a_generated_id_avoids_a_given_one() -> None:
    [one] = ids_of(parsed("s.csv", "text\nHello.\n"))
    first, second = ids_of(parsed("s.csv", f"id,text\n,Hello.\n{one.upper()},Other words.\n"))
    assert second == one.upper()
    assert first != one


def test_generated_ids_that_collide_are_made_unique(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_digest", lambda content, salt: f"same{salt[1]}")
    assert ids_of(parsed("s.txt", "a\n\nb\n\nc\n")) == ["same0", "same1", "same2"]


def test_a_line_with_a_given_id_does_not_count_as_a_repetition() -> None:
    [one] = ids_of(parsed("s.csv", "text\nHello.\n"))
    assert ids_of(parsed("s.csv", "id,text\nmine,Hello.\n,Hello.\n")) == ["mine", one]


@pytest.mark.parametrize(
    "wrong",
    [
        *("../x", "a/b", "a\\b", "-a", ".a", "_a", "a.", "a b", "é", "🎉", "a" * 65, "a" * 300, "a\u0301"),
        *("con", "NUL", "Com1", "lpt9.txt", "aux.tar.gz", "prn"),
    ],
)
def test_an_id_that_is_unsafe_in_file_names_is_refused(wrong: str) -> None:
    [(line, column, message)] = problems(
        "s.yaml", f"version: 1\nlines:\n- id: {json.dumps(wrong, ensure_ascii=False)}\n  text: a\n"
    )
    assert (line, column) == (3, 7)
    assert "allowed: " in message


@pytest.mark.parametrize("good", ["a", "0", "ch1-003", "A_b.c-d", "a" * 64, "console", "com10", "nulls"])
def test_an_id_that_is_safe_in_file_names_is_kept(good: str) -> None:
    assert ids_of(parsed("s.csv", f"id,text\n{good},a\n")) == [good]


def test_a_title_may_contain_any_characters_but_control_characters() -> None:
    title = "../é 🎉/con?"
    script = parsed("s.yaml", f"version: 1\ntitle: {title}\nchapters: [{{title: {title}, lines: [a]}}]\n")
    assert (script.title, script.chapters[0].title) == (title, title)


def test_did_you_mean_ignores_case_and_suggests_nothing_distant() -> None:
    assert did_you_mean("Alcie", ["alice", "carter"]) == ", did you mean 'alice'?"
    assert did_you_mean("xyz", ["alice", "carter"]) == ""
    assert did_you_mean("a" * 100_000, ["alice"]) == ""


def check_anything(name: str, content: bytes) -> None:
    """The content is a script, or a ScriptError whose positions lie in the file."""
    try:
        script = parsed(name, content)
    except ScriptError as error:
        assert error.problems
        lines = error.source.split("\n")
        for problem in error.problems:
            assert 1 <= problem.position.line <= len(lines)
            assert 1 <= problem.position.column <= len(lines[problem.position.line - 1]) + 1
            assert problem.found
            assert problem.allowed
        assert str(error)
    else:
        found = ids_of(script)
        assert found
        assert len({one.casefold() for one in found}) == len(found)
        assert all(text == " ".join(text.split()) for text in texts(script))


NAMES = st.sampled_from(["s.yaml", "s.csv", "s.tsv", "s.txt"])
PIECES = [
    *(
        "version: 1\n",
        "lines:\n",
        "chapters:\n",
        "speakers:\n",
        "- ",
        "  ",
        "text",
        "title",
        "dialogue",
        ": ",
        "[",
        "]",
    ),
    *(
        "{",
        "}",
        ", ",
        ";",
        "\t",
        '"',
        "'",
        "\n",
        "\r\n",
        "a",
        "mara",
        "1",
        "0.5",
        "null",
        "|",
        ">",
        "&a ",
        "*a",
        "!!str ",
    ),
    *("?", "---\n", "...\n", "#", "%", "\\", "\\ud800", "\\U99999999", "\x00", "\x1b", "é", "\u2028", "\ufeff", "😀"),
    *("id", "speaker", "voice", "seed", "takes", "sep=;\n", "Speaker 1:", "Speaker 0:", "con", "\x85", "defaults: "),
]


@given(NAMES, st.binary(max_size=200))
@example("s.yaml", b"\xff\xfe")
@example("s.csv", b"\xef\xbb\xbf\xef\xbb\xbf")
@settings(deadline=None)
def test_any_bytes_are_a_script_or_a_script_error(name: str, content: bytes) -> None:
    check_anything(name, content)


@given(NAMES, st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.sampled_from(["utf-8", "utf-16"]))
@settings(max_examples=300, deadline=None)
def test_any_pieces_of_a_script_are_a_script_or_a_script_error(name: str, content: str, encoding: str) -> None:
    check_anything(name, content.encode(encoding))


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@settings(max_examples=300, deadline=None)
def test_the_loader_without_c_raises_nothing_but_script_errors(content: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vvbatch.script.nodes.LOADER", yaml.SafeLoader)
        check_anything("s.yaml", ("version: 1\nlines:\n- a\n- " + content).encode())


def test_a_copy_of_a_script_error_has_the_same_text() -> None:
    error = refused("s.txt", "…\n")
    assert str(ScriptError(error.path, error.problems, error.source)) == str(error)
