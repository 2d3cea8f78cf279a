"""The own server, with the real binary: started, shared, killed, adopted, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, wait_until
from vvbatch.home import Home
from vvbatch.transport import connection, server
from vvbatch.transport.connection import ServerUnreachable, connect, socket_path
from vvbatch.transport.server import find_binaries, own_server

USER = """
import sys
from pathlib import Path
from vvbatch.home import Home
from vvbatch.transport.server import own_server
with own_server(Home(Path(sys.argv[1]))) as server:
    print(server.process is not None, flush=True)
    sys.stdin.read()
"""

StartUser = Callable[[], "subprocess.Popen[str]"]


def processes(home: Home) -> list[int]:
    """Every process of this home's server, found by its arguments."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(socket_path(home)) in words and "unixsocket" in words and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home whose server must be gone when the test ends."""
    home = Home(tmp_path / "h")
    yield home
    left = processes(home)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


@pytest.fixture
def start_user(home: Home) -> Iterator[StartUser]:
    """Starts a process that uses the home's server until its stdin is closed; it prints whether it started it."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", USER, str(home.path)]
        user = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(user)
        return user

    yield start
    for user in started:
        user.communicate()


def said(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def pid_of(home: Home) -> int:
    return int(connect(home).info("server")["process_id"])


def test_it_is_a_real_server_with_its_file_on_and_no_port_open(home: Home) -> None:
    with own_server(home):
        client = connect(home)
        info = client.info("server")
        assert tuple(map(int, info["redis_version"].split(".")[:2])) >= (7, 0)
        names = ("appendonly", "appendfsync", "save", "maxmemory-policy", "port")
        options = {name: client.config_get(name)[name] for name in names}
        assert options == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "port": "0",
        }
        assert psutil.Process(info["process_id"]).net_connections("inet") == []
        assert socket_path(home).stat().st_mode & 0o777 == 0o700
        assert all(file.stat().st_mode & 0o077 == 0 for file in home.redis_folder.rglob("*"))


def test_it_is_gone_when_the_block_ends_and_its_data_come_back_in_the_next(home: Home) -> None:
    with own_server(home):
        connect(home).set("line", b"\x00\xff")
    assert processes(home) == []
    with own_server(home):
        assert connect(home).get("line") == b"\x00\xff"


def test_it_is_gone_when_the_block_ends_with_an_interrupt(home: Home) -> None:
    with pytest.raises(KeyboardInterrupt), own_server(home):
        raise KeyboardInterrupt
    assert processes(home) == []


@pytest.mark.parametrize("name", ["Application Support", "a=b", "ünïcödé 声", "quote'\"s", "per%20cent#?", "x" * 120])
def test_any_home_path_will_do(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / name)
    with own_server(home):
        client = connect(home)
        assert client.set("a", 1)
        assert client.client_info()["id"] == client.client_id()  # rq asks for it; its parser minds some paths
    with own_server(home):
        assert connect(home).get("a") == b"1"
        place = socket_path(home).parent
    assert place == home.redis_folder or not place.exists()


def test_a_server_that_outlived_its_killed_user_is_used_and_ended_by_the_next(
    home: Home, start_user: StartUser
) -> None:
    user = start_user()
    assert said(user) == "True"
    pid = pid_of(home)
    connect(home).set("a", 1)
    user.kill()
    user.wait()
    with own_server(home) as own:
        assert own.process is None and pid_of(home) == pid
        assert connect(home).get("a") == b"1"
    assert processes(home) == []


def test_a_stuck_server_that_outlived_its_user_is_replaced(
    home: Home, start_user: StartUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = start_user()
    assert said(user) == "True"
    pid = pid_of(home)
    connect(home).set("a", 1)
    os.kill(pid, signal.SIGSTOP)
    user.kill()
    user.wait()
    monkeypatch.setattr(server, "ANSWER_S", 0.1)
    monkeypatch.setattr(connection, "CONNECT_S", 0.5)
    with own_server(home):
        assert pid_of(home) != pid and connect(home).get("a") == b"1"
    assert pid not in processes(home)


def test_a_stuck_server_that_somebody_uses_is_left_alone_and_told(
    home: Home, start_user: StartUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(start_user()) == "True"
    pid = pid_of(home)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(server, "ANSWER_S", 0.1)
    monkeypatch.setattr(connection, "CONNECT_S", 0.5)
    try:
        with pytest.raises(ServerUnreachable, match="another vvbatch uses it"), own_server(home):
            pass
    finally:
        os.kill(pid, signal.SIGCONT)
    assert pid_of(home) == pid


def test_a_server_that_does_not_stop_is_killed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STOP_S", 0.2)
    with own_server(home):
        os.kill(pid_of(home), signal.SIGSTOP)
    assert processes(home) == []


def test_a_killed_server_is_started_again_with_its_data_though_the_last_write_is_torn(home: Home) -> None:
    with own_server(home) as own:
        client = connect(home)
        client.rpush("queue", *range(2000))
        client.set("last", "x" * 1000)
        assert not own.ensure()
        os.kill(pid_of(home), signal.SIGKILL)
        wait_until(lambda: own.process and own.process.poll() is not None)
        tail = next(home.redis_folder.glob("appendonlydir/*.incr.aof"))
        os.truncate(tail, tail.stat().st_size - 500)
        assert own.ensure()
        assert client.llen("queue") == 2000  # the same client: it connects again by itself
        assert client.get("last") is None


def test_a_server_that_is_still_loading_is_waited_for_and_no_second_one_is_started(
    home: Home, start_user: StartUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_server(home):
        batch = connect(home).pipeline(transaction=False)
        for number in range(4000):
            batch.set(f"key{number}", number)
        batch.execute()
    slow = tmp_path / "redis-server"  # every key takes 0.5 ms to load
    slow.write_text(f'#!/bin/sh\nexec "{find_binaries()[-1]}" "$@" --key-load-delay 500\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    user = start_user()
    wait_until(socket_path(home).exists, pause=0.01)
    user.kill()
    user.wait()
    (pid,) = processes(home)
    monkeypatch.setattr(server, "ANSWER_S", 0.2)
    with own_server(home) as own:
        assert own.process is None and pid_of(home) == pid
        assert processes(home) == [pid]
        assert connect(home).dbsize() == 4000


def test_of_several_users_at_once_one_starts_it_and_all_use_the_same(home: Home, start_user: StartUser) -> None:
    users = [start_user() for _ in range(4)]
    assert sorted(said(user) for user in users) == ["False", "False", "False", "True"]
    assert processes(home) == [pid_of(home)]


def test_the_last_user_ends_it_not_the_one_who_started_it(home: Home, start_user: StartUser) -> None:
    user = start_user()
    assert said(user) == "True"
    with own_server(home) as own:
        pid = pid_of(home)
        user.communicate()
        assert own.process is None and pid_of(home) == pid
    assert processes(home) == []


def test_an_unreachable_server_is_reported_with_a_remedy_and_without_the_password(home: Home) -> None:
    with pytest.raises(ServerUnreachable, match="no queue is running; vvbatch up  starts one"):
        connect(home)
    elsewhere = Home(home.path, "redis://:secret@localhost:1/0")
    with pytest.raises(ServerUnreachable, match=r"localhost:1/0 .*VVBATCH_REDIS_URL") as caught, own_server(elsewhere):
        pass
    assert "secret" not in str(caught.value)


def test_a_server_that_accepts_and_says_nothing_is_unreachable(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 0.5)
    with own_server(home):
        pid = pid_of(home)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(ServerUnreachable, match=r"(?i)timeout|timed out"):
                connect(home)
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_wrong_password_is_reported_at_once_also_to_the_patient(home: Home) -> None:
    with own_server(home):
        connect(home).config_set("requirepass", "right")
        address = f"unix://{socket_path(home)}"
        for url in (address, f"{address}?password=incorrect"):
            with pytest.raises(ServerUnreachable, match="refuses this user or password") as caught:
                connect(Home(home.path, url), patient=True)
            assert "incorrect" not in str(caught.value)
        assert connect(Home(home.path, f"{address}?password=right")).ping()


def test_a_patient_client_waits_for_a_server_that_starts_later(home: Home) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from vvbatch.home import Home; from vvbatch.transport.connection import connect\n"
        "print(connect(Home(Path(sys.argv[1])), patient=True).ping())"
    )
    argv = [sys.executable, "-c", code, str(home.path)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as waiting:
        time.sleep(1.5)
        assert waiting.poll() is None
        with own_server(home):
            assert waiting.communicate()[0].strip() == "True"


def test_a_server_named_by_its_url_is_used_and_left_alone(home: Home) -> None:
    with own_server(home):
        pid = pid_of(home)
        with own_server(Home(home.path / "other", f"unix://{socket_path(home)}")) as other:
            assert other.is_up() and not other.ensure()
        assert pid_of(home) == pid


def test_the_server_on_the_path_is_preferred_when_it_runs_and_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = find_binaries()[-1]
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, text in (("valkey-server", "echo v=6.2.14"), ("redis-server", "echo no such library >&2; exit 127")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    assert find_binaries() == [bundled]
    (tmp_path / "redis-server").unlink()
    (tmp_path / "redis-server").symlink_to(bundled)
    assert find_binaries() == [tmp_path / "redis-server", bundled]


def test_a_server_that_does_not_come_up_gives_way_to_the_next(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho 'cannot read RDB version 80' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(server, "find_binaries", lambda: [broken, *find_binaries()])
    with own_server(home):
        assert connect(home).ping()
    monkeypatch.setattr(server, "find_binaries", lambda: [broken])
    with pytest.raises(ServerUnreachable, match="cannot read RDB version 80"), own_server(home):
        pass
    monkeypatch.undo()
    with own_server(home) as own:  # the failed start left no lock behind
        assert own.process is not None
