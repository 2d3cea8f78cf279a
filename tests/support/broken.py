"""A worker whose draft engine is broken: `BROKEN=voice|seed|slower|louder|cut python -m tests.support.broken PROFILE`.

Everything else is in order; the ledger is not informed.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import soxr

from vvbatch.engine.contract import SAMPLE_RATE, Chunk, Event, Finished, Request
from vvbatch.engine.draft import DraftEngine
from vvbatch.profiles import Profile

SLOWER = 1.03
LOUDER = 10 ** (1 / 20)
LAST_WORD_S = 0.4
Samples = np.ndarray


class BrokenEngine(DraftEngine):
    """All the audio of a line comes at its end, so that it can be spoilt as a whole."""

    def __init__(self, profile: Profile, how: str) -> None:
        super().__init__(profile)
        self.how = how
        self.spoken: dict[str, list[Samples]] = {}

    def admit(self, request: Request) -> None:
        if self.how == "seed":
            request = replace(request, seed=request.seed + 1)
        if self.how == "voice":
            request = with_pitch(request, 5.0)
        if self.how == "slower":  # what the resampling takes off the pitch
            request = with_pitch(request, 12 * float(np.log2(SLOWER)))
        self.spoken[request.id] = []
        super().admit(request)

    def step(self) -> list[Event]:
        events: list[Event] = []
        for event in super().step():
            if isinstance(event, Chunk):
                self.spoken[event.request_id].append(event.samples)
                continue
            if isinstance(event, Finished):
                whole = np.concatenate(self.spoken.pop(event.request_id))
                events.append(Chunk(event.request_id, spoilt(whole, self.how)))
            events.append(event)
        return events


def with_pitch(request: Request, semitones: float) -> Request:
    voices = [
        replace(each, manner=replace(each.manner, pitch=each.manner.pitch + semitones)) for each in request.voices
    ]
    return replace(request, voices=tuple(voices))


def spoilt(samples: Samples, how: str) -> Samples:
    if how == "slower":
        return soxr.resample(samples, SAMPLE_RATE, SAMPLE_RATE * SLOWER, "HQ").astype(np.float32)
    if how == "louder":
        return samples * np.float32(LOUDER)
    if how == "cut":
        (loud,) = np.nonzero(np.abs(samples) > 0.01)
        end = max(int(loud[-1]) - round(LAST_WORD_S * SAMPLE_RATE), SAMPLE_RATE // 4)
        cut = samples[:end].copy()
        fade = SAMPLE_RATE // 50
        cut[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        return np.concatenate([cut, np.zeros(SAMPLE_RATE // 10, np.float32)])
    return samples


def open_broken(profile: Profile, cache: Path) -> BrokenEngine:
    return BrokenEngine(profile, os.environ["BROKEN"])


if __name__ == "__main__":
    from workers.serve import serve

    sys.exit(serve(sys.argv[1], open_engine=open_broken))
