from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from vvbatch.script import parse
from vvbatch.speech_text.lint import of_length, of_part, of_text, unclosed


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Yes.", ["few-words"]),
        ("Come with me.", ["few-words"]),
        ("我在北京住", []),
        ("Welcome to the lighthouse, everyone.", ["greeting"]),
        ("Hello everyone, and welcome back to the show tonight.", ["greeting"]),
        ("The welcome was warm in all the houses.", []),
        ("He said... nothing at all of it.", []),
        ("He waited for her by the door…", ["dots"]),
        ("He... he waited for... for her.", ["dots"]),
        ("Stop!!! Now listen to me.", ["exclamation"]),
        ("Is it?! I think so here.", []),
        ("GO TO THE END of it all.", ["capitals"]),
        ("NASA and the FBI met here today.", []),
    ],
)
def test_what_vibevoice_speaks_badly_has_a_code(text: str, codes: list[str]) -> None:
    assert [finding.code for finding in of_text(text)] == codes


def test_a_take_of_fewer_words_than_a_part_has_is_found() -> None:
    assert [finding.code for finding in of_part("She walked along the pier.", 12)] == ["short-line"]
    assert not list(of_part("She walked along the pier in the rain until the lamp came on.", 12))
    assert not list(of_part("Yes, she said.", 12))  # few-words


def test_a_take_of_more_than_a_thousand_words_is_found() -> None:
    assert [finding.code for finding in of_length("word " * 1001)] == ["many-words"]
    assert not list(of_length("word " * 1000))


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["“Hello,” he said."], []),
        (["“One", "“two”"], []),  # a quotation over two paragraphs
        (["“One", "two"], [(0, "“ is not closed")]),
        (['He said "yes" and "no'], [(0, '" is not closed')]),
        (["„Gut“, sagte er."], []),
        (["»Gut«, sagte er."], []),
        (["« Bon », dit-il."], []),
        (["”Hej”, sa han."], []),
        (["1) first (really)"], []),
        (["a (b"], [(0, "( is not closed")]),
        (["yes« he"], [(0, "« is not closed")]),
    ],
)
def test_a_quotation_or_bracket_without_its_other_half_is_found(texts: list[str], found: list[tuple[int, str]]) -> None:
    assert [(index, finding.message) for index, finding in unclosed(texts)] == found


@given(st.lists(st.text(), max_size=4))
def test_any_texts_are_looked_through(texts: list[str]) -> None:
    for _, finding in unclosed(texts):
        assert finding.remedy
    for text in texts:
        assert all(finding.message for finding in of_text(text))


def test_a_speaker_who_speaks_no_line_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("version: 1\nspeakers: {mara: alice, ghost: frank}\nlines:\n- mara: Who is there?\n")
    (warning,) = parse(file).warnings
    assert (warning.code, warning.position.line) == ("unused-speaker", 2)
    assert warning.message == "speaker 'ghost' speaks no line"


def test_the_page_names_every_code() -> None:
    codes: set[str] = set()
    for path in ("vvbatch/speech_text/lint.py", "vvbatch/voices/quality.py", "vvbatch/script", "vvbatch/batch/plan.py"):
        files = [ROOT / path] if path.endswith(".py") else sorted((ROOT / path).glob("*.py"))
        for file in files:
            source = file.read_text()
            codes |= set(re.findall(r'(?:Finding|Flaw|Note)\(\s*"([a-z-]+)"', source))
            codes |= set(re.findall(r'warn\(\s*[^,"]+,\s*"([a-z-]+)"', source))
            codes |= set(re.findall(r'ScriptWarning\([^,"]+,\s*"([a-z-]+)"', source))
    page = (ROOT / "docs" / "lint.md").read_text()
    listed = set(re.findall(r"^\| `([a-z-]+)`", page, re.MULTILINE))
    assert {"few-words", "greeting", "voice-short", "unused-speaker", "language", "hyphen"} <= codes
    assert codes <= listed
