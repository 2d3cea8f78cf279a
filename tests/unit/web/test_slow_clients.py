"""Clients that take nothing, or have gone without a word, or only listen: none of them costs a worker anything."""

from __future__ import annotations

import json
import resource
import socket
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.support.web import Site
from vvbatch.ledger.listings import Filter, list_lines
from vvbatch.web import answers
from vvbatch.web import server as web

LONG = "No one takes this from the server, although it was asked for. " * 8


def ask(site: Site, text: str) -> socket.socket:
    body = json.dumps({"model": "ready", "voice": "alice", "input": text, "response_format": "pcm"}).encode()
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", site.port))
    raw.sendall(
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    return raw


def state_of(site: Site, text: str) -> str:
    found = [line.state for line in list_lines(site.ledger, Filter()) if line.text == text.strip()]
    return found[0] if found else ""


@pytest.mark.slow
def test_a_client_that_takes_nothing_holds_up_neither_the_worker_nor_others(site: Site) -> None:
    with ask(site, LONG):
        wait_until(lambda: state_of(site, LONG) == "done", 60, 0.2)
        with site.client() as client:
            body = {"model": "ready", "voice": "alice", "input": "Another is served.", "response_format": "pcm"}
            assert client.post("/v1/audio/speech", json=body).status_code == 200
        assert site.engine and not site.engine.speaking, "its slot is free"


@pytest.mark.slow
def test_a_client_that_takes_nothing_for_too_long_is_let_go(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "SEND_S", 0.3)
    text = "It is let go. " * 120  # 5.6 MB as it is sent: more than the buffers of a connection hold
    with ask(site, text) as raw:
        wait_until(lambda: state_of(site, text) == "cancelled", 60, 0.2)
        raw.settimeout(5)
        received = 0
        while part := raw.recv(1 << 16):
            received += len(part)
            assert not part.endswith(b"0\r\n\r\n"), "the answer has no end: it is not whole"
    wait_until(lambda: not site.services.waiting.get("ready"))


def test_the_kernel_ends_connections_whose_peer_has_gone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """By these options of the server's end of each connection."""
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this system has other options")
    options: dict[str, int] = {}
    set_options = web.detect_gone

    def noted(accepted: Any) -> None:
        set_options(accepted)
        options["SO_KEEPALIVE"] = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
            options[name] = accepted.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

    monkeypatch.setattr(web, "detect_gone", noted)
    with site.client() as client:
        assert client.get("/health/live").status_code == 200
    silent_s = options["TCP_KEEPIDLE"] + options["TCP_KEEPCNT"] * options["TCP_KEEPINTVL"]
    assert (options["SO_KEEPALIVE"], options["TCP_USER_TIMEOUT"], silent_s) == (1, 60_000, 60)


@pytest.mark.slow
def test_a_thousand_idle_event_streams_cost_one_reader_and_keep_nobody_out(site: Site) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("this process may open too few files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    opened: list[socket.socket] = []
    try:
        for _ in range(1000):
            raw = socket.create_connection(("127.0.0.1", site.port), timeout=20)
            raw.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            opened.append(raw)
        for raw in opened:
            assert raw.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: len(site.services.events.clients) >= 1000)
        reading = site.services.events.reading
        with site.client() as client:
            assert client.get("/health/live").status_code == 200
            body = {"model": "ready", "voice": "alice", "input": "Beside a thousand.", "response_format": "pcm"}
            assert client.post("/v1/audio/speech", json=body).status_code == 200
        assert site.services.events.reading is reading
    finally:
        for raw in opened:
            raw.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: not site.services.events.clients)
