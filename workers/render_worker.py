"""An rq worker that keeps one engine warm in its own process and has as many jobs in hand as the engine has slots.

The policy is `run`: admit what fits, advance the engine by a step, hand each line its events. A job is a generator
(see jobs.render): it yields a request, gets the audio, and ends when its line does.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray
from rq import Queue
from rq.exceptions import DeserializationError, InvalidJobOperation, NoSuchJobError
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker.base import BaseWorker, WorkerStatus

from jobs.render import Cancelled, Context, PutBack, Rendering, render_line
from vvbatch import queue as transport
from vvbatch.engine import Chunk, Engine, Event, Failed, Finished, Request, RequestRefused
from vvbatch.ledger import Ledger
from vvbatch.profiles import Profile
from vvbatch.stream import Stream
from vvbatch.supervisor import supervisor_is_gone
from vvbatch.take import Audio, EngineFailed

ALLOWED: Mapping[str, Callable[[str, Context], Rendering]] = {transport.RENDER_LINE: render_line}
"""What a queue may ask for. Whoever can write to Redis can name any function: everything else is refused."""

HEARTBEAT_S = 2.0
HEARTBEAT_TTL_S = 6  # after this long without one, a worker counts as dead
LOOK_S = 2.5  # between two looks for what dead workers left
REST_S = 0.05  # between two looks into empty queues

log = logging.getLogger("vvbatch.worker")


class NotAllowed(Exception):
    """A job names something else than what this worker is for."""


@dataclass
class Flight:
    """A job in hand: its rq record, its generator, and the take that the engine renders for it now."""

    job: Job
    queue: Queue
    execution: Execution
    rendering: Rendering
    line_id: str
    request: Request | None = None
    started: float = 0.0
    first_chunk_s: float | None = None
    chunks: list[NDArray[np.float32]] = field(default_factory=list)
    stream: Stream | None = None


class RenderWorker(BaseWorker):
    def __init__(self, profile: Profile, engine: Engine, ledger: Ledger, connection: redis.Redis, name: str) -> None:
        super().__init__(
            transport.queues_of(profile.name, connection),
            name=name,
            connection=connection,
            serializer=JSONSerializer,
            log_job_description=False,
            maintenance_interval=30,
        )
        self.log_result_lifespan = False
        self.profile = profile
        self.engine = engine
        self.ledger = ledger
        self.context = Context(ledger=ledger, worker=name, facts=engine.facts)
        self.reconciler = transport.Reconciler(ledger, connection)
        self.flights: dict[str, Flight] = {}  # by line id
        self.put_back_requested = False
        self.stopping_since: float | None = None
        self.last_look = 0.0

    # The policy

    def run(self) -> None:
        """Render until asked to stop. Takes the place of rq's `work`, which has one job at a time."""
        self.bootstrap(logging_level="WARNING")
        self.set_state(WorkerStatus.IDLE)
        self._install_signal_handlers()
        ended = threading.Event()
        heart = threading.Thread(target=self.beat, args=(ended,), name="heartbeat", daemon=True)
        heart.start()
        try:
            while not (self._stop_requested and not self.flights):
                self.admit_waiting()
                if self.put_back_requested:
                    self.put_everything_back()
                elif self.flights:
                    self.advance()
                else:
                    time.sleep(REST_S)
                self.look_around()
        finally:
            ended.set()
            heart.join(timeout=5)
            try:
                self.teardown()
            except redis.exceptions.ConnectionError:
                log.warning("the queue's server is gone: leaving without saying goodbye")

    def admit_waiting(self) -> None:
        """Fill the engine's free slots from the queues, most urgent first."""
        try:
            while len(self.flights) < self.engine.slots and not self._stop_requested:
                found = self.next_job()
                if found is None:
                    return
                self.start(*found)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
            # What is in flight goes on: its end is recorded in the ledger, which does not need Redis.
            log.warning("the queue's server does not answer: %s", error)
            time.sleep(0.0 if self.flights else 1.0)

    def advance(self) -> None:
        """One step of the engine, then what it brought."""
        for line_id in self.ledger.cancelled_among(list(self.flights)):
            self.throw(self.flights[line_id], Cancelled())
        by_request = {flight.request.id: flight for flight in self.flights.values() if flight.request}
        for event in self.engine.step():
            self.handle(by_request[event.request_id], event)

    def handle(self, flight: Flight, event: Event) -> None:
        wall_s = time.perf_counter() - flight.started
        if isinstance(event, Chunk):
            if flight.first_chunk_s is None:
                flight.first_chunk_s = wall_s
            flight.chunks.append(event.samples)
            if flight.stream:
                flight.stream.push(event.samples)
        elif isinstance(event, Finished):
            metrics = {**event.metrics, "lines_at_once": len(self.flights)}
            audio = Audio(flight.chunks, wall_s, flight.first_chunk_s, event.runaway, metrics)
            self.resume(flight, lambda: flight.rendering.send(audio))
        else:
            assert isinstance(event, Failed)
            self.resume(flight, lambda: flight.rendering.throw(EngineFailed(event.error, wall_s)))

    # Jobs

    def next_job(self) -> tuple[Job, Queue] | None:
        if self.ledger.queue_is_paused(self.profile.name):
            return None
        for queue in self.queues:
            try:
                found = self.queue_class.dequeue_any([queue], None, self.connection, serializer=self.serializer)
            except DeserializationError as error:
                log.error("a job in %s cannot be read and is dropped: %s", queue.name, error)
                continue
            if found:
                return found
        return None

    def start(self, job: Job, queue: Queue) -> None:
        execution = self.prepare_execution(job)
        self.prepare_job_execution(job, remove_from_intermediate_queue=True)
        job.started_at = now()
        try:
            line_id, rendering = self.allowed(job)
        except NotAllowed as refusal:
            log.error("%s", refusal)
            self._finalize_failure(job, queue, execution, (NotAllowed, refusal, None))
            return
        if line_id in self.flights:  # queued twice
            self._finalize_success(job, queue, execution, "not wanted")
            return
        flight = Flight(job, queue, execution, rendering, line_id)
        self.flights[line_id] = flight
        self.resume(flight, lambda: next(rendering))

    def allowed(self, job: Job) -> tuple[str, Rendering]:
        """The line and the generator that a job asks for. Raises NotAllowed."""
        try:
            name, args, kwargs = job.func_name, job.args, job.kwargs
        except DeserializationError as error:
            raise NotAllowed(f"job {job.id} cannot be read: {error}") from error
        if name is None or name not in ALLOWED or len(args) != 1 or kwargs or not isinstance(args[0], str):
            raise NotAllowed(
                f"job {job.id} asks for {name}{tuple(args)!r}: only {transport.RENDER_LINE}(line_id) is allowed"
            )
        return args[0], ALLOWED[name](args[0], self.context)

    def throw(self, flight: Flight, error: Exception) -> None:
        if flight.request:
            self.engine.cancel(flight.request.id)
        self.resume(flight, lambda: flight.rendering.throw(error))

    def resume(self, flight: Flight, go_on: Callable[[], Request]) -> None:
        """Let the job go on until it wants something rendered, or has ended."""
        flight.request = None
        while True:
            try:
                request = go_on()
            except StopIteration as ended:
                return self.end(flight, ended.value)
            try:
                self.engine.admit(request)
            except RequestRefused as refusal:
                go_on = lambda refusal=refusal: flight.rendering.throw(refusal)  # type: ignore[misc]  # noqa: E731
                continue
            flight.request, flight.chunks, flight.first_chunk_s = request, [], None
            flight.started = time.perf_counter()
            if request.stream and flight.stream is None:
                flight.stream = Stream(self.connection, flight.line_id)
            return None

    def end(self, flight: Flight, how: str) -> None:
        """The line's fate is in the ledger: close the job's record in Redis."""
        del self.flights[flight.line_id]
        log.info("%s: %s", flight.line_id, how)
        try:
            if flight.stream:
                flight.stream.end()
            self._finalize_success(flight.job, flight.queue, flight.execution, how)
            if not self.flights:
                self.set_state(WorkerStatus.IDLE)
        except (redis.exceptions.RedisError, InvalidJobOperation, NoSuchJobError) as error:
            # The server is away or has lost the job. rq drops what it finds abandoned; an ended line is never rendered
            # again.
            log.warning("%s ended, but its job could not be closed: %s", flight.line_id, error)

    def put_everything_back(self) -> None:
        for flight in list(self.flights.values()):
            self.throw(flight, PutBack())
            transport.enqueue(self.connection, self.ledger.waiting_lines(ids=[flight.line_id]), at_front=True)

    # Signals, heartbeats, and what dead workers left

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """First signal: finish what is in flight. A later one: put it back and go."""
        moment = time.monotonic()
        if self.stopping_since is None:
            self.stopping_since = moment
            self._stop_requested = True
            log.warning("stopping when %d lines in flight are done; signal again to put them back", len(self.flights))
        elif moment - self.stopping_since > 1.0:  # a terminal and a supervisor may both pass the same Ctrl-C on
            self.put_back_requested = True

    def _install_signal_handlers(self) -> None:
        signal.signal(signal.SIGINT, self.request_stop)
        signal.signal(signal.SIGTERM, self.request_stop)

    def subscribe(self) -> None:
        """No remote commands: they would let anyone who reaches Redis stop the worker."""

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return HEARTBEAT_TTL_S

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        super().heartbeat(HEARTBEAT_TTL_S, pipeline=pipeline)

    def beat(self, ended: threading.Event) -> None:
        """rq sends no heartbeat while a job runs in its own process; this thread does."""
        while not ended.wait(HEARTBEAT_S):
            try:
                self.heartbeat()
                for flight in list(self.flights.values()):
                    self.maintain_heartbeats(flight.job, flight.execution)
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                log.warning("no heartbeat could be sent: %s", error)

    def look_around(self) -> None:
        moment = time.monotonic()
        if moment - self.last_look < LOOK_S:
            return
        self.last_look = moment
        if supervisor_is_gone():
            self._stop_requested = True
        try:
            self.reconciler.look([self.profile.name])
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
            log.warning("the queue's server does not answer: %s", error)
