"""What comes out of the queues: jobs that are allowed, one at a time; a suspect waits until nothing else is in hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from rq import Queue
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job

from vvbatch import fault_points
from vvbatch.ledger.queues import queue_is_paused
from vvbatch.ledger.recovery import is_suspect
from workers.allowed import LineJob, NotAllowed, line_of

if TYPE_CHECKING:
    from workers.render_worker import RenderWorker

log = logging.getLogger("vvbatch.worker")


class Intake:
    def __init__(self, worker: RenderWorker, in_hand: Collection[str]) -> None:
        self.worker = worker
        self.in_hand = in_hand  # line ids
        self.suspect_waits = False  # at the front of the queue

    @property
    def open(self) -> bool:
        return not (self.suspect_waits and self.in_hand)

    def admit(self, start: Callable[[Job, Queue, str, bool], None]) -> bool:
        """Start the most urgent job (its record, queue, line, and whether it is a suspect). False when none waits."""
        found = self.dequeue()
        if found is None:
            return False
        job, queue = found
        self.suspect_waits = False
        fault_points.point("queue.dequeued")
        try:
            line_id = line_of(job)
        except NotAllowed as refusal:
            log.error("%s", refusal)
            self.worker.refuse(job, queue, refusal)
            return True
        suspect = is_suspect(self.worker.ledger, line_id, self.worker.profile.retries.company)
        if suspect and self.in_hand:
            self.suspect_waits = True
            queue.push_job_id(job.id, at_front=True)
            IntermediateQueue(queue.key, self.worker.connection).remove(job.id)
        else:
            start(job, queue, line_id, suspect)
        return True

    def dequeue(self) -> tuple[Job, Queue] | None:
        worker = self.worker
        if queue_is_paused(worker.ledger, worker.profile.name):
            return None
        for queue in worker.queues:
            found = worker.queue_class.dequeue_any([queue], None, worker.connection, LineJob, worker.serializer)
            if found:
                return found
        return None
