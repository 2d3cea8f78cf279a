"""A render from start to end in the caller's own time: workers where none run, until the batches end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import redis

from vvbatch import queue
from vvbatch.engine import EngineUnavailable
from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import open_batches
from vvbatch.server import EmbeddedServer
from vvbatch.supervisor import Program, Supervisor

LOOK_S = 0.2
GRACE_S = 600.0  # to finish what is in flight; a second Ctrl-C ends it sooner


def worker_program(model: str) -> Program:
    return Program(name=model, argv=[sys.executable, "-m", "workers", model])


def nightly_program() -> Program:
    """What runs the suites that are scheduled."""
    return Program(name="nightly", argv=[sys.executable, "-m", "workers.nightly"])


@contextmanager
def workers_for(server: EmbeddedServer, connection: redis.Redis, models: Sequence[str]) -> Iterator[Supervisor]:
    """A worker for every model that has none; ended, after finishing what is in flight, with the block."""
    missing = [worker_program(model) for model in models if not queue.has_worker(connection, model)]
    with Supervisor(server.home, missing, server=server, fail_fast=True) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.stop(GRACE_S)


def wait_for(
    ledger: Ledger, batch_ids: Sequence[str], supervisor: Supervisor, show: Callable[[], None] = lambda: None
) -> None:
    """Return when every batch has ended. Raises EngineUnavailable when a worker cannot start."""
    while open_batches(ledger, batch_ids):
        look_after(supervisor)
        show()
        time.sleep(LOOK_S)
    show()


def look_after(supervisor: Supervisor) -> None:
    """Restart what died. Raises EngineUnavailable when a worker cannot start."""
    supervisor.poll()
    if supervisor.unavailable:
        raise EngineUnavailable(supervisor.unavailable)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """A SIGTERM ends the block as Ctrl-C does: cleanly."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
