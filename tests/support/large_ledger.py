"""A ledger of many lines, written row by row: filling it through the ledger's own methods would take minutes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Table

from tests.support.ledgers import open_ledger
from vvbatch.ledger import Ledger
from vvbatch.ledger.records import chunks, timestamp
from vvbatch.ledger.schema import batches, lines, takes, workers

NOW = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
TEXT = "The lamp went out at nine, and the keeper climbed the stairs with a candle in his hand. "
WORKERS = ("w1", "w2")
IN_WORK = 32


def stamp(before_s: float) -> str:
    return timestamp(NOW - timedelta(seconds=before_s))


def large_ledger(folder: Path, open_lines: int = 60_000, ended_batches: int = 400, lines_each: int = 100) -> Ledger:
    """One open batch, half of it rendered and a twentieth failed, and batches that have ended."""
    ledger = open_ledger(folder)
    ledger.now = lambda: stamp(0)
    with ledger.transaction() as connection:
        for index, worker in enumerate(WORKERS):
            facts = {"device": "cuda", "dtype": "bfloat16", "slots": IN_WORK // 2}
            row = {"id": worker, "profile": "1.5b", "host": "studio", "pid": 100 + index, "state": "running"}
            connection.execute(workers.insert().values(**row, facts=facts, started_at=stamp(90_000)))
        sizes = {"saga": open_lines} | {f"old-{n:04}": lines_each for n in range(ended_batches)}
        for number, (batch, size) in enumerate(sizes.items()):
            is_open = batch == "saga"
            connection.execute(
                batches.insert().values(
                    id=batch,
                    title=batch,
                    script=f"{batch}.yaml",
                    fingerprint=batch,
                    model="1.5b",
                    priority="normal",
                    out="/out",
                    state="open" if is_open else "done",
                    created_at=stamp(100_000 + 1000 * number),
                    ended_at=None if is_open else stamp(99_500 + 1000 * number),
                )
            )
            for table, rows in rows_of(batch, size, is_open=is_open, begun_s=99_000 + 1000 * number).items():
                for chunk in chunks(rows, 1000):
                    connection.execute(table.insert(), chunk)
    with ledger.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return ledger


def rows_of(batch: str, size: int, *, is_open: bool, begun_s: float) -> dict[Table, list[dict[str, object]]]:
    found: dict[Table, list[dict[str, object]]] = {lines: [], takes: []}
    dice = random.Random(batch)
    for number, state in enumerate(states(size, is_open=is_open), start=1):
        line_id = f"{batch}-{number:06d}"
        text = f"{number}. " + TEXT * dice.randint(1, 6)
        # The newest of an open batch ended just now.
        begun, took = (3 * (size // 2 - number), dice.uniform(20, 60)) if is_open else (begun_s - number, 30.0)
        tried = state in ("done", "failed", "rendering")
        take = f"take-{line_id}" if tried else None
        error = "silence 1.0 (limit 0.8)" if state == "failed" else None
        found[lines].append(
            {
                "id": line_id,
                "batch_id": batch,
                "line": f"l{number}",
                "number": number,
                "chapter": 1 + number // 100,
                "chapter_title": "One",
                "model": "1.5b",
                "state": state,
                "attempt": int(tried),
                "crashes": 0,
                "key": f"key {line_id}",
                "control_hash": "c" * 64,
                "text": text,
                "request": {"turns": [[0, text]], "seed": number, "voices": [{"name": "carter", "sha256": "f" * 64}]},
                "takes": 1,
                "pause_after_s": 0.4,
                "take_id": take if state == "done" else None,
                "path": f"/out/{line_id}.wav" if state == "done" else None,
                "error": error,
                "worker": WORKERS[number % 2] if tried else None,
                "created_at": stamp(100_000),
                "updated_at": stamp(max(0.0, begun)),
            }
        )
        if take:
            ended = {"done": "done", "failed": "failed_qc"}.get(state)
            found[takes].append(
                {
                    "id": take,
                    "batch_id": batch,
                    "line_id": line_id,
                    "attempt": 1,
                    "state": ended or "rendering",
                    "key": f"key {line_id}",
                    "profile": "1.5b",
                    "engine": "vibevoice 1",
                    "model": "VibeVoice-1.5B",
                    "revision": "1",
                    "device": "cuda",
                    "dtype": "bfloat16",
                    "voices": [{"name": "carter"}],
                    "seed": number,
                    "params": {"cfg_scale": 1.3},
                    "control_hash": "c" * 64,
                    "text": text,
                    "path": f"/out/{line_id}.wav" if state == "done" else None,
                    "duration_s": len(text) / 15 if ended else None,
                    "wall_s": took if ended else None,
                    "score": round(dice.uniform(0.6, 1.0), 3) if state == "done" else None,
                    "error": error,
                    "worker": WORKERS[number % 2],
                    "created_at": stamp(max(0.0, begun) + took),
                    "ended_at": stamp(max(0.0, begun)) if ended else None,
                }
            )
    return found


def states(size: int, *, is_open: bool) -> Iterator[str]:
    for number in range(1, size + 1):
        if is_open and number > size // 2:
            yield "rendering" if number <= size // 2 + IN_WORK else "queued"
        else:
            yield "failed" if number % 20 == 0 and is_open else "done"
