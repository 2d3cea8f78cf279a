"""A render from start to end within one command: workers are started where none run, until the batches end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import redis

from vvbatch.batch.finished_chapters import FinishedChapters
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import open_batches
from vvbatch.ledger.queues import waiting_by_profile
from vvbatch.processes import python
from vvbatch.processes.killed_loading import killed_while_loading
from vvbatch.processes.supervisor import Program, Supervisor
from vvbatch.transport import queue
from vvbatch.transport.server import EmbeddedServer

POLL_S = 0.2
NEED_POLL_S = 1.0  # between two checks for profiles that lines wait for
GRACE_S = 600.0  # to finish the lines in flight; a second Ctrl-C ends it sooner


def worker_program(profile: str) -> Program:
    argv = python.module("workers", profile)
    return Program(name=profile, argv=argv, why_killed=partial(killed_while_loading, profile))


def nightly_program() -> Program:
    """The process that runs scheduled suites."""
    return Program(name="nightly", argv=python.module("workers.nightly"))


def server_program() -> Program:
    """The HTTP server, at the address of the settings."""
    return Program(name="serve", argv=python.module("vvbatch", "serve"))


def book_program() -> Program:
    """The process that makes the books of batches."""
    return Program(name=queue.BOOKS, argv=python.module("workers.books"))


@dataclass
class Workers:
    """The workers of one command: one for every profile that its lines wait for and that has no worker yet."""

    supervisor: Supervisor
    connection: redis.Redis
    started: set[str] = field(default_factory=set)  # profiles
    next_check: float = 0.0
    finished: FinishedChapters | None = None  # of the books that are made at the end

    def make_books(self, finished: FinishedChapters) -> None:
        """Encode the chapters of books as they are finished, in a process of its own, unless one runs."""
        self.finished = finished
        if not queue.has_worker(self.connection, queue.BOOKS):
            self.supervisor.add(book_program())

    def keep_running(self, ledger: Ledger, batch_ids: Sequence[str]) -> None:
        """Start the workers that are needed, restart those that died. Raises EngineUnavailable when one cannot start.

        The worker of an escalation profile starts when the first line is escalated to it.
        """
        if time.monotonic() >= self.next_check:
            self.next_check = time.monotonic() + NEED_POLL_S
            for profile in waiting_by_profile(ledger, batch_ids).keys() - self.started:
                if not queue.has_worker(self.connection, profile):
                    self.started.add(profile)
                    self.supervisor.add(worker_program(profile))
        if self.finished:
            self.finished.look_sometimes()
        self.supervisor.poll()
        if self.supervisor.unavailable:
            raise EngineUnavailable(self.supervisor.unavailable)


@contextmanager
def workers_for(server: EmbeddedServer, connection: redis.Redis) -> Iterator[Workers]:
    """Workers as they are needed; at the end of the block they finish the lines in flight and end."""
    with Supervisor(server.home, [], server=server, fail_fast=True) as supervisor:
        try:
            yield Workers(supervisor, connection)
        finally:
            supervisor.stop(GRACE_S)


def wait_for(ledger: Ledger, batch_ids: Sequence[str], workers: Workers, *looks: Callable[[], None]) -> None:
    """Return when every batch has ended; `looks` are called meanwhile. Raises EngineUnavailable without a worker."""
    while open_batches(ledger, batch_ids):
        workers.keep_running(ledger, batch_ids)
        for look in looks:
            look()
        time.sleep(POLL_S)
    for look in looks:
        look()
