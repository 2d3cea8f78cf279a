"""The worker as rq knows it: its registration and heartbeat, and the records of its jobs in Redis.

All of it is transport: what a lost record or a silent server costs is decided by its caller.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis
from rq import Queue
from rq.executions import Execution
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker.base import BaseWorker, WorkerStatus
from rq.worker_registration import register

from vvbatch.ledger.states import INTERACTIVE
from vvbatch.transport import queue as transport
from workers.allowed import LineJob, NotAllowed
from workers.lost_record import RecordLost, lost_record

HEARTBEAT_S = 2.0
HEARTBEAT_TTL_S = 6  # after this long without a heartbeat a worker counts as dead

log = logging.getLogger("vvbatch.worker")


class TakenJob(NamedTuple):
    """A job that was taken from its queue, and is not yet recorded as this worker's."""

    job: Job
    queue: Queue

    @property
    def interactive(self) -> bool:
        return bool(self.queue.name.endswith(f".{INTERACTIVE}"))


class OpenJob(NamedTuple):
    """A job that Redis knows to be in work here."""

    job: Job
    queue: Queue
    execution: Execution


class RqJobs(BaseWorker):
    """Methods raise RedisError, and those that read a job's record RecordLost."""

    def __init__(self, profile: str, connection: redis.Redis, name: str) -> None:
        super().__init__(
            transport.queues_of(profile, connection, LineJob),
            name=name,
            connection=connection,
            job_class=LineJob,
            serializer=JSONSerializer,
            log_job_description=False,
            maintenance_interval=30,
        )
        self.log_result_lifespan = False

    @contextmanager
    def registered(self, jobs: Callable[[], Iterable[OpenJob]]) -> Iterator[None]:
        """The worker is registered, and a thread sends heartbeats for it and for the `jobs` that it has open."""
        self.bootstrap(logging_level="WARNING")
        self.idle()
        ended = threading.Event()
        heart = threading.Thread(target=self.beat, args=(ended, jobs), name="heartbeat", daemon=True)
        heart.start()
        try:
            yield
        finally:
            ended.set()
            heart.join(timeout=5)
            try:
                self.teardown()
            except redis.exceptions.RedisError:
                log.warning("the queue's server does not answer: this worker ends without being removed from it")

    def idle(self) -> None:
        """Record that no job is open."""
        self.set_state(WorkerStatus.IDLE)

    def beat(self, ended: threading.Event, jobs: Callable[[], Iterable[OpenJob]]) -> None:
        """rq sends no heartbeat while a job runs in its own process; this thread does."""
        while not ended.wait(HEARTBEAT_S):
            try:
                self.heartbeat()
                for each in jobs():
                    with lost_record(each.job.id):
                        self.maintain_heartbeats(each.job, each.execution)
            except (redis.exceptions.RedisError, RecordLost) as error:
                log.warning("no heartbeat could be sent: %s", error)

    def maintain(self) -> None:
        """Register again with a server that was wiped, and clean rq's registries now and then."""
        register(self)
        with lost_record("maintenance"):
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()

    def take(self, *, only_interactive: bool = False) -> TakenJob | None:
        """The most urgent job. None when none waits."""
        for queue in self.queues[:1] if only_interactive else self.queues:
            found = self.queue_class.dequeue_any([queue], None, self.connection, LineJob, self.serializer)
            if found:
                return TakenJob(*found)
        return None

    def put_back(self, taken: TakenJob) -> None:
        """To the front of its queue."""
        taken.queue.push_job_id(taken.job.id, at_front=True)
        IntermediateQueue(taken.queue.key, self.connection).remove(taken.job.id)

    def open(self, taken: TakenJob) -> OpenJob:
        """Record in Redis that this worker has the job."""
        with lost_record(taken.job.id):
            execution = self.prepare_execution(taken.job)
            self.prepare_job_execution(taken.job, remove_from_intermediate_queue=True)
        taken.job.started_at = now()
        return OpenJob(*taken, execution)

    def close(self, job: OpenJob, result: str) -> None:
        with lost_record(job.job.id):
            self._finalize_success(*job, result)

    def refuse(self, taken: TakenJob, refusal: NotAllowed) -> None:
        """End a job that may not run here as failed."""
        job = self.open(taken)
        with lost_record(job.job.id):
            self._finalize_failure(*job, (NotAllowed, refusal, None))

    # What rq calls

    def subscribe(self) -> None:
        """No remote commands: they would let anyone who reaches Redis stop the worker."""

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return HEARTBEAT_TTL_S

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        super().heartbeat(HEARTBEAT_TTL_S, pipeline=pipeline)
