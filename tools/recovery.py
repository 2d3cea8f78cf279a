"""How long it takes until all is in order again after a fault: `python -m tools.recovery [RUNS] [FAULT]`.

Each run strikes in mid-render. For a killed worker it is measured from the kill until the ledger has begun another take
of every line that was in its hands; for the other faults until every line of the batch is done (8 s each; 2 rounds).
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.conftest import READY_PROFILE, ROOT
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.processes.supervisor import Program, Supervisor
from vvbatch.transport.server import connect, own_server, signal_server

LINES = 8
MORE_LINES = 24  # than the worker has slots: some wait in the queue


def strike(fault: str, home: Home, pid: int) -> None:
    if fault == "worker killed":
        os.kill(pid, signal.SIGKILL)
    elif fault == "worker stands still":
        os.kill(pid, signal.SIGSTOP)
    elif fault == "server killed":
        signal_server(home, signal.SIGKILL)
    elif fault == "queue wiped":
        connect(home).flushall()
    else:
        assert fault == "undisturbed", fault


def measure(folder: Path, runs: int, fault: str) -> list[float]:
    configs = folder / "configs"
    configs.mkdir()
    (configs / "ready.yaml").write_text(READY_PROFILE)
    os.environ |= {"VVBATCH_HOME": str(folder / "home"), "VVBATCH_CONFIGS": str(configs), "PYTHONPATH": str(ROOT)}
    home = Home.from_environment()
    Ledger(home.ledger_url).close()
    programs = [Program("ready", [sys.executable, "-m", "tests.support.ready", "ready"])]
    times = []
    lines = LINES if fault.startswith("worker") else MORE_LINES
    all_done = "SELECT count(*) FROM lines WHERE state = 'done'"
    with own_server(home) as own, Supervisor(home, programs, server=own) as supervisor:
        for run in range(runs):
            submit(folder, run, lines)
            wait(home, supervisor, "SELECT count(*) FROM takes WHERE state = 'rendering'", min(lines, 16))
            (child,) = supervisor.children
            assert child.process
            strike(fault, home, child.process.pid)
            began = time.monotonic()
            if fault == "worker killed":
                wait(home, supervisor, "SELECT count(*) FROM takes WHERE attempt = 2", lines * (run + 1))
                times.append(time.monotonic() - began)
            wait(home, supervisor, all_done, lines * (run + 1))
            if fault != "worker killed":
                times.append(time.monotonic() - began)
            print(f"run {run + 1}: {times[-1]:.1f} s", file=sys.stderr)
            child.pause_s = 0.0  # as after a minute without an end
    return times


def submit(folder: Path, run: int, lines: int) -> None:
    import subprocess

    path = folder / "lines.yaml"
    texts = [f"Line {n} of run {run} goes slowly, slowly, slowly, slowly." for n in range(lines)]
    path.write_text(json.dumps({"version": 1, "title": f"Run {run}", "model": "ready", "lines": texts}))
    subprocess.run([sys.executable, "-m", "vvbatch", "submit", str(path)], check=True, capture_output=True)


def wait(home: Home, supervisor: Supervisor, query: str, count: int) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        supervisor.poll()
        with closing(sqlite3.connect(home.path / "ledger.sqlite3", timeout=60)) as connection:
            if connection.execute(query).fetchone()[0] >= count:
                return
        time.sleep(0.05)
    raise AssertionError(f"not within 120 s: {query}")


def summary(times: list[float]) -> dict[str, Any]:
    return {"runs": len(times), "median_s": round(statistics.median(times), 1), "worst_s": round(max(times), 1)}


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    asked = sys.argv[2] if len(sys.argv) > 2 else "worker killed"
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"fault": asked} | summary(measure(Path(folder), runs, asked))))
