"""The rq queues: their names, the jobs in them, and the workers that serve them.

Each profile has one queue per priority. A worker pops from one of them at a time, because only rq's single-queue pop
keeps the job of a worker that dies.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import as_text

from vvbatch.ledger.records import chunks
from vvbatch.ledger.states import PRIORITIES

RENDER_LINE = "jobs.render.render_line"
BOOKS = "books"
"""The queue of books; no profile may have its name."""
MAKE_BOOK = "jobs.assemble.make_book"
WORKER_KEY = "rq:worker:{}"
HELD_KEY = "vvbatch:held:{}"
SERVING_KEY = "vvbatch:serving"
SERVING_S = 6.0  # after this long without a word a server counts as gone


def queue_name(profile: str, priority: str = "normal") -> str:
    return profile if priority == "normal" else f"{profile}.{priority}"


def queues_of(profile: str, connection: redis.Redis, job_class: type[Job] | None = None) -> list[Queue]:
    """The profile's queues, most urgent first."""
    return [
        Queue(queue_name(profile, priority), connection=connection, job_class=job_class, serializer=JSONSerializer)
        for priority in PRIORITIES
    ]


def enqueue(connection: redis.Redis, waiting: Iterable[tuple[str, str, str]], *, at_front: bool = False) -> None:
    """Put (line id, profile, priority) into the queues, in order, also `at_front`. A line that is queued twice is
    rendered once."""
    by_queue: dict[str, list[str]] = {}
    for line_id, profile, priority in waiting:
        by_queue.setdefault(queue_name(profile, priority), []).append(line_id)
    for name, line_ids in by_queue.items():
        queue = Queue(name, connection=connection, serializer=JSONSerializer)
        # Each is pushed before the one before it: the first of them last.
        for chunk in chunks(reversed(line_ids) if at_front else line_ids, 1000):
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


def enqueue_book(connection: redis.Redis, batch_id: str) -> None:
    """Put the book of a batch into the queue, unless it waits there. One that runs may have begun too early."""
    queue = Queue(BOOKS, connection=connection, serializer=JSONSerializer)
    if any(job_id.rpartition("-")[0] == batch_id for job_id in queue.get_job_ids()):
        return
    job_id = f"{batch_id}-{secrets.token_hex(4)}"
    queue.enqueue(MAKE_BOOK, args=(batch_id,), job_id=job_id, job_timeout=-1, result_ttl=0, failure_ttl=86_400)


def withdraw(connection: redis.Redis, moved: Iterable[tuple[str, str]], priority: str) -> None:
    """Remove the jobs of (line id, model) from the queues of a priority that they no longer have."""
    by_queue: dict[str, set[str]] = {}
    for line_id, profile in moved:
        by_queue.setdefault(queue_name(profile, priority), set()).add(line_id)
    for name, line_ids in by_queue.items():
        queue = Queue(name, connection=connection, serializer=JSONSerializer)
        with connection.pipeline(transaction=False) as pipeline:
            for job_id in queue.get_job_ids():
                if job_id.rpartition("-")[0] in line_ids:
                    pipeline.lrem(queue.key, 1, job_id)
                    pipeline.delete(Job.key_for(job_id))
            pipeline.execute()


def waiting(connection: redis.Redis, profile: str) -> int:
    """How many jobs wait in Redis for a profile."""
    with connection.pipeline(transaction=False) as pipeline:
        for queue in queues_of(profile, connection):
            pipeline.llen(queue.key)
        return sum(pipeline.execute())


def alive(connection: redis.Redis, names: Iterable[str]) -> set[str]:
    """Which of these workers have a current heartbeat and have not shut down."""
    names = list(names)
    with connection.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.exists(WORKER_KEY.format(name))
            pipeline.hexists(WORKER_KEY.format(name), "death")
        answers = pipeline.execute()
    return {name for name, here, dead in zip(names, answers[::2], answers[1::2], strict=True) if here and not dead}


def has_worker(connection: redis.Redis, profile: str) -> bool:
    """Whether a live worker serves the profile's queue."""
    prefix = WORKER_KEY.format("")
    names = [as_text(key).removeprefix(prefix) for key in connection.smembers(f"rq:workers:{profile}")]
    return bool(alive(connection, names))


def hold(connection: redis.Redis, line_id: str, seconds: float) -> None:
    """Keep the line out of the queues for that long, by the server's clock."""
    connection.set(HELD_KEY.format(line_id), 1, px=max(int(seconds * 1000), 1))


def held(connection: redis.Redis, line_ids: Iterable[str]) -> set[str]:
    ids = list(line_ids)
    found = connection.mget([HELD_KEY.format(line_id) for line_id in ids]) if ids else []
    return {line_id for line_id, value in zip(ids, found, strict=True) if value}


def announce_server(connection: redis.Redis, reserved_slots: int) -> None:
    """A server for interactive requests runs: workers keep so many slots for them. To be said every few seconds."""
    connection.set(SERVING_KEY, reserved_slots, px=int(SERVING_S * 1000))


def reserved_slots(connection: redis.Redis) -> int:
    """How many slots a worker keeps for interactive requests; 0 while no server runs."""
    found = connection.get(SERVING_KEY)
    return int(found) if found else 0
