"""Random faults over a big batch: `python -m tools.storm --faults 500 --lines 1000 --seed 1`.

Two workers that restart, a server, and a person who cancels and submits again. At the end the promises must hold; what
happened is printed as JSON. The order of the faults follows from the seed; their effect also from the machine's pace.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.conftest import READY_PROFILE, ROOT
from tests.faults.conftest import problems
from vvbatch.home import Home
from vvbatch.processes.supervisor import Program, Supervisor
from vvbatch.transport.connection import ServerUnreachable
from vvbatch.transport.server import EmbeddedServer, signal_server

WORKERS = 2
SETTLED_S = 900.0
WEIGHTS = {
    "kill worker": 6,
    "kill server": 2,
    "stop server": 2,
    "stop worker": 1,
    "lock ledger": 2,
    "fill disk": 1,
    "cancel": 2,
    "submit again": 2,
    "wipe server": 1,
}


SLOTS = 4  # of a worker: so many lines may be in its hands when a fault hits it
COSTS_TAKES = ("kill worker", "stop worker", "lock ledger", "fill disk")


class Storm:
    def __init__(self, folder: Path, lines: int, seed: int) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.dice = random.Random(seed)
        self.home = Home.from_environment()
        self.server = EmbeddedServer(self.home)
        programs = [
            Program(f"ready-{n}", [sys.executable, "-m", "tests.support.ready", "ready"]) for n in range(WORKERS)
        ]
        self.supervisor = Supervisor(self.home, programs)
        self.script = folder / "storm.json.yaml"
        texts = [f"Line number {n} goes slowly." for n in range(lines)]
        self.script.write_text(json.dumps({"version": 1, "title": "Storm", "model": "ready", "lines": texts}))
        self.batches: list[str] = []
        self.mounted = self.mount()
        self.busy: list[threading.Thread] = []
        self.surprises: list[str] = []
        self.over = threading.Event()

    def mount(self) -> bool:
        """A small disk for the output, where this is allowed."""
        self.out.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(self.out)]
        return subprocess.run(words, check=False, capture_output=True).returncode == 0

    def vvbatch(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "vvbatch", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode not in (0, 1, 2, 3) or "Traceback" in done.stderr:
            self.surprises.append(f"vvbatch {words}: exit {done.returncode}: {done.stderr[-2000:]}")
        return done

    def submit(self) -> bool:
        done = self.vvbatch("submit", str(self.script), "--out", str(self.out), "--json")
        if done.returncode:
            return False  # no room, no server, a locked ledger
        batch = json.loads(done.stdout)["batch"]
        if batch not in self.batches:
            self.batches.append(batch)
        return True

    # Faults

    def strike(self, fault: str) -> None:
        getattr(self, fault.replace(" ", "_"))()

    def some_worker(self) -> int | None:
        pids = [child.process.pid for child in self.supervisor.children if child.process]
        return self.dice.choice(pids) if pids else None

    def kill_worker(self) -> None:
        self.signal_worker(self.some_worker(), signal.SIGKILL)

    def stop_worker(self) -> None:
        pid = self.some_worker()
        self.signal_worker(pid, signal.SIGSTOP)
        self.later(self.dice.uniform(1, 12), lambda: self.signal_worker(pid, signal.SIGCONT))

    def signal_worker(self, pid: int | None, number: signal.Signals) -> None:
        try:
            if pid:
                os.kill(pid, number)
        except ProcessLookupError:
            print("the worker was gone already", file=sys.stderr)

    def kill_server(self) -> None:
        signal_server(self.home, signal.SIGKILL)

    def stop_server(self) -> None:
        signal_server(self.home, signal.SIGSTOP)
        self.later(self.dice.uniform(1, 20), lambda: signal_server(self.home, signal.SIGCONT))

    def wipe_server(self) -> None:
        import redis

        from vvbatch.transport.connection import connect

        try:
            connect(self.home).flushall()
        except (ServerUnreachable, redis.exceptions.RedisError) as error:
            print(f"nothing to wipe: {error}", file=sys.stderr)

    def lock_ledger(self) -> None:
        seconds = self.dice.choice([1, 3, 8, 25])

        def lock() -> None:
            path = self.home.path / "ledger.sqlite3"
            with closing(sqlite3.connect(path, timeout=600, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")  # one lock after the other
                time.sleep(seconds)
                connection.execute("ROLLBACK")

        self.later(0, lock)

    def fill_disk(self) -> None:
        if not self.mounted:
            return
        filler = self.out / "filler"
        with filler.open("wb") as file:
            while (room := shutil.disk_usage(self.out).free) > 4096:
                try:
                    os.posix_fallocate(file.fileno(), file.tell(), room - 4096)
                    break
                except OSError:  # a worker has just taken some
                    file.seek(0, os.SEEK_END)
        self.later(self.dice.uniform(1, 10), lambda: filler.unlink(missing_ok=True))

    def cancel(self) -> None:
        batch = self.dice.choice(self.batches)
        with closing(sqlite3.connect(self.home.path / "ledger.sqlite3", timeout=60)) as connection:
            names = connection.execute("SELECT line FROM lines WHERE batch_id = ? ORDER BY number", [batch]).fetchall()
        (line,) = self.dice.choice(names)
        self.later(0, lambda: self.vvbatch("cancel", batch, "--line", line))

    def submit_again(self) -> None:
        self.later(0, self.submit)

    def later(self, seconds: float, do: Any) -> None:
        def wait() -> None:
            self.over.wait(seconds)
            try:
                do()
            except Exception as error:
                self.surprises.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=wait)
        thread.start()
        self.busy = [each for each in self.busy if each.is_alive()] + [thread]

    # The night

    def look_after(self) -> None:
        """What `vvbatch up` does: the server and the workers come back."""
        try:
            self.server.ensure()
        except ServerUnreachable as error:
            print(error, file=sys.stderr)
        for child in self.supervisor.children:
            child.pause_s = min(child.pause_s, 1.0)  # else most faults would find no worker
        self.supervisor.poll()

    def pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look_after()
            time.sleep(0.1)

    def run(self, faults: int, gap_s: float) -> dict[str, Any]:
        began = time.monotonic()
        struck: Counter[str] = Counter()
        names, weights = zip(*WEIGHTS.items(), strict=True)
        self.server.start()
        assert self.submit()
        with self.supervisor:
            for number in range(faults):
                self.pause(self.dice.uniform(0.2, 2 * gap_s))
                fault = self.dice.choices(names, weights)[0]
                print(f"{time.monotonic() - began:6.1f} s  {number + 1}: {fault}", file=sys.stderr)
                self.strike(fault)
                struck[fault] += 1
            calm = time.monotonic()
            self.over.set()
            for thread in self.busy:
                thread.join()
            signal_server(self.home, signal.SIGCONT)
            found = ["not looked at"]
            while found and time.monotonic() - calm < SETTLED_S:
                self.pause(2.0)
                found = problems(self.home.path, self.out)
            settled_s = time.monotonic() - calm
            self.pause(12.0)  # nothing may change any more
            found = problems(self.home.path, self.out)
        self.server.stop()
        verified = self.vvbatch("verify", "--json")
        outcome = self.outcome()
        most = SLOTS * sum(struck[fault] for fault in COSTS_TAKES)
        if outcome["rendered_again"] > most:
            found.append(f"{outcome['rendered_again']} takes more than lines: the faults explain {most}")
        return outcome | {
            "faults": dict(struck),
            "explained_by_faults": most,
            "problems": self.surprises + found + json.loads(verified.stdout)["problems"],
            "settled_s": round(settled_s, 1),
            "took_s": round(time.monotonic() - began, 1),
        }

    def outcome(self) -> dict[str, Any]:
        with closing(sqlite3.connect(self.home.path / "ledger.sqlite3")) as connection:
            states = dict(connection.execute("SELECT state, count(*) FROM lines GROUP BY state").fetchall())
            takes = dict(connection.execute("SELECT state, count(*) FROM takes GROUP BY state").fetchall())
            most = connection.execute("SELECT max(attempt) FROM lines").fetchone()[0]
            unexplained = connection.execute(
                # Every take but the last needs a fault that ended it.
                "SELECT count(*) FROM takes t WHERE state = 'done' AND EXISTS (SELECT 1 FROM takes later "
                "WHERE later.line_id = t.line_id AND later.attempt > t.attempt)"
            ).fetchone()[0]
            again = connection.execute("SELECT count(*) - count(DISTINCT line_id) FROM takes").fetchone()[0]
            why = connection.execute("SELECT trouble, count(*) FROM lines WHERE state = 'failed' GROUP BY 1").fetchall()
        return {
            "batches": len(self.batches),
            "lines": states,
            "takes": takes,
            "most_attempts": most,
            "rendered_again": again,
            "rendered_again_without_a_fault": unexplained,
            "failed_because": dict(why),
        }

    def clear(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.out)], check=False)


def storm(folder: Path, faults: int, lines: int, seed: int, gap_s: float) -> dict[str, Any]:
    """Run one in an empty folder. Returns the outcome; `problems` is empty when every promise held."""
    configs = folder / "configs"
    configs.mkdir()
    # A worker that is hit again and again is the storm's doing, not its lines'.
    more = "delays_s: {timeout: 1, resource: 1}\nretries: {crash: 1000, timeout: 1000, resource: 1000}\n"
    (configs / "ready.yaml").write_text(
        READY_PROFILE.replace("step_s: 4", "step_s: 30").replace("slots: 16", f"slots: {SLOTS}") + more
    )
    os.environ |= {"VVBATCH_HOME": str(folder / "home"), "VVBATCH_CONFIGS": str(configs), "PYTHONPATH": str(ROOT)}
    night = Storm(folder, lines, seed)
    try:
        return night.run(faults, gap_s)
    finally:
        night.clear()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("faults", 40), ("lines", 200), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--gap-s", type=float, default=1.0, help="seconds between two faults, on average")
    parser.add_argument("--keep", action="store_true", help="leave the folder")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="storm-"))
    outcome = storm(folder, asked.faults, asked.lines, asked.seed, asked.gap_s)
    print(json.dumps({"seed": asked.seed} | outcome, indent=2))
    if not asked.keep and not outcome["problems"]:
        shutil.rmtree(folder)
    return 1 if outcome["problems"] or outcome["rendered_again_without_a_fault"] else 0


if __name__ == "__main__":
    sys.exit(main())
