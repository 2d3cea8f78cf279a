"""Sockets of the server."""

from __future__ import annotations

import socket

import pytest

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
