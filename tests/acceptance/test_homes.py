"""Homes and output folders on unusual paths: `run`, `up`, `service` and `doctor` work there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Shell, wait_until

SCRIPT = "version: 1\ntitle: Hello\nlines:\n  - Hello there, it is a fine evening.\n"


def with_spaces(folder: Path) -> Path:
    return folder / "My Books & = things"


def of_200_characters(folder: Path) -> Path:
    return folder / ("long" * 30) / ("path" * 20)


def with_emoji(folder: Path) -> Path:
    return folder / "📚 ünïcödé"


def through_a_symlink(folder: Path) -> Path:
    (folder / "real" / ("long" * 30)).mkdir(parents=True)
    (folder / "link").symlink_to(folder / "real" / ("long" * 30))
    return folder / "link"


def in_a_read_only_folder(folder: Path) -> Path:
    """Root may write there nevertheless; as another user, the folder itself exists and is the user's."""
    home = folder / "closed" / "home"
    home.mkdir(parents=True, mode=0o700)
    (folder / "closed").chmod(0o555)
    return home


PLACES = [with_spaces, of_200_characters, with_emoji, through_a_symlink, in_a_read_only_folder]


@pytest.fixture(params=PLACES, ids=lambda place: place.__name__)
def place(request: pytest.FixtureRequest, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make: Callable[[Path], Path] = request.param
    folder = make(tmp_path / "places")
    (tmp_path / "places").mkdir(exist_ok=True)
    monkeypatch.setenv("VVBATCH_HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "hello.yaml").write_text(SCRIPT)
    return folder


def test_run_up_service_and_doctor_work_at_any_path(place: Path, shell: Shell, tmp_path: Path) -> None:
    script, out = str(tmp_path / "hello.yaml"), place / "out of it"
    ran = shell.json("run", script, "--model", "draft", "--out", str(out))
    assert (ran["state"], ran["counts"]["done"]) == ("done", 1)
    assert len(list(out.rglob("*.wav"))) == 1
    assert (place / "ledger.sqlite3").is_file()

    findings = shell.json("doctor", code=None)
    assert findings

    shell("service", "install", "--no-start", "--workers", "draft")
    (unit,) = (tmp_path / "config").rglob("*.service")
    assert str(place.resolve()) in unit.read_text(encoding="utf-8").replace("\\x20", " ").replace("%%", "%")

    up = shell.start("vvbatch", "up", "--workers", "draft", output=subprocess.DEVNULL)
    try:
        (tmp_path / "again.yaml").write_text(SCRIPT.replace("fine", "cold"))
        batch = shell.json("submit", str(tmp_path / "again.yaml"), "--model", "draft")["batch"]
        wait_until(lambda: shell.json("status", batch, code=None)["state"] == "done", timeout=90)
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(30) == 0


def test_two_spellings_of_one_home_use_one_server(shell: Shell, home: Path, tmp_path: Path) -> None:
    """The real path is too long for a socket in the home, that through the link is not."""
    real = tmp_path / ("long" * 30) / "home"
    real.mkdir(parents=True)
    (tmp_path / "h").symlink_to(real)
    (tmp_path / "hello.yaml").write_text(SCRIPT)
    up = shell.start("vvbatch", "up", "--workers", "draft", output=subprocess.DEVNULL, VVBATCH_HOME=str(tmp_path / "h"))
    try:
        wait_until(lambda: (real / "ledger.sqlite3").is_file(), timeout=60)
        os.environ["VVBATCH_HOME"] = str(real)
        ran = json.loads(shell("run", str(tmp_path / "hello.yaml"), "--model", "draft", "--json").stdout)
        assert (ran["state"], ran["counts"]["done"]) == ("done", 1)
    finally:
        os.environ["VVBATCH_HOME"] = str(home)
        up.send_signal(signal.SIGTERM)
        assert up.wait(30) == 0
