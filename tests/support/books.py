"""Takes with a known shape, and small books of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from tests.support.ledgers import planned
from vvbatch.batch.book_order import BookOrder
from vvbatch.batch.output import line_name
from vvbatch.book.build import Work
from vvbatch.book.contents import RATE, About, Break, Chapter, Speech
from vvbatch.book.pauses import Pauses
from vvbatch.book.presets import PRESETS, Preset
from vvbatch.ledger import Ledger, NewBatch
from vvbatch.ledger.batches import record_batch
from vvbatch.ledger.schema import batches, lines

Samples = NDArray[np.float32]


def speech_like(seconds: float, seed: int = 0, rms_dbfs: float = -26.0) -> Samples:
    """Noise with the spectrum and the syllables of speech, loud from its first sample to its last."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    low = signal.lfilter([1.0], [1.0, -0.95], random.standard_normal(count))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4.0 * np.arange(count) / RATE + random.uniform(0, 6))
    voiced = low * syllables
    voiced *= 10 ** (rms_dbfs / 20) / np.sqrt(np.mean(np.square(voiced)))
    return np.asarray(np.clip(voiced, -0.85, 0.85), np.float32)


def take_samples(
    seconds: float, seed: int = 0, before_s: float = 0.2, after_s: float = 0.2, rms_dbfs: float = -26.0,
    floor_dbfs: float | None = None,
) -> Samples:  # fmt: skip
    """Silence, speech, silence; with a floor of noise if one is given."""
    speech = speech_like(seconds, seed, rms_dbfs)
    whole = np.pad(speech, (round(before_s * RATE), round(after_s * RATE)))
    if floor_dbfs is not None:
        noise = np.random.default_rng(seed + 99).standard_normal(len(whole)) * 10 ** (floor_dbfs / 20)
        whole = (whole + noise).astype(np.float32)
    return whole


def write_take(folder: Path, name: str, samples: Samples) -> tuple[Path, str]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.wav"
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def speech(
    folder: Path, line: str, samples: Samples, voice: str = "emma", *, text: str = "Some words.", title: bool = False,
    break_after: Break = Break.LINE, pause_after_s: float | None = None,
) -> Speech:  # fmt: skip
    path, sha256 = write_take(folder, line, samples)
    return Speech(line, path, sha256, voice, text, title, break_after, pause_after_s)


def chapter(folder: Path, number: int, lines: int = 3, seconds: float = 1.5, title: str = "") -> Chapter:
    """Lines of two voices that take turns."""
    items = []
    for index in range(lines):
        seed = 100 * number + index
        voice, level = ("emma", -26.0) if index % 2 == 0 else ("carter", -22.0)
        samples = take_samples(seconds, seed, rms_dbfs=level)
        text = f"This is line {index + 1} of chapter {number}."
        items.append(speech(folder, f"c{number:03d}-l{index}", samples, voice, text=text))
    return Chapter(number, title or f"The {number}. chapter", tuple(items))


def work(
    chapters: Sequence[Chapter], preset: Preset = PRESETS["audiobook"], about: About | None = None,
    pauses: Pauses | None = None,
) -> Work:  # fmt: skip
    stated = about or About("The Lamp", author="Jane Author", narrator="Nora Narrator", language="en", date="2026")
    return Work(stated, tuple(chapters), pauses or Pauses(), preset)


def finished_batch(
    ledger: Ledger, out: Path, batch: str = "lamp-1", chapters: int = 2, lines_each: int = 2, *,
    order: BookOrder | None = None, script: str = "lamp.yaml", edited: int | None = None, title: str = "The Lamp",
) -> str:  # fmt: skip
    """A batch whose lines are all rendered. `edited` is the number of a line with another take than usual."""
    planned_lines = []
    for number in range(1, chapters * lines_each + 1):
        chapter = (number - 1) // lines_each + 1
        voice = "emma" if number % 2 else "carter"
        line = planned(number, f"This is line {number}.", batch, voice=voice)
        planned_lines.append(replace(line, chapter=chapter, chapter_title=f"Part {chapter}"))
    stored = msgspec.to_builtins(order) if order else None
    new = NewBatch(batch, title, script, f"fingerprint {batch}", "draft", "normal", str(out), book=stored)
    record_batch(ledger, new, planned_lines)
    with ledger.engine.begin() as connection:
        for line in planned_lines:
            name = line_name(batch, line.chapter, line.number, line.line)
            level = -26.0 if line.number % 2 else -23.0
            samples = take_samples(1.0, line.number + (500 if line.number == edited else 0), rms_dbfs=level)
            path, sha256 = write_take((out / name).parent, (out / name).stem, samples)
            done = {"state": "done", "path": str(path), "sha256": sha256}
            mine = (lines.c.batch_id == batch) & (lines.c.number == line.number)
            connection.execute(lines.update().where(mine).values(done))
        ended = {"state": "done", "ended_at": ledger.now()}
        connection.execute(batches.update().where(batches.c.id == batch).values(ended))
    return batch
