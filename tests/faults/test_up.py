"""`vvbatch up` as a person leaves it for the fault_home: killed, started twice, asked what it does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import Shell, wait_until
from tests.faults.conftest import QUICK, FaultHome
from vvbatch.home import Home
from vvbatch.processes.supervisor import SupervisorState, supervisor_state


@pytest.fixture
def fault_home(shell: Shell, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultHome]:
    """A home where nothing runs yet, and whose workers have the ready engine."""
    (tmp_path / "configs" / "ready.yaml").write_text(QUICK)
    (tmp_path / "sitecustomize.py").write_text(
        "import vvbatch.engine\n"
        "def open_engine(profile, cache):\n"
        "    from tests.support.ready import open_ready\n"
        "    return open_ready(profile, cache)\n"
        "vvbatch.engine.open_engine = open_engine\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    yield FaultHome(shell, home, tmp_path)


def state() -> SupervisorState | None:
    return supervisor_state(Home.from_environment())


def pid_of_worker() -> int | None:
    seen = state()
    return seen.programs[0].pid if seen else None


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def up(fault_home: FaultHome) -> subprocess.Popen[str]:
    started = fault_home.shell.start("vvbatch", "up", "--workers", "ready")
    wait_until(lambda: (seen := state()) and seen.pid == started.pid and pid_of_worker(), timeout=60)
    return started


def test_up_that_is_killed_leaves_nothing_running_and_the_next_continues_with_the_batch(fault_home: FaultHome) -> None:
    first = up(fault_home)
    batch = fault_home.submit(*[f"Line {n} goes slowly, slowly, slowly." for n in range(20)])
    fault_home.rendering(batch, 16)
    worker = pid_of_worker()
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_until(lambda: worker and is_gone(worker))
    assert fault_home.shell.json("status")["supervisor"] is None
    up(fault_home)
    assert fault_home.ended(batch)["counts"]["done"] == 20
    fault_home.is_whole(batch)


def test_a_second_up_of_the_same_home_is_refused_and_the_first_is_not_disturbed(fault_home: FaultHome) -> None:
    up(fault_home)
    worker = pid_of_worker()
    second = fault_home.shell("up", "--workers", "ready", code=3)
    assert "already runs" in second.stderr and "Traceback" not in second.stderr
    batch = fault_home.submit("One line of it.")
    assert fault_home.ended(batch)["counts"]["done"] == 1
    assert pid_of_worker() == worker


def test_status_describes_the_supervisor_its_workers_and_their_restarts(fault_home: FaultHome) -> None:
    running = up(fault_home)
    batch = fault_home.submit("One line, slowly, slowly, slowly.")
    fault_home.rendering(batch, 1)
    killed = pid_of_worker()
    os.kill(killed or 0, signal.SIGKILL)
    wait_until(lambda: pid_of_worker() not in (killed, None))
    seen = fault_home.shell.json("status")["supervisor"]
    assert seen["pid"] == running.pid
    program, books = seen["programs"]
    assert books["name"] == "books"
    assert (program["name"], program["restarts"], program["last_exit"]) == ("ready", 1, -9)
    shown = fault_home.shell("status").stdout
    assert f"process {running.pid}" in shown and f"runs as process {program['pid']}, 1 restart, " in shown
    assert fault_home.ended(batch)["counts"]["done"] == 1
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=60) == 0
    assert is_gone(program["pid"])
    assert not fault_home.shell.json("status")["redis"]["reachable"]


def test_status_tells_which_class_of_trouble_each_line_is_in_and_how_many_are_in_each(fault_home: FaultHome) -> None:
    configs = fault_home.folder / "configs" / "ready.yaml"
    none = "retries: {qc: 0, engine: 0, crash: 0, timeout: 0, resource: 20, crashed_with_others: 0}\n"
    configs.write_text(configs.read_text() + none)
    texts = {
        "qc": "This one is silent throughout.",
        "engine": "This one is broken.",
        "input": "This one is refused.",
        "crash": "This one is a killer.",
        "timeout": "This one hangs.",
        "resource": "The folder of this one takes no file.",
    }
    path = fault_home.folder / "classes.yaml"
    chapters = [{"title": name, "lines": [{"id": name, "text": text}]} for name, text in texts.items()]
    path.write_text(json.dumps({"version": 1, "model": "ready", "chapters": chapters}))
    batch = fault_home.shell.json("submit", str(path), "--out", str(fault_home.out))["batch"]
    (fault_home.out / batch).mkdir()
    (fault_home.out / batch / "chapter-06").write_text("a file, where a folder would be")
    up(fault_home)
    wait_until(lambda: fault_home.view(batch)["counts"]["failed"] == 5, timeout=120)
    lines = {line["id"]: line for line in fault_home.shell.json("status", batch)["lines"]}
    assert {name: line["trouble"] for name, line in lines.items()} == {name: name for name in texts}
    assert all(lines[name]["troubles"] == {name: 1} for name in ("engine", "crash", "timeout"))
    assert lines["resource"]["state"] in ("queued", "rendering") and lines["resource"]["troubles"]["resource"] >= 1
    counted = {each["trouble"]: each["lines"] for each in fault_home.shell.json("status")["troubles"]}
    assert counted == dict.fromkeys(texts, 1)
    shown = fault_home.shell("status", batch).stdout
    assert "crash 1" in shown and "timeout 1" in shown
    (fault_home.out / batch / "chapter-06").unlink()
    assert fault_home.ended(batch)["counts"]["done"] == 1
