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

import msgspec

from vvbatch import store
from vvbatch.errors import VvbatchError
from vvbatch.home import in_user_folder
from vvbatch.processes import python

LABEL = "io.vvbatch.up"
UNIT = "vvbatch.service"
STOP_S = 630  # workers may finish the lines in flight


class ServiceError(VvbatchError):
    """The service cannot be installed or queried; the message names the remedy."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    installed: bool
    running: bool | None  # None: launchd or systemd cannot be queried
    file: str
    said: str = ""  # the state in the words of launchd or systemd


@dataclass(frozen=True)
class Service:
    """The command to run, its folder and its environment variables."""

    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str]

    def plist(self) -> bytes:
        """A launchd agent: started at login, and restarted ten seconds after a failure."""
        agent = {
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
        """A systemd user unit: started at login, and restarted ten seconds after a failure."""
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
    """For a unit, in which `%` starts a specifier and a newline would start another setting."""
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ServiceError(f"{text!r} has a control character, which a unit cannot hold: remove it")
    return text.replace("%", "%%")


def quoted(word: str, *, command: bool = False) -> str:
    """A word for a unit in double quotes; in a command `$` would start a variable."""
    word = escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{word.replace("$", "$$") if command else word}"'


def service(workers: str, home: Path, environment: Mapping[str, str], *, serve: bool = False) -> Service:
    """The service that runs `vvbatch up` with these workers and logs to the home folder, rotated."""
    log = home / "logs" / "service.log"
    argv = python.module("vvbatch", "up", "--workers", workers, *(["--serve"] if serve else []), "--log", str(log))
    return Service(argv, home, {**python.needed_variables(environment), "VVBATCH_HOME": str(home)})


def on_macos() -> bool:
    return sys.platform == "darwin"


def file() -> Path:
    """Where the service's file belongs. Raises HomeError."""
    if on_macos():
        return Path(in_user_folder("~/Library/LaunchAgents", "HOME")) / f"{LABEL}.plist"
    base = os.environ.get("XDG_CONFIG_HOME") or in_user_folder("~/.config", "HOME or XDG_CONFIG_HOME")
    return Path(base).absolute() / "systemd" / "user" / UNIT


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


def status() -> Status:
    path = str(file())
    if not file().exists():
        return Status(installed=False, running=None, file=path)
    if shutil.which(program()) is None:
        return Status(installed=True, running=None, file=path)
    if on_macos():
        done = control("print", domain_target(), allowed=True)
        state = next((line.strip() for line in done.stdout.splitlines() if "state =" in line), "not loaded")
        return Status(installed=True, running="state = running" in done.stdout, file=path, said=state)
    done = control("is-active", UNIT, allowed=True)
    state = done.stdout.strip()
    return Status(
        installed=True, running=state == "active" if state else None, file=path, said=state or done.stderr.strip()
    )


def program() -> str:
    return "launchctl" if on_macos() else "systemctl"


def domain_target() -> str:
    return f"gui/{os.getuid()}/{LABEL}"


def control(*words: str, allowed: bool = False) -> subprocess.CompletedProcess[str]:
    """Run launchctl or systemctl. Raises ServiceError when it fails, unless failure is `allowed`."""
    command = ["launchctl", *words] if on_macos() else ["systemctl", "--user", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError as error:
        if allowed:
            return subprocess.CompletedProcess(command, 127, "", str(error))
        raise ServiceError(
            f"{command[0]} is not installed, so {file()} cannot be started automatically: "
            "run `vvbatch up` under this system's service manager"
        ) from error
    if done.returncode and not allowed and "connect to bus" in done.stderr:
        raise ServiceError(
            f"systemd is not running for this user ({done.stderr.strip()}), so {file()} will not be started: log in "
            "as the user (not by su or sudo), or run `vvbatch up` under this system's service manager"
        )
    if done.returncode and not allowed:
        raise ServiceError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()}; the file is {file()}")
    return done
