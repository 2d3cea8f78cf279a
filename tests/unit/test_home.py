from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest
from huggingface_hub import constants

from tests.conftest import ROOT
from tests.support.cli import Cli
from vvbatch.home import Home, HomeError
from vvbatch.ledger import Ledger
from vvbatch.transport.connection import socket_path


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_environment_chooses_the_home_and_the_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "h"))
    monkeypatch.setenv("VVBATCH_REDIS_URL", "redis://:secret@localhost/3")
    monkeypatch.setenv("VVBATCH_LEDGER_URL", "postgresql+psycopg://u:secret@db/x")
    home = Home.from_environment()
    assert (home.path, home.redis_url) == (tmp_path / "h", "redis://:secret@localhost/3")
    assert home.ledger_url == "postgresql+psycopg://u:secret@db/x"
    assert "secret" not in repr(home)


def test_without_variables_the_platforms_user_data_folder_is_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for name in ("VVBATCH_HOME", "VVBATCH_REDIS_URL", "VVBATCH_LEDGER_URL"):
        monkeypatch.setenv(name, "")
    home = Home.from_environment()
    assert home.path.name == "vvbatch" and home.path.is_relative_to(tmp_path)
    assert home.redis_url is None


def test_a_relative_home_and_a_tilde_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("h", "~/h"):
        monkeypatch.setenv("VVBATCH_HOME", name)
        assert Home.from_environment().path == tmp_path / "h"
    monkeypatch.setenv("VVBATCH_HOME", "~nobody-of-that-name/h")
    with pytest.raises(HomeError, match="VVBATCH_HOME"):
        Home.from_environment()


def test_a_home_has_one_path_by_every_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / ("long" * 30) / "h"
    real.mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "parent").symlink_to(real.parent)
    monkeypatch.chdir(tmp_path)
    others = (tmp_path / "link", tmp_path / "parent" / "h", Path("link"), real / ".." / "h", Path("parent/h"))
    spellings = (real, *others)
    for spelling in spellings:
        assert Home(spelling).path == real
        monkeypatch.setenv("VVBATCH_HOME", str(spelling))
        assert Home.from_environment().path == real
    assert len({socket_path(Home(spelling)) for spelling in spellings}) == 1


def test_folders_are_made_when_asked_for_and_home_and_redis_are_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "h")
    assert not home.path.exists()
    assert home.logs.is_dir() and home.cache.is_dir() and home.voices.is_dir() and home.out.is_dir()
    assert mode(home.path) == 0o700 and mode(home.redis_folder) == 0o700


def test_a_folder_that_was_there_keeps_its_mode_but_its_redis_folder_is_closed(tmp_path: Path) -> None:
    (tmp_path / "h" / "redis").mkdir(parents=True)
    (tmp_path / "h").chmod(0o1777)  # like /tmp: closing that would break the machine
    home = Home(tmp_path / "h")
    assert mode(home.redis_folder) == 0o700
    assert home.path.stat().st_mode & 0o7777 == 0o1777


@pytest.mark.parametrize("name", ["plain", "with space", "ünïcödé", "per%20cent", "hash#tag", "what?", "a;b&c=d@e:f"])
def test_the_ledger_opens_in_the_home_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / name)
    Ledger(home.ledger_url).close()
    assert (tmp_path / name / "ledger.sqlite3").is_file()


def test_a_file_in_place_of_the_home_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("")
    with pytest.raises(HomeError, match=r"h/logs cannot be used.*VVBATCH_HOME"):
        _ = Home(tmp_path / "h").logs
    with pytest.raises(HomeError, match="cannot be used"):
        _ = Home(tmp_path / "h" / "below").logs


def test_a_home_that_is_not_writable_is_named_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The kernel lets root write everywhere, so its answer is replaced.
    monkeypatch.setattr(os, "access", lambda path, wanted: False)
    with pytest.raises(HomeError, match=r"is not writable.*VVBATCH_HOME"):
        _ = Home(tmp_path).cache


@pytest.fixture
def unknown_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is started with a user id of its own: no HOME, and no entry for the id."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in (
        *("HOME", "VVBATCH_HOME", "HF_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
        *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),  # other tests of this process may have set them
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "~/.cache/huggingface/hub")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        "status", "check x.yaml", "run x.yaml", "submit x.yaml", "synth Hello.", "up", "redis", "models list",
        "voices list", "ledger batches", "ledger query SELECT", "verify x", "replay x", "regress run draft",
        "regress schedule", "bundle", "service install", "service status", "service remove", "warmup draft",
        "delete x", "prune", "pause x", "resume x", "cancel x", "retry x", "models pull 7b", "models verify 7b",
    ],
)  # fmt: skip
def test_without_a_users_folder_each_command_names_the_variable_to_set(unknown_user: None, words: str) -> None:
    said = Cli()(*words.split(), code=3).stderr
    assert "is unknown: set " in said and " to a folder of yours" in said
    assert any(f"set {name}" in said for name in ("VVBATCH_HOME", "HF_HOME", "HOME or XDG_CONFIG_HOME"))
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("older", ["~/.local/share/vvbatch", None])
def test_no_folder_is_made_for_an_unknown_user(
    unknown_user: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: str | None
) -> None:
    if older:  # platformdirs before 4.14 gave this
        monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: older)
    with pytest.raises(HomeError, match="set VVBATCH_HOME"):
        Home.from_environment()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_with_a_home_of_its_own_an_unknown_user_can_work(
    unknown_user: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "home"))
    cli = Cli()
    assert cli("status").exit_code == 0
    assert cli("bundle", "--out", str(tmp_path / "report.zip")).exit_code == 0
    assert "HF_HOME" in cli("models", "list", code=3).stderr
    found = {each["name"]: each for each in cli.json("doctor", code=1)}
    assert "set HF_HOME" in found["disk: models"]["value"] and found["disk: home"]["ok"]
    monkeypatch.setenv("VVBATCH_HOME", "~nobody-here/x")
    assert "set VVBATCH_HOME to a folder of yours" in cli("status", code=3).stderr


@pytest.mark.slow
def test_importing_it_loads_neither_the_database_nor_the_servers_client() -> None:
    heavy = "{'sqlalchemy', 'redis', 'platformdirs', 'msgspec', 'psutil'} & set(sys.modules)"
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, vvbatch.home, vvbatch.transport.server, vvbatch.processes.supervisor; print({heavy})",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "set()"
