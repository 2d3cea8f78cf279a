"""`vvbatch up` as a service of the logged-in user: a launchd agent on macOS, a systemd user unit on Linux."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vvbatch import store

LABEL = "io.vvbatch.up"
UNIT = "vvbatch.service"
PASSED_ON = (
    "VVBATCH_HOME",
    "VVBATCH_CONFIGS",
    "VVBATCH_REDIS_URL",
    "VVBATCH_LEDGER_URL",
    "HF_HOME",
    "HF_HUB_CACHE",
    "PYTHONPATH",
)
"""Variables of the installing shell that the service must have too. The file is readable by its owner alone."""
STOP_S = 630  # workers may finish what is in flight


class ServiceError(Exception):
    """The service cannot be installed or asked; the message names the remedy."""


@dataclass(frozen=True)
class Service:
    """What is to run: the command's words, its folder, variables and log."""

    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str]

    def plist(self) -> bytes:
        """A launchd agent: started at login, and again ten seconds after it has ended badly."""
        agent: dict[str, Any] = {
            "Label": LABEL,
            "ProgramArguments": list(self.argv),
            "WorkingDirectory": str(self.folder),
            "EnvironmentVariables": dict(self.environment),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 10,
            "ExitTimeOut": STOP_S,
            "ProcessType": "Standard",
        }
        return plistlib.dumps(agent)

    def unit(self) -> bytes:
        """A systemd user unit: started at login, and again ten seconds after it has ended badly."""
        variables = "".join(f"Environment={quoted(f'{name}={value}')}\n" for name, value in self.environment.items())
        text = (
            "[Unit]\n"
            "Description=vvbatch: queue and workers\n"
            "StartLimitIntervalSec=0\n\n"
            "[Service]\n"
            "Type=exec\n"
            f"ExecStart={' '.join(quoted(word, command=True) for word in self.argv)}\n"
            f"WorkingDirectory={escaped(str(self.folder))}\n"
            f"{variables}"
            "Restart=on-failure\n"
            "RestartSec=10\n"
            "KillMode=mixed\n"
            f"TimeoutStopSec={STOP_S}\n\n"
            "[Install]\n"
            "WantedBy=default.target\n"
        )
        return text.encode()


def escaped(text: str) -> str:
    """`%` begins a specifier in a unit; a line's end would begin another setting."""
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ServiceError(f"{text!r} holds a control character, which a unit cannot have")
    return text.replace("%", "%%")


def quoted(word: str, *, command: bool = False) -> str:
    """A word for a unit in double quotes; in a command `$` would begin a variable."""
    word = escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{word.replace("$", "$$") if command else word}"'


def service(models: str, home: Path, environment: Mapping[str, str]) -> Service:
    """The service that runs `vvbatch up` for these workers, its log in the home folder, rotated there."""
    log = home / "logs" / "service.log"
    argv = [sys.executable, "-m", "vvbatch", "up", "--workers", models, "--log", str(log)]
    passed = {name: environment[name] for name in PASSED_ON if environment.get(name)}
    return Service(argv, home, {**passed, "VVBATCH_HOME": str(home)})


def on_macos() -> bool:
    return sys.platform == "darwin"


def file() -> Path:
    """Where the service's file belongs."""
    if on_macos():
        return Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "systemd" / "user" / UNIT


def install(what: Service, *, start: bool) -> Path:
    """Write the file, and start the service now and at each login. Raises ServiceError, OSError."""
    path = file()
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_atomically(path, what.plist() if on_macos() else what.unit())
    path.chmod(0o600)  # a URL in it may have a password
    if start and on_macos():
        control("bootout", domain_target(), allowed=True)
        control("bootstrap", f"gui/{os.getuid()}", str(path))
    elif start:
        control("daemon-reload")
        control("enable", UNIT)
        control("restart", UNIT)
    return path


def remove() -> bool:
    """Stop the service and remove its file. Returns whether there was one. Raises ServiceError, OSError."""
    path = file()
    if not path.exists():
        return False
    if on_macos():
        control("bootout", domain_target(), allowed=True)
    else:
        control("disable", "--now", UNIT, allowed=True)
    path.unlink()
    if not on_macos():
        control("daemon-reload", allowed=True)
    return True


def status() -> dict[str, Any]:
    """`installed`, `running` (None when it cannot be asked), `file`, and what the system says of it."""
    path = file()
    found: dict[str, Any] = {"installed": path.exists(), "running": None, "file": str(path), "said": ""}
    if not found["installed"] or shutil.which(program()) is None:
        return found
    if on_macos():
        done = control("print", domain_target(), allowed=True)
        found["running"] = "state = running" in done.stdout
        found["said"] = next((line.strip() for line in done.stdout.splitlines() if "state =" in line), "not loaded")
    else:
        done = control("is-active", UNIT, allowed=True)
        found["said"] = (done.stdout or done.stderr).strip()
        found["running"] = done.stdout.strip() == "active" if done.stdout.strip() else None
    return found


def program() -> str:
    return "launchctl" if on_macos() else "systemctl"


def domain_target() -> str:
    return f"gui/{os.getuid()}/{LABEL}"


def control(*words: str, allowed: bool = False) -> subprocess.CompletedProcess[str]:
    """Ask launchctl or systemctl. Raises ServiceError when it fails and that is not `allowed`."""
    command = ["launchctl", *words] if on_macos() else ["systemctl", "--user", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError as error:
        if allowed:
            return subprocess.CompletedProcess(command, 127, "", str(error))
        raise ServiceError(
            f"{command[0]} is not here, so nothing can start {file()} by itself: "
            "run `vvbatch up` under what this system has"
        ) from error
    if done.returncode and not allowed and "connect to bus" in done.stderr:
        raise ServiceError(
            f"no systemd of this user runs here ({done.stderr.strip()}), so {file()} will not be started: log in "
            "as the user (not by su or sudo), or run `vvbatch up` under what this system has"
        )
    if done.returncode and not allowed:
        raise ServiceError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()}; the file is {file()}")
    return done
