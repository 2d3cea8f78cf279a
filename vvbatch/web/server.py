"""The server's process: sockets, uvicorn and background tasks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import signal
import socket
import threading
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

import redis
import redis.asyncio
import uvicorn
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from uvicorn.protocols.http.h11_impl import H11Protocol

from vvbatch.batch.delete import prune_speech
from vvbatch.errors import UnavailableError
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.processes.stop_signals import stop_signals
from vvbatch.processes.supervisor import note_loaded, supervisor_is_gone
from vvbatch.settings import Settings
from vvbatch.transport import queue
from vvbatch.transport.connection import server_url
from vvbatch.transport.server import EmbeddedServer, connect
from vvbatch.web.access import Access, url_host
from vvbatch.web.app import application
from vvbatch.web.counters import Counters
from vvbatch.web.events import Events
from vvbatch.web.loops import again
from vvbatch.web.services import Services

HEAD_S = 10  # for the head of a request, from the first byte of a connection or of a request
KEEP_ALIVE_S = 30
UNACKNOWLEDGED_S = 60  # after which a peer that answers nothing counts as gone
MOST_CONNECTIONS = 4096
FILES = 16_384
GRACE_S = 10  # for answers under way when the server stops
STREAMS = 256  # connections to the queue's server; more clients take turns
STREAM_TURN_S = 20.0
ANNOUNCE_S = 2.0
COUNT_S = 2.0
PRUNE_S = 3600.0


class AddressInUse(UnavailableError):
    """The address cannot be listened on; the message names it and the remedy."""


class Protocol(H11Protocol):
    """uvicorn's, with an end for heads that do not come and for peers that have gone without a word."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.await_head()
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            detect_gone(raw)

    def await_head(self) -> None:
        self.head_due = self.loop.call_later(HEAD_S, self.no_head)
        self.answered = self.cycle

    def no_head(self) -> None:
        if self.cycle is self.answered and not self.transport.is_closing():
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.cycle is not None and self.cycle is not self.answered:
            self.await_head()  # of the next request on this connection
        super().data_received(data)
        if self.cycle is not self.answered:
            self.head_due.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self.head_due.cancel()
        super().connection_lost(exc)


def detect_gone(raw: Any) -> None:
    """A connection whose peer acknowledges nothing ends after a minute, also an idle one."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", UNACKNOWLEDGED_S // 2),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 1000 * UNACKNOWLEDGED_S),
    ):
        if hasattr(socket, name):  # macOS has not all of them
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Server(uvicorn.Server):
    """Ends the streams of events when it stops: it would wait for them."""

    def __init__(self, config: uvicorn.Config, events: Events) -> None:
        super().__init__(config)
        self.events = events

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.events.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal stops the server without an error. In a thread that cannot handle signals, nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in stop_signals():
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in stop_signals():
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets of every address that `host` has. Raises AddressInUse."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AddressInUse(f"--host {host}: {error.strerror}") from error
    listening: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            # With the number of TCP: without it asyncio leaves Nagle's algorithm on, and an answer in two writes waits
            # 40 ms for the acknowledgement of the first.
            made = socket.socket(family, kind, protocol)
            listening.append(made)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                made.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL and len(found) > 1:  # localhost without IPv6
                    made.close()
                    listening.remove(made)
                    continue
                raise
            made.listen(2048)
            made.setblocking(False)
            port = made.getsockname()[1]  # for port 0: the same for all
    except OSError as error:
        for each in listening:
            each.close()
        raise AddressInUse(
            f"{host}:{port} cannot be listened on: {error.strerror}; choose another --port, or end what uses it"
        ) from error
    return listening


def allow_files() -> None:
    """1,000 idle clients need as many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def services(home: Home, ledger: Ledger, settings: Settings, access: Access) -> Services:
    """Raises ServerUnreachable."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        server_url(home),
        max_connections=STREAMS,
        timeout=STREAM_TURN_S,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=2.0,
        socket_timeout=10.0,
    )
    streams = redis.asyncio.Redis.from_pool(pool)
    return Services(home, ledger, settings, connect(home), streams, access, Events(ledger), Counters(ledger))


def hosts_of(host: str, listening: Sequence[socket.socket]) -> set[str]:
    """The hosts that requests may name: that of `--host`, and the addresses that it resolved to."""
    addresses = [url_host(each.getsockname()[0].partition("%")[0]) for each in listening]  # without its interface
    return {url_host(host), *addresses} - {"0.0.0.0", "[::]"}


def server_of(made: Services, host: str, listening: Sequence[socket.socket]) -> Server:
    proxies = made.settings.serve.proxies
    config = uvicorn.Config(
        application(made, hosts_of(host, listening)),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=MOST_CONNECTIONS,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what matters is in vvbatch.web
    return Server(config, made.events)


async def run(server: Server, made: Services, own: EmbeddedServer, listening: list[socket.socket]) -> None:
    """Until a signal, or until `server.should_exit`."""
    background = [asyncio.create_task(each) for each in loops(server, made, own)]
    try:
        note_loaded()
        await server.serve(listening)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        with contextlib.suppress(redis.exceptions.RedisError):
            made.queue.delete(queue.SERVING_KEY)
        await made.streams.aclose()
        made.close()


def loops(server: Server, made: Services, own: EmbeddedServer) -> list[Coroutine[Any, Any, None]]:
    """The background tasks."""

    def announce() -> None:
        """Keep the queue's server running; workers keep slots free for this server while it says that it runs."""
        own.ensure()
        queue.announce_server(made.queue, made.settings.serve.reserved_slots)

    async def end_with_supervisor() -> None:
        server.should_exit |= supervisor_is_gone()

    prune = partial(prune_speech, made.ledger, made.settings.keep_speech_days)
    return [
        again(ANNOUNCE_S, "announcing the server", partial(made.call, announce)),
        again(ANNOUNCE_S, "watching the supervisor", end_with_supervisor),
        again(COUNT_S, "counting takes", partial(made.call, made.counters.count)),
        again(PRUNE_S, "deleting old speech", partial(made.call, prune)),
    ]
