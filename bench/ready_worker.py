"""`python -m bench.ready_worker PROFILE`: a worker whose engine returns prepared audio, to time everything else."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.voicelike import syllables
from vvbatch.engine.contract import Chunk, EngineFacts, Event, Finished, Request
from vvbatch.profiles import Profile

TEXT = "The lamp went out at midnight, and no one on the island had touched it."
SECONDS = 4.5


class ReadyEngine:
    def __init__(self, profile: Profile) -> None:
        self.slots = profile.slots
        self.facts = EngineFacts("ready", "1", profile.model.repo, profile.model.revision, "cpu", "float32")
        self.audio = syllables(SECONDS, [7])
        self.waiting: list[Request] = []

    def admit(self, request: Request) -> None:
        self.waiting.append(request)

    def step(self) -> list[Event]:
        ready, self.waiting = self.waiting, []
        return [event for one in ready for event in (Chunk(one.id, self.audio), Finished(one.id))]

    def cancel(self, request_id: str) -> None:
        self.waiting = [one for one in self.waiting if one.id != request_id]

    def close(self) -> None:
        self.waiting.clear()


def open_ready(profile: Profile, cache: Path) -> ReadyEngine:
    return ReadyEngine(profile)


if __name__ == "__main__":
    from workers.serve import serve

    sys.exit(serve(sys.argv[1], open_engine=open_ready))
