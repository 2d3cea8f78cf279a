"""The supervisor with real, tiny children."""

from __future__ import annotations

import json
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
from vvbatch.processes import supervisor as module
from vvbatch.processes.supervisor import Program, Supervisor, supervisor_is_gone, supervisor_state
from vvbatch.transport.connection import connect
from vvbatch.transport.server import own_server

POLITE = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('up', flush=True)\n"
SLEEPER = f"{POLITE}time.sleep(600)"
PARENT = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\n"
)
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"

# A supervisor in a process of its own: folder, then one Python program a child.
FOREGROUND = """
import sys
from pathlib import Path
from vvbatch.processes import supervisor
from vvbatch.home import Home
supervisor.PUT_BACK_S = 1.0
programs = [supervisor.Program(f"p{i}", [sys.executable, "-c", code]) for i, code in enumerate(sys.argv[2:])]
sys.exit(supervisor.Supervisor(Home(Path(sys.argv[1])), programs).run())
"""

StartForeground = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "h")


@pytest.fixture
def start_foreground(home: Home) -> Iterator[StartForeground]:
    started: list[subprocess.Popen[str]] = []

    def start(*codes: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", FOREGROUND, str(home.path), *codes]
        process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def python(name: str, code: str) -> Program:
    return Program(name, [sys.executable, "-c", code])


def log_of(home: Home, name: str) -> str:
    file = home.logs / f"worker-{name}.log"
    return file.read_text() if file.exists() else ""


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def polled_until(supervisor: Supervisor, condition: Callable[[], object]) -> None:
    def look() -> object:
        supervisor.poll()
        return condition()

    wait_until(look, timeout=20, pause=0.02)


def test_programs_run_within_the_block_and_not_after_it(home: Home) -> None:
    with Supervisor(home, [python("a", SLEEPER), python("b", SLEEPER)]) as supervisor:
        wait_until(lambda: log_of(home, "a") == log_of(home, "b") == "up\n")
        pids = [child.process.pid for child in supervisor.children if child.process]
        assert len(pids) == 2 and all(map(is_running, pids))
        supervisor.stop(10)
        assert [child.last_exit for child in supervisor.children] == [0, 0]
    assert not any(map(is_running, pids))


@pytest.mark.parametrize("code", ["", "raise SystemExit(1)", "import os; os.kill(os.getpid(), 9)"])
def test_whatever_way_a_program_ends_it_is_started_again(
    home: Home, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    with Supervisor(home, [python("a", code)]) as supervisor:
        polled_until(supervisor, lambda: supervisor.children[0].restarts >= 3)
        assert supervisor.unavailable is None


def test_the_pauses_grow_to_a_limit_and_begin_again_after_a_good_run(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.05)
    pauses: list[float] = []
    with Supervisor(home, [python("a", "")]) as supervisor:
        (child,) = supervisor.children

        def another_end() -> bool:
            if len(pauses) < child.restarts:
                pauses.append(child.pause_s)
            return len(pauses) == 5

        polled_until(supervisor, another_end)
        assert pauses == [0.01, 0.02, 0.04, 0.05, 0.05]
        monkeypatch.setattr(module, "GOOD_RUN_S", 0.0)
        restarts = child.restarts
        polled_until(supervisor, lambda: child.restarts > restarts + 1)
        assert child.pause_s == 0.01


def test_a_program_that_cannot_start_is_tried_again_slowly_and_the_others_are_not_held_up(home: Home) -> None:
    with Supervisor(home, [python("a", "raise SystemExit(3)"), python("b", SLEEPER)]) as supervisor:
        first, second = supervisor.children
        polled_until(supervisor, lambda: first.last_exit == 3 and log_of(home, "b"))
        assert first.pause_s == module.SLOW_PAUSE_S and first.process is None and supervisor.unavailable is None
        assert second.process is not None and second.restarts == 0


def test_when_set_to_fail_fast_the_reason_of_a_program_that_cannot_start_is_reported(home: Home) -> None:
    code = "import sys; print('x vvbatch.worker cannot start: no voice model', flush=True); sys.exit(3)"
    with Supervisor(home, [python("a", code)], fail_fast=True) as supervisor:
        polled_until(supervisor, lambda: supervisor.unavailable)
        assert supervisor.unavailable == "no voice model"
        supervisor.poll()
        assert not supervisor.running()


def test_when_set_to_fail_fast_a_program_that_fails_each_time_is_given_up_but_not_one_that_is_killed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.02)
    with Supervisor(home, [python("a", "raise ValueError('bad')")], fail_fast=True) as supervisor:
        polled_until(supervisor, lambda: supervisor.unavailable)
        assert "ValueError: bad" in str(supervisor.unavailable) and "worker-a.log" in str(supervisor.unavailable)
        assert supervisor.children[0].restarts == module.FAILURES_IN_A_ROW - 1
    with Supervisor(home, [python("b", "import os; os.kill(os.getpid(), 9)")], fail_fast=True) as supervisor:
        polled_until(supervisor, lambda: supervisor.children[0].restarts > module.FAILURES_IN_A_ROW)
        assert supervisor.unavailable is None


KILLED = "import os, time; {} os.kill(os.getpid(), {})"
NOTED = "os.write(int(os.environ['VVBATCH_READY']), b'1');"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGILL, signal.SIGSEGV])
def test_a_program_that_is_killed_each_time_it_loads_is_given_up_with_the_reason(
    home: Home, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr(module, "GOOD_RUN_S", 0.0)  # loading may take longer than a good run
    argv = [sys.executable, "-c", KILLED.format("", int(number))]
    with Supervisor(home, [Program("a", argv, lambda found, times: f"{found}, {times}")], fail_fast=True) as supervisor:
        polled_until(supervisor, lambda: supervisor.unavailable)
        assert supervisor.unavailable == f"{int(number)}, 5"
        assert supervisor.children[0].restarts == 4


def test_a_program_that_is_killed_once_it_is_ready_is_not_given_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.02)
    argv = [sys.executable, "-c", KILLED.format(NOTED, 9)]
    with Supervisor(home, [Program("a", argv, lambda found, times: "given up")], fail_fast=True) as supervisor:
        polled_until(supervisor, lambda: supervisor.children[0].restarts > module.FAILURES_IN_A_ROW + 1)
        assert supervisor.unavailable is None


def test_up_tries_a_program_that_is_killed_while_it_loads_again_slowly(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.02)
    argv = [sys.executable, "-c", KILLED.format("", 9)]
    with Supervisor(home, [Program("a", argv, lambda found, times: "memory ran out")]) as supervisor:
        polled_until(supervisor, lambda: supervisor.children[0].pause_s == module.SLOW_PAUSE_S)
        assert supervisor.children[0].restarts == 4 and supervisor.unavailable is None
        assert "memory ran out" in caplog.text


def test_a_program_that_does_not_exist_is_reported_in_its_log(home: Home) -> None:
    with Supervisor(home, [Program("a", ["/no/such/program"])]) as supervisor:
        polled_until(supervisor, lambda: supervisor.children[0].last_exit is not None)
        assert "/no/such/program: No such file" in log_of(home, "a")


def test_a_program_that_ignores_every_request_is_killed_with_what_it_started(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PUT_BACK_S", 0.2)
    code = PARENT + DEAF
    with Supervisor(home, [python("a", code)]) as supervisor:
        wait_until(lambda: "up" in log_of(home, "a"))
        grandchild = int(log_of(home, "a").split()[0])
        pid = supervisor.children[0].process.pid
        supervisor.stop(0.1)
    assert not is_running(pid)
    wait_until(lambda: not is_running(grandchild))  # killed, but not a child of ours to wait for


def test_what_a_crashed_program_left_behind_is_ended(home: Home) -> None:
    with Supervisor(home, [python("a", PARENT)]) as supervisor:
        polled_until(supervisor, lambda: supervisor.children[0].last_exit == 0)
        wait_until(lambda: not is_running(int(log_of(home, "a").split()[0])))


def test_nothing_else_is_ended(home: Home) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        with Supervisor(home, [python("a", SLEEPER)]) as supervisor:
            supervisor.stop(10)
        assert other.poll() is None
        other.kill()


def test_a_second_signal_reaches_the_programs_too(home: Home) -> None:
    code = (
        "import signal, sys, time\n"
        "seen = []\n"
        "def ask(*_):\n"
        "    seen.append(1); print(len(seen), flush=True)\n"
        "    if len(seen) > 1: sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, ask)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    with Supervisor(home, [python("a", code)]) as supervisor:
        wait_until(lambda: "up" in log_of(home, "a"))
        supervisor.signal(signal.SIGTERM)
        wait_until(lambda: log_of(home, "a").endswith("1\n"))
        assert supervisor.running()
        supervisor.signal(signal.SIGTERM)
        polled_until(supervisor, lambda: supervisor.children[0].last_exit == 7)
        supervisor.poll()
        assert supervisor.children[0].restarts == 0


def test_the_server_is_started_again_when_it_dies(home: Home) -> None:
    with own_server(home) as own, Supervisor(home, [], server=own) as supervisor:
        client = connect(home)
        client.set("a", 1)
        first = own.process
        assert first is not None
        first.kill()
        polled_until(supervisor, lambda: own.process is not first and own.is_up())
        assert client.get("a") == b"1"


def test_a_server_that_cannot_be_started_now_ends_nothing_and_is_tried_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SERVER_PAUSE_S", 0.1)
    with own_server(home) as own, Supervisor(home, [python("a", SLEEPER)], server=own) as supervisor:
        files = home.redis_folder / "appendonlydir"
        moved = files.rename(home.redis_folder / "away")
        files.write_text("in the way")
        assert own.process is not None
        own.process.kill()
        polled_until(supervisor, lambda: supervisor.server_due)
        assert supervisor.running() and not own.is_up()
        files.unlink()
        moved.rename(files)
        polled_until(supervisor, own.is_up)


def test_in_the_foreground_a_signal_ends_everything_and_the_state_is_reported_meanwhile(
    home: Home, start_foreground: StartForeground
) -> None:
    assert supervisor_state(home) is None
    process = start_foreground(SLEEPER, SLEEPER)
    wait_until(lambda: "up" in log_of(home, "p0") and "up" in log_of(home, "p1"))
    state = supervisor_state(home)
    assert state is not None and state.pid == process.pid
    assert [program.name for program in state.programs] == ["p0", "p1"]
    assert all(program.restarts == 0 and program.since.endswith("+00:00") for program in state.programs)
    pids = [program.pid for program in state.programs]
    assert all(map(is_running, pids))
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert not any(map(is_running, pids)) and supervisor_state(home) is None


NO_MODEL = "import sys; print('cannot start: no model', flush=True); sys.exit(3)"


def test_in_the_foreground_it_ends_when_no_worker_can_start(home: Home) -> None:
    workers = [worker("first", NO_MODEL), worker("second", NO_MODEL)]
    nightly = Program("nightly", [sys.executable, "-c", SLEEPER])
    supervisor = Supervisor(home, [*workers, nightly])
    assert supervisor.run() == module.CANNOT_START
    assert not supervisor.running()


def test_in_the_foreground_one_worker_that_can_start_is_enough(home: Home) -> None:
    supervisor = Supervisor(home, [worker("first", NO_MODEL), worker("second", SLEEPER)])
    with supervisor:

        def first_has_ended() -> bool:
            supervisor.poll()
            return supervisor.children[0].last_exit == module.CANNOT_START

        wait_until(first_has_ended)
        assert not supervisor.none_can_start()
        supervisor.children[0].served = True  # a worker that ran, and whose server is away now
        supervisor.children.pop()
        assert not supervisor.none_can_start()


def worker(name: str, code: str) -> Program:
    return Program(name, [sys.executable, "-c", code], why_killed=lambda number, times: "killed")


def test_in_the_foreground_restarts_are_written(home: Home, start_foreground: StartForeground) -> None:
    start_foreground("raise SystemExit(5)")

    def was_restarted() -> bool:
        state = supervisor_state(home)
        return state is not None and state.programs[0].last_exit == 5 and state.programs[0].restarts > 0

    wait_until(was_restarted)


def test_a_second_signal_in_the_foreground_ends_even_a_deaf_program(
    home: Home, start_foreground: StartForeground
) -> None:
    process = start_foreground(DEAF)
    wait_until(lambda: "up" in log_of(home, "p0"))
    state = supervisor_state(home)
    assert state is not None
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not is_running(state.programs[0].pid)


def test_a_second_supervisor_of_the_same_home_is_refused_until_the_first_is_gone_even_killed(
    home: Home, start_foreground: StartForeground
) -> None:
    first = start_foreground(SLEEPER)
    wait_until(lambda: "up" in log_of(home, "p0"))
    second = start_foreground()
    assert "already runs for" in second.communicate(timeout=20)[1]
    assert second.returncode != 0
    first.kill()
    first.wait()
    assert (home.path / "supervisor.json").exists() and supervisor_state(home) is None
    third = start_foreground()
    wait_until(lambda: (state := supervisor_state(home)) is not None and state.pid == third.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent; workers look themselves")
def test_the_programs_of_a_killed_supervisor_end_too(home: Home, start_foreground: StartForeground) -> None:
    process = start_foreground(SLEEPER)
    wait_until(lambda: "up" in log_of(home, "p0"))
    state = supervisor_state(home)
    assert state is not None
    process.kill()
    process.wait()
    wait_until(lambda: not is_running(state.programs[0].pid))


def test_a_program_can_tell_that_its_supervisor_is_gone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not supervisor_is_gone()
    code = (
        "import os; from vvbatch.processes.supervisor import supervisor_is_gone as gone\n"
        "print(gone()); os.environ['VVBATCH_SUPERVISOR'] = '1'; print(gone())"
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with Supervisor(home, [python("a", code)]):
        wait_until(lambda: log_of(home, "a") == "False\nTrue\n")


def test_only_the_supervisor_in_the_foreground_writes_the_state(home: Home, start_foreground: StartForeground) -> None:
    first = start_foreground(SLEEPER)
    wait_until(lambda: "up" in log_of(home, "p0"))
    with Supervisor(home, [python("a", SLEEPER)]):
        wait_until(lambda: "up" in log_of(home, "a"))
    written = json.loads((home.path / "supervisor.json").read_text())
    assert written["pid"] == first.pid != os.getpid()
