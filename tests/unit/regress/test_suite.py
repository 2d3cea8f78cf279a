"""A suite's file is read as strictly as a script, and every problem has its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vvbatch import profiles
from vvbatch.batch.plan import make_plan
from vvbatch.home import Home
from vvbatch.regress import suite
from vvbatch.regress.suite import Limit, SuiteError, find, load, names
from vvbatch.script import ScriptError
from vvbatch.voices import Library


def written(tmp_path: Path, **keys: object) -> str:
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps({"version": 1, "lines": ["One line."], **keys}))
    return str(file)


def test_the_shipped_suites_are_good_and_the_draft_one_has_fifty_lines(home: Path) -> None:
    assert names() == ["1.5b", "draft"]
    library = Library.of(Home.from_environment())
    for name in names():
        loaded = load(name)
        assert make_plan(loaded.script, library).profiles == [name]
    assert sum(len(chapter.lines) for chapter in load("draft").script.chapters) == 50


def test_a_suite_holds_lines_or_names_a_script_beside_it(tmp_path: Path) -> None:
    own = load(written(tmp_path, limits={"rate": {"worse": 0.2}}, keep_nights=3))
    assert (own.name, own.settings.limits.rate, own.settings.keep_nights) == ("mine", Limit(worse=0.2), 3)
    (tmp_path / "book.txt").write_text("First.\n\nSecond.\n")
    file = tmp_path / "other.yaml"
    file.write_text("version: 1\nscript: book.txt\n")
    assert len(load(str(file)).script.chapters[0].lines) == 2


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"limit": {}}, "unknown key 'limit' in the suite, did you mean 'limits'?"),
        ({"lines": []}, "empty lines"),
        ({"lines": [{"text": "One.", "voise": "carter"}]}, "voise"),
        ({"script": "book.txt"}, "both script and lines"),
        ({"limits": {"rates": {}}}, "rates"),
        ({"limits": {"rate": {"worse": -1}}}, "rate: 0 or more"),
        ({"limits": {"rate": {"worse": 0.1, "changed": 0.2}}}, "changed 0.2 is beyond worse 0.1"),
        ({"limits": {"rate": {"worse": "much"}}}, "float"),
        ({"shifts": {"rate": -0.1}}, "rate -0.1"),
        ({"speed": {"nights": "five"}}, "int"),
        ({"keep_nights": 0}, "keep_nights 0: at least 1"),
        ({"listen": "words"}, "array"),
        ({"listen": ["words", "smell"]}, "smell"),
    ],
)
def test_an_invalid_suite_is_refused_with_the_reason(tmp_path: Path, keys: dict[str, object], message: str) -> None:
    with pytest.raises((SuiteError, ScriptError)) as error:
        load(written(tmp_path, **keys))
    assert message in str(error.value)


def test_a_script_that_is_not_there_and_a_file_that_is_no_mapping_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("version: 1\nscript: nothing.yaml\n")
    with pytest.raises(ScriptError, match=r"mine\.yaml:2:1: script 'nothing.yaml'; no such file"):
        load(str(file))
    file.write_text("- a\n")
    with pytest.raises(ScriptError):
        load(str(file))


@pytest.mark.parametrize("word", ["nope", "../configs/draft", "", "a b.yaml", "/etc/passwd"])
def test_a_suite_that_is_not_there_is_reported(word: str) -> None:
    with pytest.raises((SuiteError, ScriptError)):
        load(word)


def test_own_suites_come_before_the_bundled_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VVBATCH_CONFIGS", str(tmp_path))
    (tmp_path / "regress").mkdir()
    mine = tmp_path / "regress" / "draft.yaml"
    mine.write_text("version: 1\nlines: [Mine.]\n")
    assert find("draft") == mine and find("1.5b") == profiles.bundled("configs") / "regress" / "1.5b.yaml"
    assert suite.folders()[0] == mine.parent
