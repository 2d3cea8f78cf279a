"""A worker whose engine has its audio ready at once: for tests and benchmarks of everything but the engine.

`python -m tests.ready PROFILE`. What it does is steered by words in the text: `slowly` takes 40 steps of 50 ms,
`nan` gives NaN, `silent` silence, `broken` fails, `refused` is refused, `killer` ends the process with SIGKILL,
`once-bad` is bad with the line's own seed and good with any other.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine import SAMPLE_RATE, Chunk, EngineFacts, Event, Failed, Finished, Request, RequestRefused
from vvbatch.profiles import Profile

SECONDS_PER_CHARACTER = 0.07


def speechlike(request: Request) -> NDArray[np.float32]:
    """A voice-like buzz with syllables, as long as the text should take; the same for the same request."""
    text = " ".join(turn.text for turn in request.turns)
    generator = np.random.default_rng([request.seed, len(text)])
    count = int(max(0.4, len(text) * SECONDS_PER_CHARACTER) * SAMPLE_RATE)
    t = np.arange(count) / SAMPLE_RATE
    pitch = 110 + 60 * generator.random()
    buzz = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 8))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * t)
    fade = np.clip((t[-1] - t) / 0.15, 0.0, 1.0)  # speech does not end in mid-word
    return (0.1 * buzz * syllables * fade + 1e-3 * generator.standard_normal(count)).astype(np.float32)


class ReadyEngine:
    def __init__(self, profile: Profile) -> None:
        self.slots = profile.slots
        self.facts = EngineFacts("ready", "1", profile.model.repo, profile.model.revision, "cpu", "float32")
        self.requests: dict[str, tuple[Request, int]] = {}

    def admit(self, request: Request) -> None:
        text = " ".join(turn.text for turn in request.turns)
        if "refused" in text:
            raise RequestRefused("this text is refused")
        self.requests[request.id] = (request, 40 if "slowly" in text else 1)

    def step(self) -> list[Event]:
        events: list[Event] = []
        if any("slowly" in turn.text for request, _ in self.requests.values() for turn in request.turns):
            time.sleep(0.05)
        for request_id, (request, left) in list(self.requests.items()):
            if left > 1:
                self.requests[request_id] = (request, left - 1)
                continue
            del self.requests[request_id]
            events += finish(request)
        return events

    def cancel(self, request_id: str) -> None:
        self.requests.pop(request_id, None)

    def close(self) -> None:
        self.requests.clear()


def finish(request: Request) -> list[Event]:
    text = " ".join(turn.text for turn in request.turns)
    if "killer" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "broken" in text:
        return [Failed(request.id, "NaN latents at step 7")]
    samples = speechlike(request)
    if "silent" in text or ("once-bad" in text and request.seed == 7):
        samples = np.zeros_like(samples)
    if "nan" in text.split():
        samples[100] = np.nan
    half = len(samples) // 2
    return [Chunk(request.id, samples[:half]), Chunk(request.id, samples[half:]), Finished(request.id)]


def open_ready(profile: Profile, cache: Path) -> ReadyEngine:
    return ReadyEngine(profile)


if __name__ == "__main__":
    from workers.serve import serve

    sys.exit(serve(sys.argv[1], open_engine=open_ready))
