"""From an engine's samples to a take: joined, judged, brought to its level, encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vvbatch import audio, qc
from vvbatch.engine.contract import SAMPLE_RATE
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
class Judged:
    """The samples as the engine gave them, with the checks that they have had."""

    samples: NDArray[np.float32]
    rendered: Audio
    checks: tuple[qc.Check, ...]

    def also(self, checks: Sequence[qc.Check]) -> Judged:
        return replace(self, checks=(*self.checks, *checks))

    @property
    def speech_s(self) -> float | None:
        """From the first sound to the last; None when there are no samples to measure it on."""
        return next((check.value for check in self.checks if check.name == "duration_max"), None)

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def outcome(self) -> Outcome:
        failed = [check for check in self.checks if not check.ok]
        return Outcome(
            state="failed_qc" if failed else "done",
            error="; ".join(f"{check.name} {check.value} (limit {check.limit})" for check in failed) or None,
            duration_s=len(self.samples) / SAMPLE_RATE,
            wall_s=self.rendered.wall_s,
            first_chunk_s=self.rendered.first_chunk_s,
            metrics=self.rendered.metrics,
            score=round(qc.score(list(self.checks)), 4),
            qc=[(check.name, check.value, check.limit, check.ok, check.weight, check.detail) for check in self.checks],
        )


@dataclass(frozen=True)
class Take:
    """A take that has ended; `wav` is the whole file, empty when there is none to keep."""

    id: str
    attempt: int
    seed: int
    model: str
    outcome: Outcome
    wav: bytes = b""
    speech_s: float | None = None

    @cached_property
    def score(self) -> float:
        return self.outcome.score or 0.0

    def written(self, path: Path, sha256: str, size: int) -> Outcome:
        return replace(self.outcome, path=str(path), sha256=sha256, size_bytes=size)

    def tried(self, state: str | None = None) -> dict[str, Any]:
        """What a line's row tells of a take that was not kept."""
        own = {"take": self.id, "model": self.model, "seed": self.seed}
        told = {"state": state or self.outcome.state, "score": self.outcome.score, "error": self.outcome.error}
        return {**own, **told}


LONGEST_S_PER_CHARACTER = 0.25  # of speech
DEVICE_CHECKS = {"finite", "not_empty"}


def audio_room(text: str) -> int:
    """Bytes that the file of a text may need at most."""
    return int((5 + LONGEST_S_PER_CHARACTER * len(text)) * audio.BYTES_PER_SECOND)


def no_audio(judged: Judged) -> bool:
    """Whether what failed its checks is no sound at all: the device's fault more likely than the text's."""
    return any(check.name in DEVICE_CHECKS and not check.ok for check in judged.checks)


def judge(rendered: Audio, text: str, limits: QcLimits) -> Judged:
    """Everything that can be measured without models."""
    samples = np.concatenate(rendered.chunks) if rendered.chunks else np.zeros(0, np.float32)
    checks = qc.judge(samples, SAMPLE_RATE, text, limits, runaway=rendered.runaway)
    return Judged(samples, rendered, tuple(checks))


def encode(judged: Judged) -> tuple[Outcome, bytes]:
    """The judged samples brought to their level, with what was measured of the file, and the file."""
    levelled, gain_db = audio.bring_to_peak(judged.samples)
    outcome = replace(
        judged.outcome,
        peak_dbfs=audio.peak_dbfs(levelled),
        loudness_lufs=audio.loudness_lufs(levelled, SAMPLE_RATE),
        metrics={**judged.rendered.metrics, "gain_db": gain_db},
    )
    return outcome, audio.wav_bytes(audio.to_pcm16(levelled), SAMPLE_RATE)
