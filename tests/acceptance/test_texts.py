"""Texts as people have them: what is spoken of them, what is warned of, and names that are not UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_bad_input import queued
from tests.conftest import Shell
from vvbatch import audio

pytestmark = pytest.mark.slow

BOOK = """CHAPTER ONE

The key\u200bper **left**. 🔥

* * *

It was dark. [pause 1.5s] Very dark.

Chapter 2: The Lamp

Light-
house keepers sleep.
"""


def test_check_shows_chapters_and_warnings_with_their_places(shell: Shell, home: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(BOOK, encoding="utf-8")
    view = shell.json("check", str(book), "--model", "ready")
    assert (view["lines"], view["chapters"], view["chapter_titles"]) == (4, 2, ["CHAPTER ONE", "Chapter 2: The Lamp"])
    assert [(each["line"], each["column"], each["code"]) for each in view["warnings"]] == [
        (3, 13, "markup"),
        (3, 23, "emoji"),
        (11, 1, "hyphen"),
    ]
    assert set(view["warnings"][0]) == {"file", "line", "column", "code", "message", "remedy"}
    assert {each["file"] for each in view["warnings"]} == {str(book)}
    shown = shell("check", str(book), "--model", "ready").stdout
    assert "Chapter 2: The Lamp" in shown
    assert f"{book}:3:23: warning: pictures in a text are not spoken: 🔥" in shown
    spoken = shell.json("check", str(book), "--model", "ready", "--no-chapters")
    assert (spoken["lines"], spoken["chapters"], spoken["chapter_titles"]) == (6, 1, [""])


def test_a_cleaned_text_is_served_from_the_clean_one_and_the_ledger_has_both(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    pytest.importorskip("piper")
    clean, dirty = tmp_path / "clean.txt", tmp_path / "dirty.txt"
    clean.write_text("The keeper left.\n\nIt was dark.\n", encoding="utf-8")
    dirty.write_text("The kee\u200bper *left*. 🔥\n\n* * *\n\nIt was dark.\n", encoding="utf-8")
    assert shell.json("run", str(clean), "--model", "draft")["counts"]["done"] == 2
    done = shell("run", str(dirty), "--model", "draft", "--json")
    assert "pictures in a text are not spoken: 🔥" in done.stderr
    [first, _] = shell.json("ledger", "lines", "last")
    assert (first["state"], first["text"], first["spoken"], first["written"]) == (
        "cached",
        "The keeper left.",
        "The keeper left.",
        "The kee\u200bper *left*. 🔥",
    )
    takes = shell.json("ledger", "takes")
    assert {(take["text"], take["spoken"], take["written"]) for take in takes} == {
        ("The keeper left.", "The keeper left.", "The keeper left."),
        ("It was dark.", "It was dark.", "It was dark."),
    }
    pauses = shell.json("ledger", "query", "SELECT pause_after_s, written FROM lines ORDER BY created_at, number")
    assert [row["pause_after_s"] for row in pauses] == [0.0, 0.0, 2.0, 0.0]
    assert [row["written"] for row in pauses] == [None, None, "The kee\u200bper *left*. 🔥", None]


def test_warnings_of_submit_are_few_and_name_the_lines_of_the_others(shell: Shell, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("So 🔥.\n\n" * 9, encoding="utf-8")
    done = shell("submit", str(path), "--model", "ready")
    assert done.stderr.count("warning: pictures") == 1
    assert "and 8 more of this kind (emoji): line 3, 5, 7," in done.stderr


def test_a_text_that_begins_with_a_dash_is_spoken_after_two_dashes(shell: Shell, home: Path) -> None:
    for text in ("-20 degrees outside.", "--20 degrees", "- Hello."):
        said = shell("synth", text, code=2).stderr
        assert "put -- before a text that begins with a dash" in said
        assert "Traceback" not in said
    pytest.importorskip("piper")
    done = shell("synth", "--model", "draft", "--json", "--", "-20 degrees outside.")
    assert json.loads(done.stdout)["counts"]["done"] == 1


@pytest.mark.parametrize("name", ["one.m4a", "one.txt", "one.opus"])
def test_an_output_file_of_a_kind_that_is_not_written_is_refused(
    shell: Shell, home: Path, tmp_path: Path, name: str
) -> None:
    said = shell("synth", "Hello.", "--out", str(tmp_path / name), code=2).stderr
    assert f"is written: {name!r}; allowed: .wav, .wave, .flac, .mp3, .ogg" in " ".join(said.split())
    assert not (tmp_path / name).exists()
    assert queued(home) == 0


def test_synth_writes_the_format_that_the_name_of_the_file_says(shell: Shell, home: Path, tmp_path: Path) -> None:
    pytest.importorskip("piper")
    lengths = set()
    for name, start in (("one.mp3", b"\xff\xf3"), ("one.FLAC", b"fLaC"), ("one.ogg", b"OggS"), ("one.wav", b"RIFF")):
        shell("synth", "Hello.", "--model", "draft", "--out", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(start)
        lengths.add(audio.read(tmp_path / name)[0].shape)
    assert len(lengths) == 1


def in_bytes(folder: bytes | Path, *words: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    argv: Sequence[Any] = [sys.executable, "-m", "vvbatch", *words]
    env = {**os.environ, **environment}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, timeout=120, check=False)


BAD = b"caf\xe9"


@pytest.mark.skipif(sys.platform == "darwin", reason="the file system takes UTF-8 only")
@pytest.mark.parametrize("locale", ["C.UTF-8", "C", "POSIX"])
@pytest.mark.parametrize(
    "words",
    [
        ["run", BAD + b".txt"],
        ["run", "good.txt", "--out", BAD],
        ["submit", BAD + b".txt", "--json"],
        ["submit", "good.txt", b"--out=" + BAD],
        ["check", BAD + b".txt", "--json"],
        ["check", BAD + b".txt"],
        ["qc", BAD + b".wav", "--json"],
        ["synth", BAD],
        ["synth", "Hello.", "--out", BAD + b".wav"],
    ],
)
def test_a_name_that_is_not_utf_8_is_refused_in_one_sentence(
    home: Path, tmp_path: Path, words: list[str | bytes], locale: str
) -> None:
    for name in (b"good.txt", BAD + b".txt", BAD + b".wav"):
        (tmp_path / os.fsdecode(name)).write_text("Hello.\n")
    done = in_bytes(tmp_path, *words, LC_ALL=locale)
    assert done.returncode == 2
    assert done.stdout == b""
    [sentence] = done.stderr.decode().splitlines()
    assert "caf\\xe9" in sentence
    assert "is not UTF-8: rename it" in sentence
    assert queued(home) == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="the file system takes UTF-8 only")
@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_a_working_folder_that_is_not_utf_8_is_refused_where_files_would_go_into_it(
    home: Path, tmp_path: Path, locale: str
) -> None:
    folder = tmp_path / os.fsdecode(BAD)
    folder.mkdir()
    (folder / "good.txt").write_text("Hello.\n")
    for words, environment in (
        (["run", "good.txt", "--model", "ready", "--out", "out"], {}),
        (["check", "good.txt", "--json"], {"VVBATCH_HOME": "home"}),
    ):
        done = in_bytes(folder, *words, LC_ALL=locale, **environment)
        assert done.returncode == 2
        [sentence] = done.stderr.decode().splitlines()
        assert "caf\\xe9" in sentence
        assert "is not UTF-8" in sentence
    assert queued(home) == 0
    assert in_bytes(folder, "check", "good.txt", "--json", LC_ALL=locale).returncode == 0


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_a_name_in_utf_8_works_in_every_locale(home: Path, tmp_path: Path, locale: str) -> None:
    (tmp_path / "Leuchttürme 灯.txt").write_text("Hello.\n")
    done = in_bytes(
        tmp_path, "submit", "Leuchttürme 灯.txt", "--model", "ready", "--out", "Öl", "--json", LC_ALL=locale
    )
    assert done.returncode == 0
    assert "Leuchttürme 灯.txt" in done.stdout.decode()
    assert queued(home) == 1


def test_lines_that_the_voice_cannot_speak_fail_at_once_and_leave_the_worker_to_the_others(
    shell: Shell, tmp_path: Path
) -> None:
    pytest.importorskip("piper")
    path = tmp_path / "s.txt"
    path.write_text("你好世界。\n\nДа, мир.\n\nשלום לכולם.\n\nמחר.\n\nThe lamp went out.\n", encoding="utf-8")
    done = shell("run", str(path), "--model", "draft", "--json", code=1)
    lines = json.loads(done.stdout)["lines"]
    assert [line["state"] for line in lines] == ["failed"] * 4 + ["done"]
    assert all("choose another profile" in line["error"] for line in lines[:4])
    assert "restarting" not in done.stderr
    assert len(shell.json("ledger", "takes")) == 5  # none is tried again
