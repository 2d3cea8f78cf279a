"""Bad input gets a clear error and the right exit code; nothing is queued, nothing is lost."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Shell
from vvbatch.ledger.migrations import MIGRATIONS


def queued(home: Path) -> int:
    file = home / "ledger.sqlite3"
    if not file.exists():
        return 0
    with sqlite3.connect(file) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'batches'").fetchone()[0]
        return connection.execute("SELECT count(*) FROM batches").fetchone()[0] if tables else 0


def yaml(path: Path, **top: object) -> Path:
    path.write_text(json.dumps({"version": 1, "model": "ready", **top}))
    return path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"text": "Hello there.", "voice": "absent"}, ["unknown voice 'absent'", "carter"]),
        ({"text": "Hello there.", "voice": "alise"}, ["did you mean 'alice'?"]),
        ({"text": "Hello there.", "speaker": "absent"}, ["absent", "narrator"]),
        ({"text": "Hello there.", "model": "9b"}, ["9b", "draft"]),
        ({"text": "Hello there.", "mood": "sad"}, ["mood", "text"]),
        ({"text": ""}, ["empty text"]),
        ({"text": "word " * 500}, ["2,499 characters", "at most 2,000"]),
        ({"text": "Hello there.", "cfg_scale": 9.5}, ["cfg_scale 9.5", "1 to 3"]),
        ({"text": "Hello there.", "id": "../../etc/passwd"}, ["../../etc/passwd", "allowed"]),
        ({"text": "Hello there.", "id": "a/b"}, ["a/b", "allowed"]),
        ({"text": "Hello there.", "id": "nul\u0000byte"}, ["allowed"]),
        ({"text": "Hello there.", "id": "CON"}, ["CON", "Windows"]),
        ({"text": "Hello there.", "id": "x" * 300}, ["allowed"]),
        ({"text": "Hello there.", "id": "\N{SPARKLES}"}, ["allowed"]),
    ],
)
def test_a_bad_line_is_refused_with_its_place_and_what_is_allowed(
    shell: Shell, home: Path, tmp_path: Path, line: str | dict[str, Any], words: list[str]
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        json.dumps({"version": 1, "model": "ready", "lines": ["A good line first.", line]}, ensure_ascii=False)
    )
    done = shell("submit", str(path), code=2)
    assert f"{path}:1:" in done.stderr
    assert "^" in done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert queued(home) == 0


def test_ids_that_differ_only_in_case_are_refused(shell: Shell, home: Path, tmp_path: Path) -> None:
    path = yaml(tmp_path / "twins.yaml", lines=[{"text": "One.", "id": "Intro"}, {"text": "Two.", "id": "intro"}])
    assert "the same as" in shell("submit", str(path), code=2).stderr
    assert queued(home) == 0


def test_all_problems_of_all_scripts_are_reported_at_once_and_nothing_is_queued(
    shell: Shell, home: Path, tmp_path: Path, script: Callable[..., Path]
) -> None:
    good = script("A good line.")
    first = yaml(tmp_path / "first.yaml", lines=[{"text": "Hi there.", "voice": "absent"}, {"text": ""}])
    second = yaml(tmp_path / "second.yaml", lines=[{"text": "Hi there.", "steps": 1000}])
    said = shell("submit", str(good), str(first), str(second), code=2).stderr
    assert "absent" in said
    assert "empty text" in said
    assert "steps" in said
    assert queued(home) == 0


@pytest.mark.parametrize(
    "title", ["../../up", "a/b\\c", "con", "x" * 200, "\N{SPARKLES}\N{SPARKLES}", "Caf\u00e9 \u00c9t\u00e9"]
)
def test_any_title_becomes_a_safe_folder_inside_the_output_folder(
    shell: Shell, home: Path, tmp_path: Path, title: str
) -> None:
    path = yaml(tmp_path / "titled.yaml", title=title, lines=["A line of text."])
    view = shell.json("submit", str(path), "--out", str(tmp_path / "out"))
    assert set(view["batch"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(view["batch"]) < 60


def test_scripts_that_are_no_scripts_are_refused(shell: Shell, home: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "empty.yaml").write_bytes(b"")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 10)
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.truncate(100 << 20)
    for name in ("folder.yaml", "empty.yaml", "binary.csv", "huge.csv", "missing.yaml"):
        started = time.monotonic()
        done = shell("submit", str(tmp_path / name), code=2)
        assert name in done.stderr
        assert "Traceback" not in done.stderr
        assert time.monotonic() - started < 20
    assert queued(home) == 0


def test_an_unknown_model_is_bad_usage(shell: Shell, script: Callable[..., Path]) -> None:
    assert "draft" in shell("submit", str(script("A line.")), "--model", "70b", code=2).stderr


def test_an_output_folder_that_cannot_be_written_is_refused_at_submit(
    shell: Shell, home: Path, script: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = shell("submit", str(script("A line.")), "--out", str(tmp_path / "file" / "out"), code=2)
    assert "--out" in done.stderr
    assert queued(home) == 0


def test_an_output_folder_without_room_is_refused_at_submit(shell: Shell, home: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=1m tmpfs '{small}' 2>/dev/null") != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        path = yaml(tmp_path / "long.yaml", lines=["A sentence that needs room. " * 40] * 20)
        done = shell("submit", str(path), "--out", str(small), code=2)
        assert "free" in done.stderr
        assert queued(home) == 0
    finally:
        os.system(f"umount '{small}'")


def test_a_redis_that_does_not_answer_is_said_without_a_long_wait(
    shell: Shell, home: Path, script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    started = time.monotonic()
    done = shell("submit", str(script("A line.")), code=3)
    assert time.monotonic() - started < 30  # under 5 s on a machine that is not busy
    assert "127.0.0.1:1" in done.stderr
    assert "secret" not in done.stderr
    assert queued(home) == 0


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(
    shell: Shell, home: Path, script: Callable[..., Path]
) -> None:
    shell("status")
    with sqlite3.connect(home / "ledger.sqlite3") as connection:
        connection.execute("UPDATE schema_version SET version = ?", [len(MIGRATIONS) + 1])
    with sqlite3.connect(home / "ledger.sqlite3") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = (home / "ledger.sqlite3").read_bytes()
    for words in (["status"], ["submit", str(script("A line."))]):
        assert "upgrade vvbatch" in shell(*words, code=3).stderr
    assert (home / "ledger.sqlite3").read_bytes() == before


def test_a_home_that_is_a_file_is_named(
    shell: Shell, tmp_path: Path, script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "homefile").write_text("")
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "homefile"))
    assert "VVBATCH_HOME" in shell("submit", str(script("A line.")), code=3).stderr


def test_unknown_batches_and_lines_are_named(shell: Shell, script: Callable[..., Path]) -> None:
    batch = shell.json("submit", str(script("A line.")))["batch"]
    assert "nothing-like-it" in shell("status", "nothing-like-it", code=2).stderr
    assert "no line" in shell("cancel", batch, "--line", "nope", code=2).stderr
