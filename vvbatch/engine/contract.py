"""What an engine takes and gives: requests in, audio chunks out, many lines at once.

A worker admits requests while the engine has free slots, then calls `step` again and again; every step advances each
occupied slot and returns what happened. Nothing here imports torch: only the engine modules themselves do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vvbatch.errors import InputError, UnavailableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 24_000
"""Hz; every engine gives audio at this rate."""

FRAME = 3_200
"""Samples in one frame of a VibeVoice model: the length of its chunks, and what it reads of a voice at a time."""

VERSIONS: Mapping[str, str] = {"draft": "1", "vibevoice": "2", "bench": "1"}
"""Part of every request's key: raise an engine's number when the same request would sound different."""


class EngineUnavailable(UnavailableError):
    """The engine cannot start here (package, model, memory or device missing); the message names the remedy."""


class RequestRefused(InputError):
    """This one request cannot be rendered, now or later (a voice file gone, a prompt too long)."""


@dataclass(frozen=True)
class Manner:
    """How the draft engine, which has one voice, speaks as a library voice."""

    rate: float = 1.0  # speaking rate, 1.2 is 20 % faster
    pitch: float = 0.0  # semitones up (+) or down (-)


@dataclass(frozen=True)
class Voice:
    """A voice as an engine needs it: a mono 24 kHz WAV prompt, known by the sha256 of the file's bytes."""

    name: str
    path: Path
    sha256: str
    manner: Manner = Manner()


@dataclass(frozen=True)
class Turn:
    """One speaker's text; `speaker` is an index into the request's `voices`."""

    speaker: int
    text: str


@dataclass(frozen=True)
class Request:
    """One take to render. A single line has one turn, a dialogue up to 4 voices and any number of turns."""

    id: str
    turns: tuple[Turn, ...]
    voices: tuple[Voice, ...]
    seed: int
    cfg_scale: float
    steps: int
    temperature: float = 0.0  # 0 is greedy
    max_duration_s: float | None = None
    stream: bool = False  # the worker publishes each chunk at once, for a listener


@dataclass(frozen=True)
class EngineFacts:
    """What really renders, after every fallback: goes into the ledger with each take."""

    engine: str
    version: str
    model: str
    revision: str
    device: str
    dtype: str
    details: Mapping[str, object] = field(default_factory=dict)  # package versions, slots, threads …


@dataclass(frozen=True)
class Chunk:
    """The next samples of a request: float32, mono, SAMPLE_RATE, contiguous with the chunk before."""

    request_id: str
    samples: NDArray[np.float32]


@dataclass(frozen=True)
class Finished:
    """The request's audio is complete; its slot is free again."""

    request_id: str
    runaway: bool = False  # stopped by the budget, not by the model
    metrics: Mapping[str, object] = field(default_factory=dict)  # frames, tokens, step shape, peak memory …


@dataclass(frozen=True)
class Failed:
    """The request ended without usable audio (NaN latents at a step, …); its slot is free again."""

    request_id: str
    error: str


Event = Chunk | Finished | Failed


class Engine(Protocol):
    slots: int
    facts: EngineFacts

    def admit(self, request: Request) -> None:
        """Occupy a free slot. Raises RequestRefused. The caller never admits more than `slots` at a time."""

    def step(self) -> list[Event]:
        """Advance every occupied slot once; an exception means that the engine itself is broken."""

    def cancel(self, request_id: str) -> None:
        """Free the request's slot; no event for it follows. Unknown ids are ignored."""

    def close(self) -> None:
        """Give the memory back."""
