"""Nights for tests: lines that were rendered into real files and recorded as a worker does it, without one."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.ledgers import FACTS, add_batch, begin
from tests.support.sounds import speechlike
from vvbatch import audio, store
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.home import Home
from vvbatch.ledger import Ledger, Outcome
from vvbatch.ledger.batches import settle_batch
from vvbatch.ledger.recovery import worker_started
from vvbatch.ledger.states import LineState, TakeState
from vvbatch.regress import records, run_night
from vvbatch.regress.suite import Settings, Suite
from vvbatch.script import Script

TEXTS = ("The first line.", "The second line.", "The third line.", "The <b>fourth</b> & last line.")
MACHINE = {"host": "h", "cpu": "c"}


def suite(**settings: Any) -> Suite:
    path = Path("small.yaml")
    return Suite("small", path, Script(path, "", "Small & <i>plain</i>", None, None, ()), Settings(**settings))


@functools.cache
def voice(number: int, **changed: float) -> np.ndarray:
    samples = speechlike(1.2 + 0.2 * number, seed=number, pitch_hz=changed.get("pitch_hz", 120.0))
    samples = samples * np.clip(np.linspace(len(samples) / 2400, 0, len(samples)), 0, 1)
    return (samples * 10 ** (changed.get("gain_db", 0.0) / 20) * 0.5).astype(np.float32)


def rendered(
    ledger: Ledger,
    home: Home,
    name: str,
    sounds: Mapping[int, np.ndarray | None] | None = None,
    machine: Mapping[str, str] = MACHINE,
    wall_s: float = 0.6,
    slots: int = 16,
) -> str:
    """Record a night's batch; `sounds` by line number in place of the usual ones, None for a line that failed."""
    out = home.folder("regress") / "small" / "nights"
    records.begin(ledger, name, "small", "draft")
    batch = add_batch(ledger, f"night-{name}", TEXTS, out)
    records.set_batch(ledger, name, batch)
    worker = f"w-{name}"
    facts = {**vars(FACTS), "details": {"slots": slots}, "machine": machine, "versions": {"numpy": "2"}}
    worker_started(ledger, worker, "draft", "h", 1, facts)
    for number in range(1, len(TEXTS) + 1):
        samples = sounds[number] if sounds and number in sounds else voice(number)
        claim, take_id = begin(ledger, batch, number, worker)
        if samples is None:
            failure = Outcome(TakeState.FAILED, error="NaN latents at step 7")
            ledger.release(claim, LineState.FAILED, failure.error, [(take_id, failure)], trouble="engine")
            continue
        path = out / batch / "chapter-01" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        written = store.write_atomically(path, audio.wav_bytes(audio.to_pcm16(samples), SAMPLE_RATE))
        duration_s = len(samples) / SAMPLE_RATE
        outcome = Outcome(
            TakeState.DONE, path=str(path), sha256=written.sha256, size_bytes=written.size, duration_s=duration_s
        )
        outcome = replace(outcome, wall_s=wall_s, first_chunk_s=0.1, metrics={"peak_bytes": 300_000_000})
        ledger.keep_take(claim, take_id, outcome, lambda: None)
    settle_batch(ledger, batch)
    return batch


def judged(ledger: Ledger, home: Home, name: str, sounds: Any = None, settings: Any = None, **how: Any) -> str:
    """A whole night: recorded and judged. Returns its id."""
    batch = rendered(ledger, home, name, sounds, **how)
    run_night.record(suite(**(settings or {})), home, ledger, name, "draft", batch, lambda done, total: None)
    return name
