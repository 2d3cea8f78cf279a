"""What the commands that people wait for cost, in seconds of CPU: `python -m bench.terminal`.

The best of several runs, because other programs on the machine slow all of them.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import select

from tests.support.large_ledger import large_ledger
from vvbatch.ledger import Ledger
from vvbatch.ledger.records import chunks
from vvbatch.ledger.schema import qc_results, takes
from vvbatch.top.page import Wanted
from vvbatch.top.reader import Reader

RUNS = 7
CHECKS = ("finite", "dc_offset", "level", "duration_min", "duration_max", "speech_share")  # of each take


def cpu_s(*words: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def vvbatch(*words: str, runs: int = RUNS) -> float:
    return min(cpu_s("-m", "vvbatch", *words) for _ in range(runs))


def with_checks(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        ids = connection.execute(select(takes.c.id).where(takes.c.state != "rendering")).scalars().all()
        rows = [
            {"take_id": take, "position": place, "name": name, "value": 0.5, "limit": 1, "ok": True, "weight": 1.0}
            for take in ids
            for place, name in enumerate(CHECKS)
        ]
        for chunk in chunks(rows, 1000):
            connection.execute(qc_results.insert(), chunk)


def submits(folder: Path) -> float:
    """Of ten English lines, with Redis running."""
    server = subprocess.Popen([sys.executable, "-m", "vvbatch", "redis"], stderr=subprocess.DEVNULL)
    try:
        while not (folder / "redis" / "redis.sock").exists():
            time.sleep(0.1)
        costs = []
        for run in range(RUNS):
            script = folder / f"s{run}.yaml"
            lines = [f"This is line {number} of the {run}th script." for number in range(10)]
            script.write_text(json.dumps({"version": 1, "title": str(run), "model": "draft", "lines": lines}))
            costs.append(cpu_s("-m", "vvbatch", "submit", str(script)))
        return min(costs)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def polls(folder: Path) -> list[float]:
    """CPU of each poll of `vvbatch top` on 100,000 lines, the counting ones among them; every other shows a page."""
    ledger = large_ledger(folder)
    costs: list[float] = []
    reader = Reader(ledger)
    while len(costs) < 200 or reader.last.counting:
        begun = time.process_time()
        reader.poll(Wanted("saga") if len(costs) % 2 else None)
        costs.append(time.process_time() - begun)
    ledger.close()
    return sorted(costs)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        homes = {each: Path(name) / each for each in ("idle", "large", "submit", "top")}
        for home in homes.values():
            home.mkdir(mode=0o700)
        ledger = large_ledger(homes["large"], open_lines=10_000, ended_batches=2)
        with_checks(ledger)
        ledger.close()
        print(f"python -c pass: {min(cpu_s('-c', 'pass') for _ in range(RUNS)):.2f} s")
        print(f"import sqlalchemy: {min(cpu_s('-c', 'import sqlalchemy') for _ in range(RUNS)):.2f} s")
        for place, words in (("idle", "status"), ("large", "status saga --json"), ("large", "status saga")):
            os.environ["VVBATCH_HOME"] = str(homes[place])
            print(f"{words} ({place}): {vvbatch(*words.split()):.2f} s")
        os.environ["VVBATCH_HOME"] = str(homes["submit"])
        print(f"submit of ten lines: {submits(homes['submit']):.2f} s")
        costs = polls(homes["top"])
        middle, most = (1000 * costs[place] for place in (len(costs) // 2, -1))
        print(f"poll of top, 100,000 lines: median {middle:.1f} ms, most {most:.1f} ms")


if __name__ == "__main__":
    main()
