"""A worker whose engine has its audio ready at once: for tests and benchmarks of everything but the engine.

`python -m tests.support.ready PROFILE`. Words in the text steer what it does: `slowly` takes 40 steps of 50 ms each,
`nan`, `inf`, `clipped`, `empty` and `silent` give such audio, `broken` fails, `refused` is refused, `once-bad`
is bad with the line's own seed and good with any other, `demanding` is bad unless the profile's name ends in 2.
`killer` ends the process with SIGKILL, `segfault` with SIGSEGV, `memory` asks for more than there is, `raises` lets a
step raise. `hangs` stands still in a C call, `holds` in one that keeps the interpreter's lock, `spins` goes round in
Python, `endless` gives sound step after step and never ends.

The environment: READY_BROKEN=fails is a device on which every line fails, =raises one on which every step raises,
READY_AHEAD_S a wall clock that is ahead,
READY_STEPS a file that gets the step's number and what was cancelled.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.voicelike import syllables
from vvbatch.engine.contract import Chunk, EngineFacts, Event, Failed, Finished, Request, RequestRefused
from vvbatch.profiles import Profile

SECONDS_PER_CHARACTER = 0.07


def speechlike(request: Request) -> NDArray[np.float32]:
    """As long as the text should take; the same for the same request."""
    text = " ".join(turn.text for turn in request.turns)
    return syllables(max(0.4, len(text) * SECONDS_PER_CHARACTER), [request.seed, len(text)])


class ReadyEngine:
    def __init__(self, profile: Profile) -> None:
        self.slots = profile.slots
        self.facts = EngineFacts("ready", "1", profile.model.repo, profile.model.revision, "cpu", "float32")
        self.requests: dict[str, tuple[Request, int]] = {}
        self.steps = 0
        self.able = profile.name.endswith("2")

    def admit(self, request: Request) -> None:
        text = " ".join(turn.text for turn in request.turns)
        if "refused" in text:
            raise RequestRefused("this text is refused")
        self.requests[request.id] = (request, max(40 * text.count("slowly"), 1))

    def step(self) -> list[Event]:
        events: list[Event] = []
        self.steps += 1
        self.tell(f"step {self.steps}")
        if any("slowly" in turn.text for request, _ in self.requests.values() for turn in request.turns):
            time.sleep(0.05)
        if self.requests and os.environ.get("READY_BROKEN") == "raises":
            raise RuntimeError("the device does not answer")
        for request_id, (request, left) in list(self.requests.items()):
            if "endless" in request.turns[0].text:
                time.sleep(0.05)
                events.append(Chunk(request_id, np.zeros(3200, np.float32)))
                continue
            if left > 1:
                self.requests[request_id] = (request, left - 1)
                continue
            del self.requests[request_id]
            events += finish(request, able=self.able)
        return events

    def cancel(self, request_id: str) -> None:
        self.requests.pop(request_id, None)
        self.tell(f"cancelled {request_id} after step {self.steps}")

    def tell(self, word: str) -> None:
        if file := os.environ.get("READY_STEPS"):
            with Path(file).open("a") as log:
                log.write(word + "\n")

    def close(self) -> None:
        self.requests.clear()


def finish(request: Request, *, able: bool) -> list[Event]:
    text = " ".join(turn.text for turn in request.turns)
    if "killer" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "segfault" in text:
        ctypes.string_at(0)
    if "memory" in text:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        np.ones(64 << 30)
    if "hangs" in text:
        ctypes.CDLL(None).sleep(3600)
    if "holds" in text.split():
        ctypes.PyDLL(None).sleep(3600)
    while "spins" in text.split():
        pass
    if "raises" in text.split():
        raise RuntimeError("index out of range in self")
    if "broken" in text or os.environ.get("READY_BROKEN") == "fails":
        return [Failed(request.id, "NaN latents at step 7")]
    samples = speechlike(request)
    if "silent" in text or ("once-bad" in text and request.seed == 7) or ("demanding" in text and not able):
        samples = np.zeros_like(samples)
    if "nan" in text.split():
        samples[100] = np.nan
    if "inf" in text.split():
        samples[100] = np.inf
    if "clipped" in text.split():
        samples = np.clip(samples * 100, -1.0, 1.0)
    if "empty" in text.split():
        samples = samples[:0]
    half = len(samples) // 2
    return [Chunk(request.id, samples[:half]), Chunk(request.id, samples[half:]), Finished(request.id)]


def open_ready(profile: Profile, cache: Path) -> ReadyEngine:
    return ReadyEngine(profile)


def set_clock_ahead(seconds: float) -> None:
    """For this process, as if its machine's clock were wrong: the ledger's time, rq's, and time.time."""
    import rq.utils

    from vvbatch.ledger import Ledger, records

    real, utc_now = time.time, records.utc_now
    time.time = lambda: real() + seconds

    def wrong_now() -> str:
        return records.earlier(utc_now(), -seconds)

    records.utc_now = wrong_now
    Ledger.__init__.__defaults__ = (wrong_now,)
    rq.utils.now = lambda: datetime.now(UTC) + timedelta(seconds=seconds)


if __name__ == "__main__":
    if "READY_AHEAD_S" in os.environ:
        set_clock_ahead(float(os.environ["READY_AHEAD_S"]))
    from workers.serve import serve

    sys.exit(
        serve(
            sys.argv[1],
            open_engine=open_ready,
            listener_program=(sys.executable, "-m", "tests.support.ready_listening"),
        )
    )
