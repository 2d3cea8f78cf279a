"""A render from start to end in the caller's own time: workers where none run, until the batches end."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import redis

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import open_batches
from vvbatch.ledger.queues import waiting_by_model
from vvbatch.processes.supervisor import Program, Supervisor
from vvbatch.transport import queue
from vvbatch.transport.server import EmbeddedServer

LOOK_S = 0.2
NEED_LOOK_S = 1.0  # between two looks for models that lines wait for
GRACE_S = 600.0  # to finish what is in flight; a second Ctrl-C ends it sooner


def worker_program(model: str) -> Program:
    return Program(name=model, argv=[sys.executable, "-m", "workers", model])


def nightly_program() -> Program:
    """What runs the suites that are scheduled."""
    return Program(name="nightly", argv=[sys.executable, "-m", "workers.nightly"])


@dataclass
class Workers:
    """The workers of one command: one for every model that lines of its batches wait for and nobody serves."""

    supervisor: Supervisor
    connection: redis.Redis
    started: set[str] = field(default_factory=set)  # models
    next_look: float = 0.0

    def look_after(self, ledger: Ledger, batch_ids: Sequence[str]) -> None:
        """Start what is needed, restart what died. Raises EngineUnavailable when a worker cannot start.

        A model that lines are escalated to is loaded when the first one is, not before.
        """
        raise_lost_interrupt()
        if time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + NEED_LOOK_S
            for model in waiting_by_model(ledger, batch_ids).keys() - self.started:
                if not queue.has_worker(self.connection, model):
                    self.started.add(model)
                    self.supervisor.add(worker_program(model))
        self.supervisor.poll()
        if self.supervisor.unavailable:
            raise EngineUnavailable(self.supervisor.unavailable)


@contextmanager
def workers_for(server: EmbeddedServer, connection: redis.Redis) -> Iterator[Workers]:
    """Workers as they are needed; ended, after finishing what is in flight, with the block."""
    with Supervisor(server.home, [], server=server, fail_fast=True) as supervisor:
        try:
            yield Workers(supervisor, connection)
        finally:
            supervisor.stop(GRACE_S)


def wait_for(
    ledger: Ledger, batch_ids: Sequence[str], workers: Workers, show: Callable[[], None] = lambda: None
) -> None:
    """Return when every batch has ended. Raises EngineUnavailable when a worker cannot start."""
    while open_batches(ledger, batch_ids):
        workers.look_after(ledger, batch_ids)
        show()
        time.sleep(LOOK_S)
    show()


asked_to_end = threading.Event()


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """A SIGTERM ends the block as Ctrl-C does: cleanly."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        asked_to_end.set()
        raise KeyboardInterrupt

    asked_to_end.clear()
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # else started in the background of a script
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_lost_interrupt() -> None:
    """Python drops what is raised while an object is finalised: whoever waits asks again. Raises KeyboardInterrupt."""
    if asked_to_end.is_set():
        raise KeyboardInterrupt
