"""Sockets of the server, and what runs beside its requests."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.support.web import serving
from vvbatch.transport import queue
from vvbatch.web.server import AddressInUse, listen


def test_connections_send_small_parts_at_once() -> None:
    """asyncio turns Nagle's algorithm off only for sockets that name their protocol."""
    for made in listen("127.0.0.1", 0):
        assert made.proto == socket.IPPROTO_TCP
        made.close()


def test_an_address_that_is_taken_or_is_none_is_named() -> None:
    (made,) = listen("127.0.0.1", 0)
    port = made.getsockname()[1]
    with pytest.raises(AddressInUse, match=rf"127\.0\.0\.1:{port} cannot be listened on: Address already in use"):
        listen("127.0.0.1", port)
    made.close()
    with pytest.raises(AddressInUse, match=r"no-such-host\.invalid"):
        listen("no-such-host.invalid", 0)


@pytest.mark.slow
def test_the_server_announces_itself_again_after_an_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else workers would give the slots that are kept for it to batches."""
    announce, failures = queue.announce_server, [OSError("no child process"), ConnectionResetError("reset")]

    def failing(*given: object) -> None:
        if failures:
            raise failures.pop()
        announce(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(queue, "announce_server", failing)
    with serving(worker=False) as site:
        wait_until(lambda: queue.reserved_slots(site.services.queue) == 1)
    assert caplog.text.count("announcing the server failed") == 2
