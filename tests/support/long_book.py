"""A batch of many lines with files, written row by row: what the report of a long book is made of."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import numpy as np

from tests.support.large_ledger import stamp
from tests.support.ledgers import open_ledger, planned
from tests.support.sounds import RATE, speechlike, write_wav
from vvbatch.batch.output import line_name
from vvbatch.ledger import Ledger
from vvbatch.ledger.records import chunks
from vvbatch.ledger.schema import batches, lines, qc_results, takes
from vvbatch.store import sha256_file

BATCH = "saga"
SENTENCES = (
    "The lamp went out at nine, and the keeper climbed the stairs with a candle in his hand.",
    "Nobody had seen the boat come in.",
    "“You’re late,” she said, and turned back to the window, where the rain ran down the glass.",
    "He counted 1,984 steps before he stopped counting, and by then the wind had dropped to almost nothing at all.",
)
FILES = 12  # of different lengths, shared by the lines


def long_book(
    folder: Path, chapters: int = 3, lines_each: int = 8, failed_every: int = 0, mean_s: float = 1.0
) -> Ledger:
    """Lines with one take each, those of a chapter slightly louder or slower than the last; some failed."""
    ledger, out, dice = open_ledger(folder), folder / "out", random.Random(1)
    sounds = []
    for number in range(FILES):
        samples = speechlike(mean_s * (0.4 + 1.2 * number / FILES), seed=number)
        file = write_wav(folder / f"sound-{number}.wav", samples)
        sounds.append((file, sha256_file(file), len(samples) / RATE))
    rows: dict[str, list[dict[str, object]]] = {"lines": [], "takes": [], "checks": []}
    count = chapters * lines_each
    for number in range(1, count + 1):
        chapter = (number - 1) // lines_each + 1
        fails = bool(failed_every) and number % failed_every == 0
        source, sha256, duration_s = sounds[dice.randrange(FILES)]
        path = out / line_name(BATCH, chapter, number, f"l{number}")
        if not fails:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, path)
        add(rows, number, chapter, None if fails else (path, sha256), duration_s, dice)
    with ledger.transaction() as connection:
        connection.execute(
            batches.insert().values(
                id=BATCH, title="The <script>alert(1)</script> & Saga", script="saga.yaml", fingerprint=BATCH,
                model="1.5b", priority="normal", out=str(out), state="failed" if failed_every else "done",
                created_at=stamp(90_000), ended_at=stamp(0),
            )
        )  # fmt: skip
        for table, name in ((lines, "lines"), (takes, "takes"), (qc_results, "checks")):
            for chunk in chunks(rows[name], 1000):
                connection.execute(table.insert(), chunk)
    return ledger


def add(
    rows: dict[str, list[dict[str, object]]], number: int, chapter: int, file: tuple[Path, str] | None,
    duration_s: float, dice: random.Random,
) -> None:  # fmt: skip
    fails, (path, sha256) = file is None, (str(file[0]), file[1]) if file else (None, None)
    line_id, written = f"{BATCH}-{number:05d}", SENTENCES[number % len(SENTENCES)]
    text = written.replace("1,984", "one thousand nine hundred and eighty four")
    voice = "alice" if number % 5 == 0 else "carter"
    request = msgspec.to_builtins(planned(number, text, BATCH, voice=voice).request)
    error = "was cut short: 0.2 s of speech where at least 1.0 s were expected (duration_min)" if fails else None
    at = 80_000 - number * 15
    common = {"key": f"key {line_id}", "control_hash": "c" * 64, "text": text, "written": written, "error": error}
    rows["lines"].append(
        {
            "id": line_id, "batch_id": BATCH, "line": f"l{number}", "number": number, "chapter": chapter,
            "chapter_title": f"The <b>chapter</b> of {chapter}", "model": "1.5b", "attempt": 1, "crashes": 0,
            "state": "failed" if fails else "done", "request": request, "takes": 1,
            "pause_after_s": 0.4, "take_id": None if fails else f"take-{line_id}", "path": path,
            "sha256": sha256, "worker": "w1", "created_at": stamp(90_000), "updated_at": stamp(at), "trouble": "qc",
            "script_line": number + 4, **common,
        }
    )  # fmt: skip
    rows["takes"].append(
        {
            "id": f"take-{line_id}", "batch_id": BATCH, "line_id": line_id, "attempt": 1,
            "state": "failed_qc" if fails else "done", "profile": "1.5b", "engine": "vibevoice 1",
            "model": "VibeVoice-1.5B", "revision": "1", "device": "cpu", "dtype": "bfloat16",
            "voices": request["voices"],
            "seed": number, "params": {"cfg_scale": 1.3}, "duration_s": duration_s, "wall_s": duration_s * 3,
            "rtf": 3.0, "score": 0.0 if fails else round(dice.uniform(0.55, 0.95), 3), "worker": "w1",
            "loudness_lufs": None if fails else dice.gauss(-20 + chapter * 0.05, 1.0), "created_at": stamp(at + 15),
            "ended_at": stamp(at), "path": path, "sha256": sha256, "chosen": None if fails else "passed",
            **common,
        }
    )  # fmt: skip
    found = {
        "finite": (0, 0), "duration_min": (duration_s if not fails else 0.2, 1.0 if fails else 0.5),
        "duration_max": (float(np.clip(len(text) * dice.gauss(0.06, 0.006), 0.1, 99)), 12.0),
        "noise_floor": (dice.gauss(-68, 2), -50.0), "voice": (dice.gauss(0.72, 0.04), 0.4),
        "background": (dice.gauss(4.1, 0.1), 3.0), "wer": (0.05, 0.3),
    }  # fmt: skip
    for position, (name, (value, limit)) in enumerate(found.items()):
        ok = not (fails and name == "duration_min")
        rows["checks"].append(
            {"take_id": f"take-{line_id}", "position": position, "name": name, "value": value, "limit": limit,
             "ok": ok, "weight": 1.0, "detail": None}
        )  # fmt: skip
