"""What a worker looks after besides its lines, every few seconds: dead workers, the ledger's return, room on a disk."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rq.worker_registration import register

from vvbatch import store
from vvbatch.home import Home
from vvbatch.ledger.queues import probe_of_pause, resume_queue, waiting_lines
from vvbatch.ledger.recovery import disown, worker_lives
from vvbatch.transport import queue as transport

if TYPE_CHECKING:
    from workers.render_worker import RenderWorker

LOOK_S = 2.5

log = logging.getLogger("vvbatch.worker")


class Rounds:
    def __init__(self, worker: RenderWorker, home: Home) -> None:
        self.worker = worker
        self.reconciler = transport.Reconciler(worker.ledger, worker.connection, home)
        self.last_look = 0.0

    @property
    def due(self) -> bool:
        return time.monotonic() - self.last_look >= LOOK_S

    def go(self) -> None:
        """Raises what rq and the database raise when one of them does not answer."""
        worker = self.worker
        self.last_look = time.monotonic()
        if worker.pending.ledger_away or worker.thought_dead:
            self.catch_up()
        self.end_pause()
        if time.monotonic() >= worker.server_silent_until:
            register(worker)  # a server that was wiped knows nobody
            self.reconciler.look([worker.profile.name])
            if worker.should_run_maintenance_tasks:
                worker.run_maintenance_tasks()

    def catch_up(self) -> None:
        """The ledger was away: bring it what was finished, and give back what it believes in these hands and is not."""
        worker = self.worker
        worker_lives(worker.ledger, worker.name)
        worker.thought_dead = False
        worker.pending.replay_own(worker.ledger)
        lost = disown(worker.ledger, worker.name, list(worker.flights))
        transport.enqueue(worker.connection, waiting_lines(worker.ledger, ids=lost))

    def end_pause(self) -> None:
        """A queue that was paused for want of room goes on when there is some."""
        ledger, model = self.worker.ledger, self.worker.profile.name
        probe = probe_of_pause(ledger, model)
        if probe is None:
            return
        folder, need_bytes = probe
        try:
            store.check_writable(Path(folder), need_bytes)
        except store.StoreError:
            return
        if resume_queue(ledger, model):
            log.warning("there is room in %s again: the queue goes on", folder)
