"""What a plan makes of pronunciations and normalisation: texts, keys, and what was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import Cli
from vvbatch.batch.plan import Overrides, Plan, PlannedLine, make_plan
from vvbatch.engine.contract import Manner, Voice
from vvbatch.script import parse
from vvbatch.speech_text.lexicon import Pronunciation


class Voices:
    def resolve(self, name: str) -> Voice:
        return Voice(name, Path(f"/voices/{name}.wav"), "f" * 64, Manner())


@pytest.fixture
def planned(tmp_path: Path) -> object:
    def plan(head: str, *texts: str, lexicon: tuple[Pronunciation, ...] = (), profile: str = "draft") -> Plan:
        file = tmp_path / "s.yaml"
        file.write_text(f"version: 1\n{head}\nlines:\n" + "".join(f"- {json.dumps(text)}\n" for text in texts))
        return make_plan(parse(file), Voices(), Overrides(profile), lexicon)

    return plan


def line(plan: Plan) -> PlannedLine:
    (only,) = plan.lines
    return only


def test_the_key_follows_what_is_spoken_and_the_ledger_keeps_what_was_written(planned) -> None:  # type: ignore[no-untyped-def]
    said = line(planned("pronounce: {Leicester: Lester}", "She lives in Leicester."))
    assert (said.text, said.written) == ("She lives in Lester.", "She lives in Leicester.")
    assert said.key == line(planned("", "She lives in Lester.")).key
    assert said.request.turns == ((0, "She lives in Lester."),)
    assert said.line == line(planned("", "She lives in Leicester.")).line  # its id is made from what was written


def test_a_line_without_the_word_keeps_its_key(planned) -> None:  # type: ignore[no-untyped-def]
    before = line(planned("", "The lamp went out."))
    entry = Pronunciation(word="Leicester", say="Lester")
    assert line(planned("", "The lamp went out.", lexicon=(entry,))).key == before.key


def test_the_lexicon_holds_for_its_language_voice_and_engine(planned) -> None:  # type: ignore[no-untyped-def]
    entries = (
        Pronunciation(word="lamp", say="lampe", language="de"),
        Pronunciation(word="went", say="wint", engine="vibevoice"),
        Pronunciation(word="out", say="owt", voice="default"),
    )
    assert line(planned("", "The lamp went out.", lexicon=entries)).text == "The lamp went owt."
    assert line(planned("language: de", "The lamp went out.", lexicon=entries)).text == "The lampe went owt."
    assert line(planned("", "The lamp went out.", lexicon=entries, profile="1.5b")).text == "The lamp wint owt."


def test_a_script_decides_how_far_numbers_are_put_into_words_and_else_the_profile(planned) -> None:  # type: ignore[no-untyped-def]
    text = "Chapter IV of the book cost £5."
    assert line(planned("", text)).text == text  # the draft profile leaves it to the voice
    assert line(planned("", text, profile="1.5b")).text == "Chapter four of the book cost £5."
    assert line(planned("normalise: off", text, profile="1.5b")).text == text
    assert line(planned("normalise: full", text)).text == "Chapter four of the book cost five pounds."


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("normalise: much", "normalise is 'much'; allowed: off, light, full"),
        ("pronounce: [a]", "a list as pronounce; pronounce is a mapping"),
        ("pronounce: {'...': x}", "word '...'; it needs a letter or a digit"),
        ("pronounce: {a: ''}", "an empty pronunciation"),
        ("pronounce: {a: x, a: y}", "the key 'a' again"),
    ],
)
def test_bad_pronunciations_and_levels_are_refused_with_their_place(head: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(f"version: 1\n{head}\nlines: [The lamp.]\n")
    with pytest.raises(Exception, match=r"s\.yaml:2:") as caught:
        parse(file)
    assert problem in str(caught.value)


def test_check_is_strict_about_warnings_if_asked(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("version: 1\nlines:\n- She said (no.\n")
    run = Cli()
    assert run("check", str(file)).exit_code == 0
    strict = run("check", str(file), "--strict", "--json", code=2)
    assert "1 warning, with --strict" in strict.stderr
    assert [each["code"] for each in json.loads(strict.stdout)["warnings"]] == ["unbalanced"]


def test_check_prints_what_each_line_says(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "version: 1\npronounce: {Leicester: Lester}\nlines:\n- {id: a, text: In Leicester.}\n- {id: b, text: No.}\n"
    )
    run = Cli()
    assert run("check", str(file), "--spoken").stdout == "a  In Lester.\n   written: In Leicester.\nb  No.\n"
    assert json.loads(run("check", str(file), "--spoken", "--json").stdout) == [
        {"id": "a", "chapter": 1, "written": "In Leicester.", "spoken": "In Lester."},
        {"id": "b", "chapter": 1, "written": "No.", "spoken": "No."},
    ]
