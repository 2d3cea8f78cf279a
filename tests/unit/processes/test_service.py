from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.cli import Cli
from vvbatch.processes import service as services
from vvbatch.processes.service import Service, ServiceError

HARD = 'a "b" $HOME %h \\ c'


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl and a launchctl that write down what they were asked, and say `active`."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("systemctl", "launchctl"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/asked\necho active\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return tmp_path / "asked"


def test_the_launchd_agent_says_what_is_to_run() -> None:
    agent = plistlib.loads(Service(["/py", "-m", HARD], Path("/home"), {"A": HARD}).plist())
    assert agent["ProgramArguments"] == ["/py", "-m", HARD]
    assert agent["EnvironmentVariables"] == {"A": HARD}
    assert agent["Label"] == "io.vvbatch.up"
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] == {"SuccessfulExit": False}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "vvbatch.service"
    folder = tmp_path / "a 100% folder"
    folder.mkdir()
    unit.write_bytes(Service([sys.executable, "-m", "vvbatch", HARD], folder, {"A": HARD}).unit())
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    if "Failed to initialize manager" in done.stderr or "XDG_RUNTIME_DIR" in done.stderr:
        done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "vvbatch.service" not in done.stderr, done.stderr


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_a_word_in_a_unit_comes_back_as_it_was(word: str) -> None:
    inner = services.quoted(word, command=True)[1:-1]
    read, rest = "", inner
    while rest:  # systemd.syntax(7) and systemd.service(5): backslash escapes, %% and $$
        step = 2 if rest[0] in "\\%$" else 1
        assert rest[0] != '"'
        read += rest[step - 1]
        rest = rest[step:]
    assert read == word


def test_a_line_end_cannot_smuggle_a_setting_in() -> None:
    with pytest.raises(ServiceError, match="control character"):
        Service(["/py"], Path("/home"), {"A": "b\nExecStartPre=/bin/sh"}).unit()


def test_a_unit_is_installed_asked_and_removed(
    home: Path, systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("VVBATCH_REDIS_URL", "redis://:geheim@localhost/0")
    configs = os.environ["VVBATCH_CONFIGS"]
    monkeypatch.setenv("VVBATCH_CONFIGS", os.path.relpath(configs))
    monkeypatch.setenv("VVBATCH_REDIS_INSECURE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    cli = Cli()
    unit = tmp_path / "config" / "systemd" / "user" / "vvbatch.service"
    assert cli("service", "install", "--workers", "ready, draft").stdout.strip() == str(unit)
    text = unit.read_text()
    assert '"up" "--workers" "ready,draft" "--log"' in text
    assert f'ExecStart="{sys.executable}" "-P" "-m" "vvbatch"' in text
    for variable in (
        f"VVBATCH_HOME={home}",
        f"VVBATCH_CONFIGS={configs}",
        "VVBATCH_REDIS_URL=redis://:geheim@localhost/0",
        "VVBATCH_REDIS_INSECURE=1",
        f"XDG_CACHE_HOME={Path.cwd()}/cache",
    ):
        assert f'Environment="{variable}"' in text
    assert unit.stat().st_mode & 0o077 == 0
    assert cli.json("service", "status") == {"installed": True, "running": True, "file": str(unit), "said": "active"}
    assert "removed" in cli("service", "remove").stdout
    assert not unit.exists()
    assert "not installed" in cli("service", "remove").stdout
    assert cli.json("service", "status")["installed"] is False
    asked = systemctl.read_text().splitlines()
    assert asked[:3] == [
        f"systemctl --user {words}" for words in ("daemon-reload", "enable vvbatch.service", "restart vvbatch.service")
    ]
    assert "systemctl --user disable --now vvbatch.service" in asked


def test_an_agent_is_installed_and_removed_on_macos(
    home: Path, systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "on_macos", lambda: True)
    cli = Cli()
    plist = tmp_path / "user" / "Library" / "LaunchAgents" / "io.vvbatch.up.plist"
    cli("service", "install")
    agent = plistlib.loads(plist.read_bytes())
    assert agent["ProgramArguments"][1:7] == ["-P", "-m", "vvbatch", "up", "--workers", "draft"]
    assert agent["EnvironmentVariables"]["VVBATCH_HOME"] == str(home)
    cli("service", "remove")
    assert not plist.exists()
    assert "launchctl bootstrap gui/" in systemctl.read_text()


def test_without_systemd_the_file_can_still_be_written(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    cli = Cli()
    assert "systemctl is not installed" in cli("service", "install", code=1).stderr
    cli("service", "install", "--no-start")
    assert cli.json("service", "status")["running"] is None


def test_without_a_systemd_session_the_error_says_what_to_do(
    home: Path, systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    script = "#!/bin/sh\necho 'Failed to connect to bus: No medium found' >&2\nexit 1\n"
    (tmp_path / "programs" / "systemctl").write_text(script)
    cli = Cli()
    said = cli("service", "install", code=1).stderr
    assert "systemd is not running for this user" in said
    assert "run `vvbatch up`" in said
    assert cli.json("service", "status")["running"] is None


def test_an_unknown_worker_is_refused(home: Path) -> None:
    assert "unknown profile 'absent'" in Cli()("service", "install", "--workers", "absent", code=2).stderr


def test_the_service_runs_the_server_too_where_it_is_asked_for(
    home: Path, systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    cli, unit = Cli(), tmp_path / "config" / "systemd" / "user" / services.UNIT
    cli("service", "install", "--workers", "draft", "--no-start")
    assert "--serve" not in unit.read_text()
    cli("service", "install", "--workers", "draft", "--serve", "--no-start")
    assert '"up" "--workers" "draft" "--serve" "--log"' in unit.read_text()
