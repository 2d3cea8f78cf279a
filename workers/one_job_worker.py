"""A process that runs the jobs of one queue, one at a time, and refuses those that the queue may not have."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from os import getpid, kill
from types import FrameType
from typing import Any, ClassVar

import redis
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError, StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker.base import WorkerStatus

from vvbatch.home import Home, HomeError
from vvbatch.ledger import Ledger, LedgerError
from vvbatch.ledger.journal import ledger_of
from vvbatch.processes.stop_signals import stop_signals
from vvbatch.transport import server
from workers.allowed import NotAllowed

END_S = 5.0  # for what runs beside the jobs to end

log = logging.getLogger("vvbatch.jobs")


class OneJobWorker(SimpleWorker):
    """Subclasses name the function of their jobs. A signal raises KeyboardInterrupt in a running job, and ends all."""

    function: ClassVar[str]

    @classmethod
    def takes(cls, args: tuple[Any, ...]) -> bool:
        """Whether a job may have these arguments, which come from Redis and may be anything."""
        raise NotImplementedError

    def execute_job(self, job: Job, queue: Queue) -> None:
        try:
            self.refuse_others(job)
        except NotAllowed as refusal:
            log.error("%s", refusal)
            execution = self.prepare_execution(job)
            self.prepare_job_execution(job, remove_from_intermediate_queue=True)
            self._finalize_failure(job, queue, execution, (NotAllowed, refusal, None))
            return
        super().execute_job(job, queue)

    def refuse_others(self, job: Job) -> None:
        """Whoever can write to Redis can name any function. Raises NotAllowed for every other than this worker's."""
        try:
            name, args, kwargs = job.func_name, tuple(job.args), job.kwargs
        except DeserializationError as error:
            raise NotAllowed(f"job {job.id} cannot be read: {error}") from error
        if name != self.function or kwargs or not self.takes(args):
            raise NotAllowed(f"job {job.id} calls {name}{args!r}: only {self.function} is allowed, with its arguments")

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        how = "was interrupted" if isinstance(exc_info[1], KeyboardInterrupt) else f"failed: {exc_info[1]}"
        log.warning("job %s%r %s", job.func_name, tuple(job.args), how)

    def _install_signal_handlers(self) -> None:
        for number in stop_signals():
            signal.signal(number, self.request_stop)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        for number in stop_signals():
            signal.signal(number, signal.SIG_IGN)
        self._stop_requested = True
        if self.get_state() == WorkerStatus.BUSY:
            raise KeyboardInterrupt  # the job is interrupted, and the loop ends
        raise StopRequested


Beside = Callable[[Ledger, redis.Redis, str, threading.Event], None]
"""What puts jobs into the queue: it has the ledger, Redis and the process' name, and returns when the event is set."""


def serve(worker: type[OneJobWorker], queue: str, beside: Beside) -> int:
    """Run the jobs of a queue, and `beside` in a thread, until a signal.

    Returns the exit code: 0 after a normal end, 1 when `beside` has failed, 3 when it could not start.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    name = f"{queue}-{socket.gethostname()}-{getpid()}-{secrets.token_hex(3)}"
    try:
        home = Home.from_environment()
        connection = server.connect(home, patient=True)
        ledger = ledger_of(home)
    except (HomeError, server.ServerUnreachable, LedgerError) as error:
        log.error("cannot start: %s", error)
        return 3
    ended, failed = threading.Event(), threading.Event()

    def run_beside() -> None:
        """Without it no job would come: the process ends too, and its supervisor starts another."""
        try:
            beside(ledger, connection, name, ended)
        except Exception:
            log.exception("what fills the queue %s has failed", queue)
            if not ended.is_set():
                failed.set()
                kill(getpid(), signal.SIGTERM)

    with closing(ledger):
        waiting = Queue(queue, connection=connection, serializer=JSONSerializer)
        working = worker([waiting], name=name, connection=connection, serializer=JSONSerializer)
        thread = threading.Thread(target=run_beside, name="beside", daemon=True)
        thread.start()
        try:
            working.work(logging_level="WARNING")
        finally:
            ended.set()
            thread.join(timeout=END_S)
    return 1 if failed.is_set() else 0
