"""Connections to the queue's server: its address, how long to wait for it, and the error when it does not answer."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from vvbatch.errors import UnavailableError
from vvbatch.home import Home

if TYPE_CHECKING:
    import redis

LONGEST_SOCKET_PATH = 100  # bytes; the kernels allow 104 (macOS) and 108 (Linux)
CONNECT_S = 2.0
COMMAND_S = 10.0
PATIENCE_S = 120.0
LOADING_S = 300.0  # to read a large append-only file back in


class ServerUnreachable(UnavailableError):
    """The queue's server does not answer or cannot be started; the message names it and the remedy."""


def connect(home: Home, *, patient: bool = False) -> redis.Redis:
    """A connection that has answered a PING. Raises ServerUnreachable in under 5 s, at once where no socket file is.

    With `patient`, for workers that may start before their server, the wait for that first answer is up to 2 minutes.
    Later commands are retried for about a second only, because a worker has lines in flight to render.
    """
    if home.redis_url is None and not patient and not socket_path(home).exists():
        raise ServerUnreachable(f"no queue is running; {remedy(home)}")
    import redis
    from redis.backoff import EqualJitterBackoff
    from redis.retry import Retry

    url = server_url(home)
    refuse_open_server(url)
    try:
        if patient:
            await_answer(url, PATIENCE_S)
        else:
            await_answer(url, 1.0, loading_s=1.0, absent_s=0.0)
    except ServerUnreachable as error:
        raise ServerUnreachable(f"{error}; {remedy(home)}") from error
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=COMMAND_S,
        retry=Retry(EqualJitterBackoff(cap=0.5, base=0.1), 3),
    )


def server_url(home: Home) -> str:
    """VVBATCH_REDIS_URL (which may hold a password), or the socket of the home's own server."""
    return home.redis_url or f"unix://{quote(os.fsencode(socket_path(home)))}"


def socket_path(home: Home) -> Path:
    """The socket in the home folder, or in a private folder in /tmp when the home's path is too long or not plain.

    A path with a space or '=' (a Mac's "Application Support") is not plain: the server lists its clients by this path,
    and client libraries split that list at spaces and '='. The folder is in /tmp, not in $TMPDIR or $XDG_RUNTIME_DIR:
    those differ between a login, cron and a service, which must all use the same socket.
    """
    path = home.redis_folder / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and not re.search(r"[\s=]", str(path)):
        return path
    name = hashlib.sha256(os.fsencode(os.path.realpath(home.path))).hexdigest()[:16]
    folder = Path("/tmp") / f"vvbatch-{os.geteuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise ServerUnreachable(f"{folder} is not private to you: remove it, or set VVBATCH_HOME to a shorter path")
    return folder / "redis.sock"


def await_answer(
    url: str,
    patience_s: float,
    loading_s: float = LOADING_S,
    absent_s: float | None = None,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Return when the server at `url` answers PING.

    Raises ServerUnreachable after `patience_s` without an answer, after `loading_s` of "I am loading", after `absent_s`
    (`patience_s` unless given) without a socket file, at once when it refuses the password, and as soon as `alive()`
    is false.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    absent_s = patience_s if absent_s is None else absent_s
    begin = time.monotonic()
    once = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(url, socket_connect_timeout=CONNECT_S, socket_timeout=CONNECT_S, retry=once) as probe:
        while True:
            try:
                probe.ping()
                return
            except (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError) as error:
                message = f"the queue at {without_password(url)} refuses this user or password: {error}"
                raise ServerUnreachable(message) from error
            except (redis.exceptions.RedisError, OSError) as error:
                waited = time.monotonic() - begin
                loading = isinstance(error, redis.exceptions.BusyLoadingError)
                absent = isinstance(error.__cause__ or error.__context__, FileNotFoundError)  # no such socket
                limit_s = loading_s if loading else absent_s if absent else patience_s
                if not alive() or waited > limit_s:
                    why = "is not running" if absent else f"does not answer: {error}"
                    message = f"the queue at {without_password(url)} {why}"
                    raise ServerUnreachable(message) from error
            time.sleep(min(0.02 + waited / 10, 1.0))


def remedy(home: Home) -> str:
    if home.redis_url:
        return "start that server, or unset VVBATCH_REDIS_URL to use the home folder's own"
    return "vvbatch up  starts one"


def refuse_open_server(url: str) -> None:
    """Require a password over TCP: anyone who can write to Redis can queue jobs. Raises ServerUnreachable.

    This holds for a local port too: other users of the machine, and pages in a browser on it, can reach it.
    """
    from redis.connection import parse_url

    try:
        parts = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:  # its text may quote part of a malformed password
        raise ServerUnreachable(
            f"VVBATCH_REDIS_URL is not a server's address: {without_password(url)}; allowed are redis://, rediss:// "
            "and unix://, with :password@ if there is one, special characters in it as %XX"
        ) from None
    if "path" not in parts and not parts.get("password") and os.environ.get("VVBATCH_REDIS_INSECURE") != "1":
        raise ServerUnreachable(
            f"the queue at {without_password(url)} is reached by TCP and VVBATCH_REDIS_URL has no password, so anyone "
            "who reaches it could queue work; give it one (rediss://:password@host), use a unix socket "
            "(unix:///path), or set VVBATCH_REDIS_INSECURE=1"
        )


def without_password(url: str) -> str:
    """`url` for messages and logs: no user, password or options."""
    scheme, _, rest = url.partition("://")
    address, _, options = rest.partition("?")
    if "@" in options:  # a password with an unescaped '?', or one among the options
        return f"{scheme}://…"
    return f"{scheme}://{address.rpartition('@')[2]}"
