"""The process that runs scheduled suites: rq's cron queues a job when a schedule is due, and a worker runs it.

`python -P -m workers.nightly`. A signal interrupts the running night, which is then recorded as interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

import redis
from rq import Queue
from rq.cron import CronJob, CronScheduler
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy.exc import DBAPIError

from jobs.regress import run_suite
from vvbatch.ledger import Ledger
from vvbatch.regress import schedule
from workers.one_job_worker import OneJobWorker, serve

QUEUE = "regress"
RUN_SUITE = f"{run_suite.__module__}.{run_suite.__name__}"
LOOK_S = 5.0  # between two checks of the schedules
KEPT_S = 86_400

log = logging.getLogger("vvbatch.nightly")


class NightJob(CronJob):
    """rq's cron job, queued as JSON: rq itself would pickle it."""

    def enqueue(self, connection: redis.Redis) -> Job:
        queue = Queue(self.queue_name, connection=connection, serializer=JSONSerializer)
        return queue.enqueue(RUN_SUITE, args=self.args, job_timeout=-1, result_ttl=0, failure_ttl=KEPT_S)


class Clock(CronScheduler):
    """rq's scheduler, with a job for each of the ledger's schedules."""

    def __init__(self, ledger: Ledger, connection: redis.Redis, name: str) -> None:
        super().__init__(connection, name=name)
        self.ledger = ledger

    def follow(self) -> None:
        """Keep the jobs of schedules that still hold, with their next time; drop and add the others."""
        wanted = {(each.suite, each.profile, each.cron) for each in schedule.scheduled(self.ledger)}
        self._cron_jobs = [job for job in self._cron_jobs if (*job.args, job.cron) in wanted]
        known = {(*job.args, job.cron) for job in self._cron_jobs}
        for suite, profile, cron in sorted(wanted - known, key=str):
            self._cron_jobs.append(NightJob(QUEUE, func_name=RUN_SUITE, args=(suite, profile), cron=cron, name=suite))

    def run(self, ended: threading.Event) -> None:
        """Check the schedules every few seconds until `ended` is set. Waits out an outage of Redis or the ledger."""
        while not ended.wait(LOOK_S):
            try:
                self.follow()
                if self.enqueue_jobs():
                    self.save()
                self.heartbeat()
            except (redis.exceptions.RedisError, DBAPIError) as error:
                log.warning("the schedules cannot be checked now: %s", error)


class NightWorker(OneJobWorker):
    function = RUN_SUITE

    @classmethod
    def takes(cls, args: tuple[Any, ...]) -> bool:
        return len(args) == 2 and isinstance(args[0], str) and isinstance(args[1], str | None)


def follow_schedules(ledger: Ledger, connection: redis.Redis, name: str, ended: threading.Event) -> None:
    clock = Clock(ledger, connection, name)
    clock.register_birth()
    try:
        clock.run(ended)
    finally:
        clock.register_death()


if __name__ == "__main__":
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    sys.exit(serve(NightWorker, QUEUE, follow_schedules))
