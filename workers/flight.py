"""A job in a worker's hands."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import numpy as np
import redis
from numpy.typing import NDArray
from rq import Queue
from rq.executions import Execution
from rq.job import Job

from jobs.render import Rendering
from vvbatch.engine.contract import Request
from vvbatch.profiles import Patience
from vvbatch.transport.stream import Stream

log = logging.getLogger("vvbatch.worker")


@dataclass
class Flight:
    """Its rq record, its generator, and what it waits for: the engine, a slot of the engine, or the listener."""

    job: Job
    queue: Queue
    execution: Execution
    rendering: Rendering
    line_id: str
    alone: bool = False  # a suspect: nothing is rendered beside it
    request: Request | None = None  # in the engine
    wanted: Request | None = None  # waits for a slot
    heard: str | None = None  # the take that waits for the listener's verdict
    started: float = 0.0
    first_chunk_s: float | None = None
    chunks: list[NDArray[np.float32]] = field(default_factory=list)
    stream: Stream | None = None

    def begin(self, request: Request) -> None:
        self.request, self.wanted, self.chunks, self.first_chunk_s = request, None, [], None
        self.started = time.perf_counter()

    def let_hear(self, samples: NDArray[np.float32]) -> None:
        """Hand a chunk on to who listens, if anybody does and the server is there."""
        if self.stream:
            try:
                self.stream.push(samples)
            except redis.exceptions.RedisError as error:
                log.warning("%s is not heard any more: %s", self.line_id, error)
                self.stream = None

    def is_late(self, patience: Patience) -> bool:
        if self.request is None:
            return False
        allowed = patience.step_s + patience.take_s_per_char * characters(self.request)
        return time.perf_counter() - self.started > allowed


def characters(request: Request) -> int:
    return sum(len(turn.text) for turn in request.turns)


def step_allowed(requests: list[Request], patience: Patience) -> float:
    """Seconds that one step of the engine may take with these in its slots."""
    return patience.step_s + patience.step_s_per_char * max(map(characters, requests), default=0)
