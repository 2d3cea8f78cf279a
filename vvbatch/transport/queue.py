"""The rq queues: their names, the jobs in them, and the workers that serve them.

Each profile has one queue per priority. A worker pops from one of them at a time, because only rq's single-queue pop
keeps the job of a worker that dies.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import as_text

from vvbatch import profiles, store
from vvbatch.batch.finish import end_if_complete, try_to_write_manifest
from vvbatch.batch.held_takes import Pending
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.records import chunks
from vvbatch.ledger.recovery import abandon, leftovers, needs_manifest, rendering_by, unsettled
from vvbatch.ledger.waiting import waiting_count, waiting_lines
from vvbatch.ledger.workers import running

PRIORITIES = ("high", "normal", "low")
RENDER_LINE = "jobs.render.render_line"
WORKER_KEY = "rq:worker:{}"
HELD_KEY = "vvbatch:held:{}"

log = logging.getLogger("vvbatch.transport.queue")


def queue_name(model: str, priority: str = "normal") -> str:
    return model if priority == "normal" else f"{model}.{priority}"


def queues_of(model: str, connection: redis.Redis, job_class: type[Job] | None = None) -> list[Queue]:
    """The profile's queues, most urgent first."""
    return [
        Queue(queue_name(model, priority), connection=connection, job_class=job_class, serializer=JSONSerializer)
        for priority in PRIORITIES
    ]


def enqueue(connection: redis.Redis, waiting: Iterable[tuple[str, str, str]], *, at_front: bool = False) -> None:
    """Put (line id, profile, priority) into the queues, in order. A line that is queued twice is rendered once."""
    by_queue: dict[str, list[str]] = {}
    for line_id, model, priority in waiting:
        by_queue.setdefault(queue_name(model, priority), []).append(line_id)
    for name, line_ids in by_queue.items():
        queue = Queue(name, connection=connection, serializer=JSONSerializer)
        for chunk in chunks(line_ids, 1000):
            # No rq time limit, which would wait for C calls to return. No rq result: the ledger has it.
            queue.enqueue_many(
                [
                    Queue.prepare_data(
                        RENDER_LINE,
                        args=(line_id,),
                        # A unique id: a line that is queued twice must not share one record in Redis.
                        job_id=f"{line_id}-{secrets.token_hex(4)}",
                        timeout=-1,
                        result_ttl=0,
                        failure_ttl=86_400,
                        at_front=at_front,
                    )
                    for line_id in chunk
                ]
            )


def waiting(connection: redis.Redis, model: str) -> int:
    """How many jobs wait in Redis for a profile."""
    with connection.pipeline(transaction=False) as pipeline:
        for queue in queues_of(model, connection):
            pipeline.llen(queue.key)
        return sum(pipeline.execute())


def alive(connection: redis.Redis, names: Iterable[str]) -> set[str]:
    """Which of these workers have a current heartbeat and have not shut down."""
    asked = list(names)
    with connection.pipeline(transaction=False) as pipeline:
        for name in asked:
            pipeline.exists(WORKER_KEY.format(name))
            pipeline.hexists(WORKER_KEY.format(name), "death")
        answers = pipeline.execute()
    return {name for name, here, dead in zip(asked, answers[::2], answers[1::2], strict=True) if here and not dead}


def has_worker(connection: redis.Redis, model: str) -> bool:
    """Whether a live worker serves the profile's queue."""
    prefix = WORKER_KEY.format("")
    names = [as_text(key).removeprefix(prefix) for key in connection.smembers(f"rq:workers:{model}")]
    return bool(alive(connection, names))


def hold(connection: redis.Redis, line_id: str, seconds: float) -> None:
    """Keep the line out of the queues for that long, by the server's clock."""
    connection.set(HELD_KEY.format(line_id), 1, px=max(int(seconds * 1000), 1))


def held(connection: redis.Redis, line_ids: Iterable[str]) -> set[str]:
    asked = list(line_ids)
    found = connection.mget([HELD_KEY.format(line_id) for line_id in asked]) if asked else []
    return {line_id for line_id, value in zip(asked, found, strict=True) if value}


class Reconciler:
    """Puts back what died with a worker or was lost by Redis. Only what two looks in a row show is believed:
    between a submit's ledger row and its job, or after an outage, a single look would see ghosts.
    """

    def __init__(self, ledger: Ledger, connection: redis.Redis, home: Home) -> None:
        self.ledger = ledger
        self.connection = connection
        self.pulse = home.pulse
        self.pending = Pending(home.pending)
        self.silent: set[str] = set()
        self.missing: set[str] = set()

    def look(self, models: Iterable[str]) -> int:
        """One look; returns how many lines it put back into the queues."""
        return self.bury_the_dead() + sum(self.restore_missing(model) for model in models) + self.end_batches()

    def bury_the_dead(self) -> int:
        working = set(rendering_by(self.ledger)) | running(self.ledger) | {note.worker for note in self.pending.notes()}
        silent = working - alive(self.connection, working)
        dead, self.silent = silent & self.silent, silent - self.silent
        put_back = 0
        for worker in dead:
            lines = self.bury(worker)
            again = waiting_lines(self.ledger, ids=[line_id for line_id, _ in lines])
            enqueue(self.connection, again, at_front=True)
            put_back += len(again)
            for batch_id in {batch_id for _, batch_id in lines}:
                end_if_complete(self.ledger, batch_id)
        return put_back

    def bury(self, worker: str) -> list[tuple[str, str]]:
        """What the dead worker had finished is recorded, its temporary files are removed, its lines wait again."""
        self.pending.replay_dead(self.ledger, {worker})
        for left in leftovers(self.ledger, worker):
            with contextlib.suppress(OSError, store.StoreError):  # the sweep of old temporary files comes after us
                path = store.line_path(Path(left.out), left.batch_id, left.chapter, left.number, left.line)
                store.temp_of(path, left.take_id).unlink(missing_ok=True)
                # Its audio had its place, and the row had not: it died between the two.
                kept = store.take_path(Path(left.out), left.batch_id, left.number, left.line, left.attempt)
                kept.unlink(missing_ok=True)
        hung = self.pulse / f"{worker}.hung"
        cause = "timeout" if hung.exists() else "crash"
        lines = abandon(self.ledger, worker, retries_by_model(), cause)
        log.warning("worker %s died (%s) with %d lines in its hands", worker, cause, len(lines))
        for file in (hung, self.pulse / worker):
            file.unlink(missing_ok=True)
        return lines

    def restore_missing(self, model: str) -> int:
        if waiting_count(self.ledger, model) <= waiting(self.connection, model):
            return 0
        there: set[str] = set()
        for queue in queues_of(model, self.connection):
            there.update(job_id.rpartition("-")[0] for job_id in queue.get_job_ids())
        lost = {row[0]: row for row in waiting_lines(self.ledger, model=model) if row[0] not in there}
        for line_id in held(self.connection, lost):
            del lost[line_id]
        confirmed = [row for line_id, row in lost.items() if line_id in self.missing]
        self.missing = lost.keys() - {row[0] for row in confirmed}
        # Every worker looks; one of them puts back.
        if confirmed and self.connection.set(f"vvbatch:restoring:{model}", 1, nx=True, ex=10):
            log.warning("putting %d lines back that the queue of %s had lost", len(confirmed), model)
            enqueue(self.connection, confirmed)
            return len(confirmed)
        return 0

    def end_batches(self) -> int:
        for batch_id in unsettled(self.ledger):
            if not end_if_complete(self.ledger, batch_id) and needs_manifest(self.ledger, batch_id):
                try_to_write_manifest(self.ledger, batch_id)
        return 0


def retries_by_model() -> Mapping[str, profiles.Retries]:
    return {name: profiles.load(name).retries for name in profiles.names()}
