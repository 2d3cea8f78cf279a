"""Threads that poll the ledger and the queue's server, so that neither can stop the keys from working."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass

from vvbatch.top.page import Wanted
from vvbatch.top.reader import Reader
from vvbatch.top.server import ServerReader
from vvbatch.top.snapshot import Server, Snapshot

LEDGER_S = 1.0
COUNTING_S = 0.1  # while lines are still being counted
SERVER_S = 2.0


@dataclass(frozen=True)
class Pace:
    """Seconds between polls."""

    ledger_s: float = LEDGER_S
    counting_s: float = COUNTING_S
    server_s: float = SERVER_S


class Poller:
    """Calls `seen` and `answered` from threads of its own. They are daemons: a hanging connection must not keep
    the program from ending."""

    def __init__(
        self,
        reader: Reader,
        server: ServerReader,
        seen: Callable[[Snapshot], None],
        answered: Callable[[Server], None],
        pace: Pace,
    ) -> None:
        self.reader, self.server, self.seen, self.answered, self.pace = reader, server, seen, answered, pace
        self.wanted: Wanted | None = None
        self.polled_at = time.monotonic()
        self.ending = threading.Event()
        self.hurry = threading.Event()
        self.choose_again = False

    def start(self) -> None:
        for body in (self.follow_ledger, self.follow_server):
            threading.Thread(target=body, name=f"top {body.__name__}", daemon=True).start()

    def stop(self) -> None:
        self.ending.set()
        self.hurry.set()

    def want(self, wanted: Wanted | None) -> None:
        """The lines that the next polls read, from now on."""
        self.wanted, self.choose_again = wanted, True
        self.hurry.set()

    def now(self) -> None:
        """Poll the ledger at once."""
        self.choose_again = True
        self.hurry.set()

    def follow_ledger(self) -> None:
        while not self.ending.is_set():
            self.hurry.clear()
            if self.choose_again:
                self.choose_again = False
                self.reader.pages.again()
            snapshot = self.reader.poll(self.wanted)
            self.polled_at = time.monotonic()
            self.show(lambda snapshot=snapshot: self.seen(snapshot))  # type: ignore[misc]
            quick = snapshot.counting and snapshot.error is None
            self.hurry.wait(self.pace.counting_s if quick else self.pace.ledger_s)

    def follow_server(self) -> None:
        while not self.ending.is_set():
            last = self.reader.last
            profiles = {queue.profile for queue in last.queues} | {worker.profile for worker in last.workers}
            server = self.server.poll([worker.name for worker in last.workers], profiles)
            self.show(lambda server=server: self.answered(server))  # type: ignore[misc]
            self.ending.wait(self.pace.server_s if last.batches or last.workers else self.pace.ledger_s)
        self.server.close()

    def show(self, call: Callable[[], None]) -> None:
        if not self.ending.is_set():
            with contextlib.suppress(RuntimeError, CancelledError):  # the program's loop has ended meanwhile
                call()
