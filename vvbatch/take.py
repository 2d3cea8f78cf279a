"""From an engine's samples to a take: joined, judged, brought to its level, encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vvbatch import audio, qc
from vvbatch.engine import SAMPLE_RATE
from vvbatch.ledger import Outcome
from vvbatch.profiles import QcLimits


class EngineFailed(Exception):
    """The engine gave a line up (NaN latents at a step, …)."""

    def __init__(self, error: str, wall_s: float) -> None:
        super().__init__(error)
        self.outcome = Outcome("failed", error=error, wall_s=wall_s)


@dataclass(frozen=True)
class Audio:
    """What an engine gave for one request: float32 mono at 24 kHz, and how long it took."""

    chunks: list[NDArray[np.float32]]
    wall_s: float
    first_chunk_s: float | None
    runaway: bool = False
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Take:
    """A judged take; `wav` is the whole file when it passed, empty when not."""

    outcome: Outcome
    wav: bytes = b""
    score: float = 0.0  # 0 to 1 (`vvbatch.qc.score`)

    def written(self, path: Path, sha256: str, size: int) -> Outcome:
        return replace(self.outcome, path=str(path), sha256=sha256, size_bytes=size)

    def superseded(self) -> Outcome:
        return replace(self.outcome, state="superseded")


BYTES_PER_SECOND = 2 * SAMPLE_RATE
LONGEST_S_PER_CHARACTER = 0.25  # of speech
DEVICE_CHECKS = {"finite", "not_empty"}


def audio_room(text: str) -> int:
    """Bytes that the file of a text may need at most."""
    return int((5 + LONGEST_S_PER_CHARACTER * len(text)) * BYTES_PER_SECOND)


def no_audio(outcome: Outcome) -> bool:
    """Whether what failed its checks is no sound at all: the device's fault more likely than the text's."""
    return any(name in DEVICE_CHECKS and not ok for name, _, _, ok in outcome.qc)


def judge(rendered: Audio, text: str, limits: QcLimits) -> Take:
    """Check the samples as the engine gave them; only what passes is levelled and encoded."""
    samples = np.concatenate(rendered.chunks) if rendered.chunks else np.zeros(0, np.float32)
    checks = qc.judge(samples, SAMPLE_RATE, text, limits, runaway=rendered.runaway)
    failed = [check for check in checks if not check.ok]
    outcome = Outcome(
        state="failed_qc" if failed else "done",
        error="; ".join(f"{check.name} {check.value} (limit {check.limit})" for check in failed) or None,
        duration_s=len(samples) / SAMPLE_RATE,
        wall_s=rendered.wall_s,
        first_chunk_s=rendered.first_chunk_s,
        metrics=rendered.metrics,
        qc=[(check.name, check.value, check.limit, check.ok) for check in checks],
    )
    if failed:
        return Take(outcome)
    levelled, gain_db = audio.bring_to_peak(samples)
    outcome = replace(
        outcome,
        peak_dbfs=audio.peak_dbfs(levelled),
        loudness_lufs=audio.loudness_lufs(levelled, SAMPLE_RATE),
        metrics={**rendered.metrics, "gain_db": gain_db},
    )
    return Take(outcome, audio.wav_bytes(audio.to_pcm16(levelled), SAMPLE_RATE), qc.score(checks))
