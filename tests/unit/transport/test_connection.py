from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvbatch.home import Home
from vvbatch.transport.connection import (
    LONGEST_SOCKET_PATH,
    ServerUnreachable,
    connect,
    refuse_open_server,
    socket_path,
    without_password,
)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@localhost",
        "redis://:secret@queue.example",
        "rediss://user:secret@10.0.0.7:6380/1",
        "redis://queue.example?password=secret",
        "unix:///run/queue.sock",
    ],
)
def test_sockets_and_servers_with_a_password_are_let_in(url: str) -> None:
    refuse_open_server(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis:///2",
        "redis://127.0.0.1:6380/0",
        "redis://[::1]:6379",
        "redis://:@localhost",
        "redis://queue.example",
        "redis://10.0.0.7:6379/0",
        "rediss://queue.example",
        "redis://0.0.0.0",
        "redis://?host=evil",
    ],
)
def test_an_open_server_is_refused_unless_asked_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerUnreachable, match="VVBATCH_REDIS_INSECURE=1"):
        refuse_open_server(url)
    monkeypatch.setenv("VVBATCH_REDIS_INSECURE", "1")
    refuse_open_server(url)


@pytest.mark.parametrize(
    "url", ["http://localhost", "localhost:6379", "redis://localhost:port", "redis://:pa/ss@host", "redis://h?db=x"]
)
def test_what_is_no_server_address_is_refused_without_quoting_a_password(url: str) -> None:
    with pytest.raises(ServerUnreachable, match="VVBATCH_REDIS_URL is not a server's address") as caught:
        refuse_open_server(url)
    assert "pa/ss" not in str(caught.value) and caught.value.__cause__ is None


@given(
    scheme=st.sampled_from(["redis", "rediss"]),
    password=st.text(st.sampled_from("abcXYZ019:/?#@&=%"), min_size=1).map(lambda text: f"SECRET{text}SECRET"),
)
def test_no_message_holds_a_password(scheme: str, password: str) -> None:
    for url in (f"{scheme}://user:{password}@host:6379/0", f"{scheme}://host/0?password={password}"):
        assert "SECRET" not in without_password(url)


def test_the_address_stays_readable() -> None:
    assert without_password("rediss://u:p@queue.example:6380/1?timeout=3") == "rediss://queue.example:6380/1"
    assert without_password("unix:///run/queue.sock") == "unix:///run/queue.sock"


def test_the_socket_is_in_the_home_and_moves_to_a_private_folder_when_the_path_is_long(tmp_path: Path) -> None:
    short = Home(Path(os.path.relpath(tmp_path)).resolve() / "h")
    long, other = Home(tmp_path / ("x" * 120)), Home(tmp_path / ("y" * 120))
    places = {socket_path(long), socket_path(other)}
    try:
        assert len(places) == 2 and socket_path(long) in places
        for place in places:
            assert len(os.fsencode(place)) <= LONGEST_SOCKET_PATH
            assert place.parent.stat().st_mode & 0o777 == 0o700
        if len(os.fsencode(short.path)) < LONGEST_SOCKET_PATH - 20:
            assert socket_path(short) == short.path / "redis" / "redis.sock"
    finally:
        for place in places:
            place.parent.rmdir()


def test_a_home_without_a_server_is_found_out_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"waits for {seconds} s"))
    with pytest.raises(ServerUnreachable, match="no queue is running; vvbatch up  starts one"):
        connect(Home(tmp_path))
