"""Compares the ledger with Redis and the file system, and repairs what differs: dead workers, lines that Redis lost,
batches without their end, queues paused for want of disk space.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping, Set

import redis

from vvbatch import profiles, store
from vvbatch.batch.finish import end_if_complete, try_to_write_manifest
from vvbatch.batch.held_takes import Pending
from vvbatch.batch.output import line_name, open_store, take_name
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.queues import Waiting, probe_of_pause, resume_queue, waiting_count, waiting_lines
from vvbatch.ledger.recovery import (
    abandon,
    disown,
    leftovers,
    needs_manifest,
    rendering_by,
    running,
    unsettled,
    worker_lives,
)
from vvbatch.ledger.states import Trouble
from vvbatch.transport import queue as transport
from workers.lost_record import lost_record

RESTORING_S = 10  # in which only one worker puts lines of a profile back

log = logging.getLogger("vvbatch.worker")


class SeenTwice:
    """Confirms only what two looks in a row find: between a submit's row and its job, or after an outage, one look
    finds things that are not so.
    """

    def __init__(self) -> None:
        self.found: dict[str, Set[str]] = {}

    def confirm(self, subject: str, found: Set[str]) -> set[str]:
        """What this look and the look before found. A confirmed item needs two more looks to be confirmed again."""
        before = self.found.get(subject, set())
        self.found[subject] = found - before
        return set(found & before)


class Reconciler:
    def __init__(self, ledger: Ledger, connection: redis.Redis, home: Home) -> None:
        self.ledger = ledger
        self.connection = connection
        self.pulse = home.pulse
        self.pending = Pending(home.pending)
        self.silent_workers = SeenTwice()
        self.missing_lines = SeenTwice()  # by profile
        self.warned_about: set[str] = set()  # profiles without a worker

    def look(self, profile_names: Iterable[str]) -> int:
        """Repair what can be repaired. Returns how many lines went back into the queues.

        Raises RedisError, RecordLost, and the database's error.
        """
        released = self.release_dead_workers()
        restored = sum(self.restore_missing(name) for name in profile_names)
        self.end_batches()
        return released + restored

    def release_dead_workers(self) -> int:
        working = set(rendering_by(self.ledger)) | running(self.ledger) | {note.worker for note in self.pending.notes()}
        silent = working - transport.alive(self.connection, working)
        put_back = 0
        for worker in self.silent_workers.confirm("workers", silent):
            released = self.release(worker)
            again = waiting_lines(self.ledger, ids=[line_id for line_id, _ in released])
            transport.enqueue(self.connection, again, at_front=True)
            put_back += len(again)
            for batch_id in {batch_id for _, batch_id in released}:
                end_if_complete(self.ledger, batch_id)
        return put_back

    def release(self, worker: str) -> list[tuple[str, str]]:
        """Record the finished takes of a dead worker, remove its temporary files, queue its lines in the ledger.

        Returns (line id, batch id) of each line that it was rendering.
        """
        self.pending.replay_dead(self.ledger, {worker})
        for left in leftovers(self.ledger, worker):
            with contextlib.suppress(OSError, store.StoreError):  # old temporary files are also swept at each start
                output = open_store(left.out)
                name = line_name(left.batch_id, left.chapter, left.number, left.line)
                output.remove_staged(name, left.take_id)
                # Audio of a take that was not chosen, when the worker died between the file and its row.
                output.remove(take_name(left.batch_id, left.number, left.line, left.attempt))
        hung = self.pulse / f"{worker}.hung"
        cause = Trouble.TIMEOUT if hung.exists() else Trouble.CRASH
        released = abandon(self.ledger, worker, retries_by_profile(), cause)
        log.warning("worker %s died (%s) with %d lines in flight", worker, cause, len(released))
        for file in (hung, self.pulse / worker):
            file.unlink(missing_ok=True)
        return released

    def restore_missing(self, profile_name: str) -> int:
        """Queue the lines again that wait in the ledger and have no job in Redis."""
        missing = self.missing(profile_name)
        confirmed = self.missing_lines.confirm(profile_name, missing.keys())
        restoring = f"vvbatch:restoring:{profile_name}"
        if not confirmed or not self.connection.set(restoring, 1, nx=True, ex=RESTORING_S):
            return 0
        log.warning("queueing %d lines of %s again that Redis had lost", len(confirmed), profile_name)
        transport.enqueue(self.connection, [row for line_id, row in missing.items() if line_id in confirmed])
        return len(confirmed)

    def missing(self, profile_name: str) -> dict[str, Waiting]:
        if waiting_count(self.ledger, profile_name) <= transport.waiting(self.connection, profile_name):
            return {}
        queued: set[str] = set()
        for queue in transport.queues_of(profile_name, self.connection):
            with lost_record(queue.name):
                queued.update(job_id.rpartition("-")[0] for job_id in queue.get_job_ids())
        missing = {row[0]: row for row in waiting_lines(self.ledger, profile=profile_name) if row[0] not in queued}
        for line_id in transport.held(self.connection, missing):
            del missing[line_id]
        return missing

    def queue_again(self, line_id: str, delay_s: float) -> None:
        """A line that waits for another try, after its delay: `restore_missing` queues lines that are not held."""
        if delay_s:
            transport.hold(self.connection, line_id, delay_s)
            return
        waiting = waiting_lines(self.ledger, ids=[line_id])
        transport.enqueue(self.connection, waiting)
        for _, profile_name, _ in waiting:
            self.warn_if_unserved(profile_name)

    def warn_if_unserved(self, profile_name: str) -> None:
        """Once for each profile that a line was escalated to and that no worker serves."""
        if profile_name not in self.warned_about and not transport.has_worker(self.connection, profile_name):
            self.warned_about.add(profile_name)
            remedy = f"vvbatch up --workers {profile_name}"
            log.warning("lines wait for profile %s, of which no worker is running: %s", profile_name, remedy)

    def catch_up(self, worker: str, pending: Pending, in_flight: Iterable[str]) -> None:
        """After an outage of the ledger: record what this worker finished, queue the lines whose end was not recorded.

        Raises the database's error when the ledger still does not take it.
        """
        worker_lives(self.ledger, worker)
        pending.replay_own(self.ledger)
        unrecorded = disown(self.ledger, worker, in_flight)
        transport.enqueue(self.connection, waiting_lines(self.ledger, ids=unrecorded))

    def end_batches(self) -> None:
        for batch_id in unsettled(self.ledger):
            if not end_if_complete(self.ledger, batch_id) and needs_manifest(self.ledger, batch_id):
                try_to_write_manifest(self.ledger, batch_id)

    def resume_with_space(self, profile_name: str) -> None:
        """Resume the profile's queue if it was paused for want of disk space and there is enough now."""
        probe = probe_of_pause(self.ledger, profile_name)
        if probe is None:
            return
        folder, need_bytes = probe
        try:
            open_store(folder).check_writable("", need_bytes)
        except store.StoreError:
            return
        if resume_queue(self.ledger, profile_name):
            log.warning("there is space in %s again: the queue of %s is resumed", folder, profile_name)


def retries_by_profile() -> Mapping[str, profiles.Retries]:
    return {name: profiles.load(name).retries for name in profiles.names()}
