"""The server's process: sockets, uvicorn, and what runs beside the requests."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import signal
import socket
import threading
from collections.abc import Iterator
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
from vvbatch.transport.server import EmbeddedServer, ServerUnreachable, connect
from vvbatch.web.access import Access, is_loopback
from vvbatch.web.app import application
from vvbatch.web.events import Events
from vvbatch.web.services import Services

HEAD_S = 10  # for the head of a request, from the first byte of a connection or of a request
KEEP_ALIVE_S = 30
UNACKNOWLEDGED_S = 60  # after which a peer that answers nothing counts as gone
MOST_CONNECTIONS = 4096
FILES = 16_384
GRACE_S = 10  # for answers under way when the server stops
BEAT_S = 2.0
PRUNE_S = 3600.0

log = logging.getLogger("vvbatch.web")


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
    streams = redis.asyncio.Redis.from_url(
        server_url(home), retry=Retry(NoBackoff(), 0), socket_connect_timeout=2.0, socket_timeout=10.0
    )
    return Services(home, ledger, settings, connect(home), streams, access, Events(ledger))


def server_of(made: Services, host: str) -> Server:
    hosts = () if is_loopback(host) or host in ("0.0.0.0", "::") else (host,)
    config = uvicorn.Config(
        application(made, hosts),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=MOST_CONNECTIONS,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what matters is in vvbatch.web
    return Server(config)


async def run(server: Server, made: Services, own: EmbeddedServer, listening: list[socket.socket]) -> None:
    """Until a signal, or until `server.should_exit`."""
    beside = [asyncio.ensure_future(each) for each in (beat(made, own, server), prune(made))]
    try:
        note_loaded()
        await server.serve(listening)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        with contextlib.suppress(redis.exceptions.RedisError):
            made.queue.delete(queue.SERVING_KEY)
        await made.streams.aclose()
        made.close()


async def beat(made: Services, own: EmbeddedServer, server: Server) -> None:
    """Keep the queue's server running, and say that this one does; end the event streams when it stops."""
    while True:
        try:
            await made.call(own.ensure)
            await made.call(queue.announce_server, made.queue, made.settings.serve.reserved_slots)
        except (ServerUnreachable, redis.exceptions.RedisError) as error:
            log.warning("the queue's server does not answer: %s", error)
        for _ in range(int(BEAT_S / 0.1)):
            if server.should_exit:
                made.events.close()
                return
            await asyncio.sleep(0.1)
        if supervisor_is_gone():
            server.should_exit = True


async def prune(made: Services) -> None:
    """Delete old speech, now and then."""
    while True:
        await asyncio.sleep(PRUNE_S)
        try:
            await made.call(prune_speech, made.ledger, made.settings.keep_speech_days)
        except Exception as error:  # it is tried again
            log.warning("old speech is not deleted: %s", error)
