"""An rq worker that keeps one engine warm in its own process and has as many jobs in hand as the engine has slots.

The policy is `run`: admit what fits, advance the engine by a step, hand each line its events. A job is a generator
(see jobs.render): it yields a request, gets the audio, and ends when its line does.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import redis
from rq import Queue
from rq.exceptions import DeserializationError, InvalidJobOperation, NoSuchJobError
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker.base import BaseWorker, WorkerStatus
from rq.worker_registration import register
from sqlalchemy.exc import DBAPIError

from jobs.render import Cancelled, Context, Ended, Lost, PutBack, TimedOut
from vvbatch import faults, store
from vvbatch import queue as transport
from vvbatch.engine import Chunk, Engine, Event, Failed, Finished, Request
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.pauses import probe_of_pause, queue_is_paused, resume_queue
from vvbatch.ledger.recovery import disown, is_suspect, no_longer_wanted, worker_lives
from vvbatch.machine import peak_memory
from vvbatch.pending import Pending
from vvbatch.profiles import Profile
from vvbatch.stream import Stream
from vvbatch.supervisor import UNFIT, supervisor_is_gone
from vvbatch.take import Audio, EngineFailed
from workers.allowed import ALLOWED, NotAllowed, line_of
from workers.flight import Flight, step_allowed
from workers.pulse import BETWEEN_STEPS_S, Pulse

HEARTBEAT_S = 2.0
HEARTBEAT_TTL_S = 6  # after this long without one, a worker counts as dead
LOOK_S = 2.5  # between two looks for what dead workers left
REST_S = 0.05  # between two looks into empty queues
SILENCE_S = 2.0  # before a server that did not answer is asked again
UNFIT_AFTER = 3  # lines in a row that the engine failed, none good in between

NO_RECORD = (redis.exceptions.RedisError, InvalidJobOperation, NoSuchJobError, LookupError, TypeError, ValueError)
"""What rq raises when its server is away, was wiped, or let a job's record expire while its worker was stopped."""

log = logging.getLogger("vvbatch.worker")


class RenderWorker(BaseWorker):
    def __init__(
        self,
        profile: Profile,
        engine: Engine,
        ledger: Ledger,
        connection: redis.Redis,
        home: Home,
        pulse: Pulse,
        name: str,
    ) -> None:
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
        self.pulse = pulse
        self.pending = Pending(home.pending)
        self.context = Context(ledger, name, engine.facts, self.pending)
        self.reconciler = transport.Reconciler(ledger, connection, home)
        self.flights: dict[str, Flight] = {}  # by line id
        self.failed_in_a_row: set[str] = set()  # line ids
        self.thought_dead = False  # somebody else was given its lines
        self.suspect_waits = False  # at the front of the queue, until nothing else is in flight
        self.put_back_requested = False
        self.stopping_since: float | None = None
        self.last_look = 0.0
        self.server_silent_until = 0.0

    # The policy

    def run(self) -> int:
        """Render until asked to stop. Takes the place of rq's `work`, which has one job at a time.

        Returns the exit code: 0, or UNFIT when the engine failed line after line.
        """
        self.bootstrap(logging_level="WARNING")
        self.set_state(WorkerStatus.IDLE)
        self._install_signal_handlers()
        ended = threading.Event()
        heart = threading.Thread(target=self.beat, args=(ended,), name="heartbeat", daemon=True)
        heart.start()
        try:
            while not (self._stop_requested and not self.flights):
                self.pulse.allow(BETWEEN_STEPS_S)
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
            except redis.exceptions.RedisError:
                log.warning("the queue's server is gone: leaving without saying goodbye")
        return UNFIT if self.unfit else 0

    def admit_waiting(self) -> None:
        """Fill the engine's free slots from the queues, most urgent first; a suspect has nothing beside it."""
        try:
            while self.may_admit():
                found = self.next_job()
                if found is None:
                    return
                self.consider(*found)
        except redis.exceptions.RedisError as error:
            # What is in flight goes on: its end is recorded in the ledger, which does not need Redis.
            log.warning("the queue's server does not answer: %s", error)
            self.server_silent_until = time.monotonic() + SILENCE_S
        except DBAPIError as error:
            self.ledger_does_not_answer(error)

    def may_admit(self) -> bool:
        room = len(self.flights) < self.engine.slots and not any(flight.alone for flight in self.flights.values())
        waits = self.suspect_waits and bool(self.flights)
        away = self.pending.ledger_away or time.monotonic() < self.server_silent_until
        return room and not waits and not away and not self._stop_requested

    def consider(self, job: Job, queue: Queue) -> None:
        """Start a job, or leave a suspect at the front until what is in flight has ended."""
        self.suspect_waits = False
        faults.point("queue.dequeued")
        try:
            line_id = line_of(job)
        except NotAllowed as refusal:
            log.error("%s", refusal)
            execution = self.prepare_execution(job)
            self.prepare_job_execution(job, remove_from_intermediate_queue=True)
            self._finalize_failure(job, queue, execution, (NotAllowed, refusal, None))
            return
        suspect = is_suspect(self.ledger, line_id, self.profile.retries.company)
        if suspect and self.flights:
            self.suspect_waits = True
            queue.push_job_id(job.id, at_front=True)
            IntermediateQueue(queue.key, self.connection).remove(job.id)
            return
        self.start(job, queue, line_id, suspect)

    def advance(self) -> None:
        """One step of the engine, then what it brought."""
        self.drop_unwanted()
        by_request = {flight.request.id: flight for flight in self.flights.values() if flight.request}
        self.pulse.allow(self.step_allowed())
        events = self.engine.step()
        self.pulse.allow(BETWEEN_STEPS_S)
        for event in events:
            self.handle(by_request[event.request_id], event)
            if self.unfit:  # the others are put back, whatever became of them
                return

    def drop_unwanted(self) -> None:
        """What was cancelled, was given to another worker, or has had its time."""
        try:
            unwanted = no_longer_wanted(self.ledger, self.name, list(self.flights))
        except DBAPIError as error:
            unwanted = {}
            self.ledger_does_not_answer(error)
        for line_id, state in unwanted.items():
            self.throw(self.flights[line_id], Cancelled() if state == "cancelled" else Lost())
            self.thought_dead |= state != "cancelled"
        for flight in list(self.flights.values()):
            if flight.is_late(self.profile.patience):
                self.throw(flight, TimedOut(f"not ready after {time.perf_counter() - flight.started:.0f} s"))

    def step_allowed(self) -> float:
        requests = [flight.request for flight in self.flights.values() if flight.request]
        return step_allowed(requests, self.profile.patience)

    def handle(self, flight: Flight, event: Event) -> None:
        wall_s = time.perf_counter() - flight.started
        if isinstance(event, Chunk):
            if flight.first_chunk_s is None:
                flight.first_chunk_s = wall_s
            flight.chunks.append(event.samples)
            flight.let_hear(event.samples)
        elif isinstance(event, Finished):
            metrics = {"peak_bytes": peak_memory(), **event.metrics, "lines_at_once": len(self.flights)}
            audio = Audio(flight.chunks, wall_s, flight.first_chunk_s, event.runaway, metrics)
            self.resume(flight, lambda: flight.rendering.send(audio))
        else:
            assert isinstance(event, Failed)
            self.resume(flight, lambda: flight.rendering.throw(EngineFailed(event.error, wall_s)))

    # Jobs

    def next_job(self) -> tuple[Job, Queue] | None:
        if queue_is_paused(self.ledger, self.profile.name):
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

    def start(self, job: Job, queue: Queue, line_id: str, alone: bool) -> None:
        try:
            execution = self.prepare_execution(job)
            self.prepare_job_execution(job, remove_from_intermediate_queue=True)
        except redis.exceptions.RedisError:
            raise
        except NO_RECORD as error:
            log.warning("job %s has no whole record: its line comes again (%s)", job.id, error)
            return
        job.started_at = now()
        if line_id in self.flights:  # queued twice
            self._finalize_success(job, queue, execution, "not wanted")
            return
        rendering = ALLOWED[str(job.func_name)](line_id, self.context)
        flight = Flight(job, queue, execution, rendering, line_id, alone)
        self.flights[line_id] = flight
        self.resume(flight, lambda: next(rendering))

    def throw(self, flight: Flight, error: Exception) -> None:
        if flight.request:
            self.engine.cancel(flight.request.id)
        self.resume(flight, lambda: flight.rendering.throw(error))

    def resume(self, flight: Flight, go_on: Callable[[], Request]) -> None:
        """Let the job go on until it wants something rendered, or has ended."""
        flight.request = None
        while True:
            self.pulse.allow(BETWEEN_STEPS_S)
            try:
                request = go_on()
            except StopIteration as ended:
                return self.end(flight, ended.value)
            except DBAPIError as error:
                self.ledger_does_not_answer(error)
                return self.end(flight, Ended("lost"))
            self.pulse.allow(step_allowed([request], self.profile.patience))
            try:
                self.engine.admit(request)
            except Exception as refusal:  # the job knows what each means for its line
                go_on = lambda refusal=refusal: flight.rendering.throw(refusal)  # type: ignore[misc]  # noqa: E731
                continue
            flight.begin(request)
            if request.stream and flight.stream is None:
                flight.stream = Stream(self.connection, flight.line_id)
            return None

    def end(self, flight: Flight, ended: Ended) -> None:
        """The line's fate is in the ledger: close the job's record in Redis."""
        del self.flights[flight.line_id]
        log.info("%s: %s", flight.line_id, f"{ended.how} ({ended.trouble})" if ended.trouble else ended.how)
        if ended.trouble == "engine":
            self.failed_in_a_row.add(flight.line_id)
        elif ended.how == "done":
            self.failed_in_a_row.clear()
        if self.unfit and not self.put_back_requested:
            log.error("%d lines in a row failed: this worker is taken out", UNFIT_AFTER)
            self._stop_requested = self.put_back_requested = True
        try:
            if flight.stream:
                flight.stream.end()
            if ended.how == "queued" and ended.trouble:
                self.queue_again(flight.line_id, ended.trouble)
            self._finalize_success(flight.job, flight.queue, flight.execution, ended.how)
            if not self.flights:
                self.set_state(WorkerStatus.IDLE)
        except NO_RECORD as error:
            # The server is away or has lost the job. rq drops what it finds abandoned; an ended line stays ended.
            log.warning("%s ended, but its job could not be closed: %s", flight.line_id, error)

    @property
    def unfit(self) -> bool:
        return len(self.failed_in_a_row) >= UNFIT_AFTER

    def queue_again(self, line_id: str, trouble: str) -> None:
        """After the class's delay: the reconciler queues what is not held any more."""
        delay_s = getattr(self.profile.delays_s, trouble, 0.0)
        if delay_s:
            transport.hold(self.connection, line_id, delay_s)
        else:
            transport.enqueue(self.connection, self.ledger.waiting_lines(ids=[line_id]))

    def put_everything_back(self) -> None:
        for flight in list(self.flights.values()):
            self.throw(flight, PutBack())
            try:
                transport.enqueue(self.connection, self.ledger.waiting_lines(ids=[flight.line_id]), at_front=True)
            except (redis.exceptions.RedisError, DBAPIError) as error:
                log.warning("%s waits in the ledger: the next worker queues it again (%s)", flight.line_id, error)

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
            except NO_RECORD as error:
                log.warning("no heartbeat could be sent: %s", error)

    def look_around(self) -> None:
        moment = time.monotonic()
        if moment - self.last_look < LOOK_S:
            return
        if supervisor_is_gone():
            self._stop_requested = True
        try:
            if self.pending.ledger_away or self.thought_dead:
                self.catch_up()
            self.end_pause()
            if moment >= self.server_silent_until:
                register(self)  # a server that was wiped knows nobody
                self.reconciler.look([self.profile.name])
                if self.should_run_maintenance_tasks:
                    self.run_maintenance_tasks()
        except NO_RECORD as error:
            log.warning("no look at the queue: %s", error)
        except DBAPIError as error:
            self.ledger_does_not_answer(error)
        self.last_look = time.monotonic()

    def ledger_does_not_answer(self, error: DBAPIError) -> None:
        """Begin nothing new until it does; what is in flight is finished and held."""
        log.warning("the ledger cannot be used: %s", error.orig)
        self.pending.ledger_away = True

    def catch_up(self) -> None:
        """The ledger was away: bring it what was finished, and give back what it believes in these hands and is not."""
        worker_lives(self.ledger, self.name)
        self.thought_dead = False
        self.pending.replay_own(self.ledger)
        transport.enqueue(
            self.connection, self.ledger.waiting_lines(ids=disown(self.ledger, self.name, list(self.flights)))
        )

    def end_pause(self) -> None:
        """A queue that was paused for want of room goes on when there is some."""
        probe = probe_of_pause(self.ledger, self.profile.name)
        if probe is None:
            return
        folder, need_bytes = probe
        try:
            store.check_writable(Path(folder), need_bytes)
        except store.StoreError:
            return
        if resume_queue(self.ledger, self.profile.name):
            log.warning("there is room in %s again: the queue goes on", folder)
