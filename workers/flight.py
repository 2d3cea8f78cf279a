"""A job in flight: its rq record, its generator, and the audio of the take being rendered."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import numpy as np
import redis
from numpy.typing import NDArray

from jobs.render import Answer, ListenRequest, Rendering
from jobs.takes import Rendered
from vvbatch.engine.contract import Finished, Request
from vvbatch.machine import peak_memory
from vvbatch.profiles import PATIENT_SLOTS, Patience
from vvbatch.transport.stream import Stream
from workers.rq_jobs import OpenJob

log = logging.getLogger("vvbatch.worker")


@dataclass
class Flight:
    job: OpenJob
    rendering: Rendering
    line_id: str
    request: Request | None = None  # in a slot of the engine, or waiting for one
    listening_to: str | None = None  # id of the take whose verdict is awaited
    started: float = 0.0  # by time.perf_counter, when the engine got the request
    first_chunk_s: float | None = None
    chunks: list[NDArray[np.float32]] = field(default_factory=list)
    stream: Stream | None = None

    def proceed(self, answer: Answer | Exception | None) -> Request | ListenRequest:
        """Run the job until it wants something: start it with None, else with the answer or error it waits for.

        Raises StopIteration with how it ended.
        """
        self.request = self.listening_to = None
        if answer is None:
            return next(self.rendering)
        if isinstance(answer, Exception):
            return self.rendering.throw(answer)
        return self.rendering.send(answer)

    def begin(self) -> None:
        """The engine has the request."""
        self.chunks, self.first_chunk_s, self.started = [], None, time.perf_counter()

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self.started

    def add(self, samples: NDArray[np.float32]) -> None:
        """The next chunk of the take. A stream that cannot be written ends, the take does not."""
        if self.first_chunk_s is None:
            self.first_chunk_s = self.wall_s
        self.chunks.append(samples)
        if self.stream:
            try:
                self.stream.push(samples)
            except redis.exceptions.RedisError as error:
                log.warning("%s is no longer streamed: %s", self.line_id, error)
                self.stream = None

    def rendered(self, event: Finished) -> Rendered:
        metrics = {"peak_bytes": peak_memory(), **event.metrics}
        chunks, self.chunks = self.chunks, []
        return Rendered(chunks, self.wall_s, self.first_chunk_s, event.runaway, metrics)


def take_allowed(request: Request, patience: Patience, slots: int) -> float:
    """Seconds that a take may occupy one of an engine's slots."""
    return (patience.step_s + patience.take_s_per_char * characters(request)) * share_of(slots)


def step_allowed(requests: list[Request], patience: Patience, slots: int) -> float:
    """Seconds that one step of the engine may take with these requests in its slots."""
    longest = max(map(characters, requests), default=0)
    return (patience.step_s + patience.step_s_per_char * longest) * share_of(slots)


def share_of(slots: int) -> float:
    """A step may cost what all slots need, however many lines speak; beyond PATIENT_SLOTS more slots take longer."""
    return max(1.0, slots / PATIENT_SLOTS)


def characters(request: Request) -> int:
    return sum(len(turn.text) for turn in request.turns)
