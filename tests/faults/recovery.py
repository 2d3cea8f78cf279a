"""How long a killed worker's lines wait until they are rendered again: `python -m tests.faults.recovery [RUNS]`.

Each run kills a supervised worker with -9 in mid-render; measured from the kill until the ledger has begun another take
of every line that was in its hands.
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
from vvbatch.server import own_server
from vvbatch.supervisor import Program, Supervisor

LINES = 8


def measure(folder: Path, runs: int) -> list[float]:
    configs = folder / "configs"
    configs.mkdir()
    (configs / "ready.yaml").write_text(READY_PROFILE)
    os.environ |= {"VVBATCH_HOME": str(folder / "home"), "VVBATCH_CONFIGS": str(configs), "PYTHONPATH": str(ROOT)}
    home = Home.from_environment()
    Ledger(home.ledger_url).close()
    programs = [Program("ready", [sys.executable, "-m", "tests.ready", "ready"])]
    times = []
    with own_server(home), Supervisor(home, programs) as supervisor:
        for run in range(runs):
            submit(folder, run)
            wait(home, supervisor, "SELECT count(*) FROM takes WHERE state = 'rendering'", LINES)
            (child,) = supervisor.children
            assert child.process
            os.kill(child.process.pid, signal.SIGKILL)
            began = time.monotonic()
            wait(home, supervisor, "SELECT count(*) FROM takes WHERE attempt = 2", LINES * (run + 1))
            times.append(time.monotonic() - began)
            print(f"run {run + 1}: {times[-1]:.1f} s", file=sys.stderr)
            wait(home, supervisor, "SELECT count(*) FROM lines WHERE state = 'done'", LINES * (run + 1))
            child.pause_s = 0.0  # as after a minute without an end
    return times


def submit(folder: Path, run: int) -> None:
    import subprocess

    path = folder / "lines.yaml"
    texts = [f"Line {n} of run {run} goes slowly." for n in range(LINES)]
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
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(summary(measure(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else 20))))
