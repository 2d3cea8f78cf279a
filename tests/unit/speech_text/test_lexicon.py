from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import Cli
from vvbatch.home import Home, HomeError
from vvbatch.speech_text.lexicon import FILE, LexiconError, Pronunciation, add, load, remove, says


def test_an_entry_is_kept_replaced_and_removed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert load(home) == ()
    assert add(home, Pronunciation(word=" Siobhan ", say="Shi  vawn")) is None
    assert add(home, Pronunciation(word="Siobhan", say="Shivawn")).say == "Shi vawn"
    add(home, Pronunciation(word="Siobhan", say="Schiwoon", language="de"))
    assert [(entry.say, entry.language) for entry in load(home)] == [("Shivawn", None), ("Schiwoon", "de")]
    assert [entry.language for entry in remove(home, "Siobhan", language="de")] == ["de"]
    assert len(remove(home, "Siobhan")) == 1
    with pytest.raises(LexiconError, match="no entry for 'Siobhan'"):
        remove(home, "Siobhan")


def test_the_nearest_entry_holds_and_the_scripts_own_goes_before_all() -> None:
    entries = [
        Pronunciation(word="read", say="any"),
        Pronunciation(word="read", say="english", language="en"),
        Pronunciation(word="read", say="engine", engine="draft"),
        Pronunciation(word="read", say="voice", voice="mara"),
    ]

    def said(spoken: str, voice: str, engine: str, own: dict[str, str] | None = None) -> str:
        return says(reversed(entries), own or {}, spoken, voice, engine)["read"]

    assert said("de", "frank", "vibevoice") == "any"
    assert said("en-GB", "frank", "vibevoice") == "english"
    assert said("en", "frank", "draft") == "engine"
    assert said("en", "mara", "draft") == "voice"
    assert said("en", "mara", "draft", {"read": "own"}) == "own"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("- {word: a}", "required field `say`"),
        ("- {word: a, say: b, tone: c}", "unknown field `tone`"),
        ("word: a", "Expected `array`"),
        ("- {word: a, say: b}\n- {word: a, say: c}", "twice"),
        ("- {word: '...', say: b}", "need a letter or a digit"),
        ("- {word: a, say: b, language: '!'}", "language '!'"),
        ("- {word: a, say: b, engine: other}", "unknown engine 'other'"),
        ("- [", "while parsing"),
        ("\xff", "codec"),
        ("[" * 5000, ""),
    ],
)
def test_a_bad_lexicon_is_refused_with_its_file_and_the_reason(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content.encode("latin-1"))
    with pytest.raises(HomeError) as caught:
        load(Home(tmp_path))
    assert str(tmp_path / FILE) in str(caught.value) and reason in str(caught.value)


def test_the_commands_add_list_check_and_remove(home: Path, tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("version: 1\nlines:\n- She met Siobhan and the FBI.\n- Siobhan left.\n")
    run = Cli()
    assert "Siobhan is spoken as Shivawn" in run("lexicon", "add", "Siobhan", "Shivawn").stdout
    assert json.loads(run("lexicon", "list", "--json").stdout) == [
        {"word": "Siobhan", "say": "Shivawn", "language": None, "voice": None, "engine": None}
    ]
    checked = json.loads(run("lexicon", "check", str(script), "--json").stdout)
    assert checked["used"] == [{"word": "Siobhan", "lines": 2}]
    assert checked["candidates"] == [{"word": "FBI", "count": 1, "why": "capitals"}]
    assert run("lexicon", "remove", "Siobhan").stdout == "removed 1 pronunciation of Siobhan\n"
    assert run("lexicon", "list").stdout == "the lexicon is empty: vvbatch lexicon add WORD SAY\n"
