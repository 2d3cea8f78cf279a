"""An rq worker that keeps one engine warm in its own process and has as many jobs in hand as the engine has slots.

The policy is `run`: admit what fits, advance the engine by a step, hand each line its events. A job is a generator
(see jobs.render): it yields a request, gets the audio, lets it be heard, and ends when its line does.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import redis
from rq import Queue
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker.base import BaseWorker, WorkerStatus
from sqlalchemy.exc import DBAPIError

from jobs.render import Cancelled, Context, Ended, Hearing, Lost, NotHeard, PutBack, TimedOut
from vvbatch.batch.held_takes import Pending
from vvbatch.engine.contract import Chunk, Engine, Event, Failed, Finished, Request
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.recovery import no_longer_wanted
from vvbatch.ledger.waiting import waiting_lines
from vvbatch.listening.process import ListeningProcess
from vvbatch.machine import peak_memory
from vvbatch.processes.supervisor import UNFIT, supervisor_is_gone
from vvbatch.profiles import Profile
from vvbatch.take import Audio, EngineFailed
from vvbatch.transport import queue as transport
from vvbatch.transport.stream import Stream
from workers.allowed import ALLOWED, LineJob, NotAllowed
from workers.flight import Flight, step_allowed
from workers.intake import Intake
from workers.pulse import BETWEEN_STEPS_S, Pulse
from workers.rounds import Rounds

HEARTBEAT_S = 2.0
HEARTBEAT_TTL_S = 6  # after this long without one, a worker counts as dead
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
        listener: ListeningProcess | None = None,
    ) -> None:
        super().__init__(
            transport.queues_of(profile.name, connection, LineJob),
            name=name,
            connection=connection,
            job_class=LineJob,
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
        self.context = Context(ledger, name, profile.name, engine.facts, self.pending)
        self.listener = listener  # None: the profile does not listen
        self.flights: dict[str, Flight] = {}  # by line id
        self.intake = Intake(self, self.flights)
        self.rounds = Rounds(self, home)
        self.failed_in_a_row: set[str] = set()  # line ids
        self.told_idle: set[str] = set()  # models that lines were escalated to, and that nobody served
        self.thought_dead = False  # somebody else was given its lines
        self.put_back_requested = False
        self.stopping_since: float | None = None
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
                self.take_verdicts()
                self.admit_waiting()
                if self.put_back_requested:
                    self.put_everything_back()
                elif any(flight.request for flight in self.flights.values()) and not self.listener_is_behind():
                    self.advance()
                else:
                    self.drop_unwanted()
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
        """Fill the engine's free slots: further takes of lines in hand, then the queues, most urgent first."""
        for flight in list(self.flights.values()):
            if flight.wanted and self.has_slot():
                self.admit(flight, flight.wanted)
        try:
            while self.may_start() and self.intake.admit(self.start):
                pass
        except redis.exceptions.RedisError as error:
            # What is in flight goes on: its end is recorded in the ledger, which does not need Redis.
            log.warning("the queue's server does not answer: %s", error)
            self.server_silent_until = time.monotonic() + SILENCE_S
        except DBAPIError as error:
            self.ledger_does_not_answer(error)

    def has_slot(self) -> bool:
        return sum(flight.request is not None for flight in self.flights.values()) < self.engine.slots

    def may_start(self) -> bool:
        """Nothing is beside a suspect; and no more lines are in hand than two for each slot, heard ones included: their
        audio is in memory.
        """
        flights = self.flights.values()
        slots_taken = sum(flight.heard is None for flight in flights)
        room = slots_taken < self.engine.slots and len(flights) < 2 * self.engine.slots
        alone = any(flight.alone for flight in flights)
        away = self.pending.ledger_away or time.monotonic() < self.server_silent_until
        return room and self.intake.open and not alone and not away and not self._stop_requested

    def listener_is_behind(self) -> bool:
        """Takes that nobody has heard yet leave slots empty: a step now would be for few lines. The listener, whose
        niceness gives it next to nothing beside the engine, catches up soonest while the engine rests.
        """
        return sum(flight.heard is not None for flight in self.flights.values()) > self.engine.slots

    def advance(self) -> None:
        """One step of the engine, then what it brought."""
        self.drop_unwanted()
        by_request = {flight.request.id: flight for flight in self.flights.values() if flight.request}
        self.pulse.allow(self.step_allowed())
        try:
            events = self.engine.step()
        except Exception as error:
            # Among several nobody can tell whose it was: the worker ends, and they come again as suspects, alone.
            # Without memory a new process is better off.
            if len(by_request) != 1 or isinstance(error, MemoryError):
                raise
            log.exception("the engine's step failed")
            (request_id,) = by_request
            events = [Failed(request_id, f"{type(error).__name__}: {error}")]
            with contextlib.suppress(Exception):  # a broken device; after three such lines the worker is taken out
                self.engine.cancel(request_id)
        self.pulse.allow(BETWEEN_STEPS_S)
        for event in events:
            self.handle(by_request[event.request_id], event)
            if self.unfit:  # the others are put back, whatever became of them
                return

    def take_verdicts(self) -> None:
        """What the listener has heard since the last look goes to its lines."""
        for verdict in self.listener.poll() if self.listener else ():
            flight = next((one for one in self.flights.values() if one.heard == verdict.take_id), None)
            if flight is None:  # cancelled, or put back, meanwhile
                continue
            if verdict.error is None:
                self.resume(flight, lambda: flight.rendering.send(verdict.checks))  # noqa: B023  called at once
            else:
                silence = NotHeard(f"not heard: {verdict.error}")
                self.resume(flight, lambda: flight.rendering.throw(silence))  # noqa: B023  called at once

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

    def refuse(self, job: Job, queue: Queue, refusal: NotAllowed) -> None:
        execution = self.prepare_execution(job)
        self.prepare_job_execution(job, remove_from_intermediate_queue=True)
        self._finalize_failure(job, queue, execution, (NotAllowed, refusal, None))

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

    def resume(self, flight: Flight, go_on: Callable[[], Request | Hearing]) -> None:
        """Let the job go on until it wants something rendered or heard, or has ended."""
        flight.request = flight.wanted = flight.heard = None
        self.pulse.allow(BETWEEN_STEPS_S)
        try:
            wish = go_on()
        except StopIteration as ended:
            self.end(flight, ended.value)
        except DBAPIError as error:
            self.ledger_does_not_answer(error)
            self.end(flight, Ended("lost"))
        else:
            if isinstance(wish, Hearing):
                self.hear(flight, wish)
            elif self.has_slot():
                self.admit(flight, wish)
            else:
                flight.wanted = wish  # its slot was given away while it was heard

    def hear(self, flight: Flight, what: Hearing) -> None:
        assert self.listener is not None
        flight.heard = what.take_id
        flight.chunks = []  # its samples are the listener's now
        self.listener.submit(what.take_id, what.samples, what.text, what.voice, what.limits)

    def admit(self, flight: Flight, request: Request) -> None:
        self.pulse.allow(step_allowed([request], self.profile.patience))
        try:
            self.engine.admit(request)
        except Exception as refusal:  # the job knows what each means for its line
            failure = refusal
            self.resume(flight, lambda: flight.rendering.throw(failure))
            return
        flight.begin(request)
        if request.stream and flight.stream is None:
            flight.stream = Stream(self.connection, flight.line_id)

    def end(self, flight: Flight, ended: Ended) -> None:
        """The line's fate is in the ledger: close the job's record in Redis."""
        del self.flights[flight.line_id]
        log.info("%s: %s", flight.line_id, f"{ended.how} ({ended.trouble})" if ended.trouble else ended.how)
        if ended.trouble in ("engine", "listen"):
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
            waiting = waiting_lines(self.ledger, ids=[line_id])
            transport.enqueue(self.connection, waiting)
            for _, model, _ in waiting:
                self.tell_of_idle(model)

    def tell_of_idle(self, model: str) -> None:
        """A line went to another profile's queue: say once if nobody answers it."""
        if model == self.profile.name or model in self.told_idle or transport.has_worker(self.connection, model):
            return
        self.told_idle.add(model)
        log.warning("lines wait for model %s, of which no worker is running: vvbatch up --workers %s", model, model)

    def put_everything_back(self) -> None:
        for flight in list(self.flights.values()):
            self.throw(flight, PutBack())
            try:
                transport.enqueue(self.connection, waiting_lines(self.ledger, ids=[flight.line_id]), at_front=True)
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
        if not self.rounds.due:
            return
        if supervisor_is_gone():
            self._stop_requested = True
        try:
            self.rounds.go()
        except NO_RECORD as error:
            log.warning("no look at the queue: %s", error)
        except DBAPIError as error:
            self.ledger_does_not_answer(error)

    def ledger_does_not_answer(self, error: DBAPIError) -> None:
        """Begin nothing new until it does; what is in flight is finished and held."""
        log.warning("the ledger cannot be used: %s", error.orig)
        self.pending.ledger_away = True
