from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from vvbatch.home import Home
from vvbatch.transport import server
from vvbatch.transport.connection import ServerUnreachable


def test_a_process_that_is_stuck_while_it_stops_the_server_is_waited_for_with_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STOPPING_S", 0.05)
    home = Home(tmp_path / "home")
    with (home.redis_folder / "users.lock").open("w") as stuck:
        fcntl.flock(stuck, fcntl.LOCK_EX)
        own = server.EmbeddedServer(home)
        with pytest.raises(ServerUnreachable, match=r"users\.lock: end it"):
            own.start()
        own.stop()  # it holds nothing that is to be released
    assert own.users_lock is None
