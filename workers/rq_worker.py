"""The worker: one engine kept warm in this process, with as many lines in flight as the scheduler allows.

`run` is the loop: fill the free slots, advance the engine by a step, pass each job its events. A job is a generator
(see jobs.render): it yields a request, is sent the audio, yields a request to the listening models, is sent their
checks, and ends when its line does.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from types import FrameType

import redis
from sqlalchemy.exc import DBAPIError

from jobs.render import Answer, Cancelled, ClaimLost, Context, Ended, ListenRequest, NoVerdict, PutBack, TimedOut
from jobs.takes import EngineFailed
from vvbatch import fault_points
from vvbatch.batch.held_takes import Pending
from vvbatch.engine.contract import Chunk, Engine, Event, Failed, Finished
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.queues import queue_is_paused, waiting_lines
from vvbatch.ledger.recovery import is_suspect, no_longer_wanted
from vvbatch.ledger.states import LineState, Trouble
from vvbatch.listening.process import ListeningProcess
from vvbatch.processes.stop_signals import stop_signals
from vvbatch.processes.supervisor import UNFIT, supervisor_is_gone
from vvbatch.profiles import Profile
from vvbatch.transport import queue as transport
from vvbatch.transport.stream import Stream
from workers.allowed import ALLOWED, NotAllowed, line_of
from workers.flight import Flight, step_allowed, take_allowed
from workers.lost_record import RecordLost
from workers.pulse import BETWEEN_STEPS_S, Pulse
from workers.reconciler import Reconciler
from workers.rq_jobs import OpenJob, RqJobs
from workers.scheduler import Scheduler

REST_S = 0.05  # before the queues are looked at again while the engine has no work
MAINTENANCE_S = 2.5
SILENCE_S = 2.0  # before a server that did not answer is tried again
UNFIT_AFTER = 3  # lines in a row that the engine failed, none good in between

log = logging.getLogger("vvbatch.worker")


class RenderWorker:
    def __init__(
        self,
        profile: Profile,
        engine: Engine,
        ledger: Ledger,
        connection: redis.Redis,
        home: Home,
        pulse: Pulse,
        name: str,
        listening: ListeningProcess | None = None,
    ) -> None:
        self.name = name
        self.connection = connection
        self.jobs = RqJobs(profile.name, connection, name)
        self.profile = profile
        self.engine = engine
        self.ledger = ledger
        self.pulse = pulse
        self.pending = Pending(home.pending)
        self.context = Context(ledger, name, profile.name, engine.facts, self.pending)
        self.listening = listening  # None: the profile does not listen
        self.flights: dict[str, Flight] = {}  # by line id
        self.lines = Scheduler(engine.slots)
        self.reconciler = Reconciler(ledger, connection, home)
        self.maintained_at = 0.0
        self.failed_in_a_row: set[str] = set()  # line ids
        self.counted_as_dead = False  # another worker was given its lines
        self.stop_requested = False
        self.put_back_requested = False
        self.stopping_since: float | None = None
        self.server_silent_until = 0.0

    def run(self) -> int:
        """Render until stopped. Returns the exit code: 0, or UNFIT when the engine failed line after line."""
        for number in stop_signals():
            signal.signal(number, self.request_stop)
        with self.jobs.registered(self.open_jobs):
            while not (self.stop_requested and not self.flights):
                self.pulse.allow(BETWEEN_STEPS_S)
                self.take_verdicts()
                self.fill_slots()
                if self.put_back_requested:
                    self.put_everything_back()
                elif self.lines.should_step():
                    self.step()
                else:
                    self.drop_unwanted()
                    time.sleep(REST_S)
                self.maintain()
        return UNFIT if self.unfit else 0

    # The engine

    def fill_slots(self) -> None:
        """Further takes of lines in flight first, then the queues, most urgent first."""
        self.admit_waiting()
        try:
            while self.may_take_job() and self.take_job():
                self.admit_waiting()
        except RecordLost as error:
            log.warning("a job has no whole record, its line is queued again: %s", error)
        except redis.exceptions.RedisError as error:
            # Lines in flight continue: their end is recorded in the ledger, which does not need Redis.
            log.warning("the queue's server does not answer: %s", error)
            self.server_silent_until = time.monotonic() + SILENCE_S
        except DBAPIError as error:
            self.ledger_does_not_answer(error)

    def admit_waiting(self) -> None:
        while (line_id := self.lines.next_for_slot(time.perf_counter())) is not None:
            flight = self.flights[line_id]
            request = flight.request
            assert request is not None
            self.pulse.allow(step_allowed([request], self.profile.patience, self.engine.slots))
            try:
                self.engine.admit(request)
            except Exception as refusal:  # the job knows what each means for its line
                self.fail(flight, refusal)
                continue
            flight.begin()
            if request.stream and flight.stream is None:
                flight.stream = Stream(self.connection, line_id, request.id)

    def step(self) -> None:
        """One step of the engine, then its events."""
        self.drop_unwanted()
        flights = [self.flights[line_id] for line_id in self.lines.rendering]
        by_request = {flight.request.id: flight for flight in flights if flight.request}
        requests = [flight.request for flight in by_request.values() if flight.request]
        self.pulse.allow(step_allowed(requests, self.profile.patience, self.engine.slots))
        try:
            events = self.engine.step()
        except Exception as error:
            # Among several lines the culprit is unknown: the worker ends, and they come back as suspects, alone.
            # Without memory a new process is better off.
            if len(by_request) != 1 or isinstance(error, MemoryError):
                raise
            log.exception("the engine's step failed")
            (request_id,) = by_request
            events = [Failed(request_id, f"{type(error).__name__}: {error}")]
            with contextlib.suppress(Exception):  # a broken device; after three such lines the worker is shut down
                self.engine.cancel(request_id)
        self.pulse.allow(BETWEEN_STEPS_S)
        for event in events:
            self.handle(by_request[event.request_id], event)
            if self.unfit:  # the others are put back, whatever became of them
                return

    def handle(self, flight: Flight, event: Event) -> None:
        if isinstance(event, Chunk):
            flight.add(event.samples)
        elif isinstance(event, Finished):
            self.resume(flight, flight.rendered(event))
        else:
            self.fail(flight, EngineFailed(event.error, flight.wall_s))

    def take_verdicts(self) -> None:
        """Pass the verdicts that have come since the last call to their jobs."""
        for verdict in self.listening.poll() if self.listening else ():
            flight = next((one for one in self.flights.values() if one.listening_to == verdict.take_id), None)
            if flight is None:  # it ended meanwhile
                continue
            if verdict.error is None:
                self.resume(flight, list(verdict.checks))
            else:
                self.fail(flight, NoVerdict(f"no verdict of the listening models: {verdict.error}"))

    def drop_unwanted(self) -> None:
        """End the lines that were cancelled, were given to another worker, or are late."""
        try:
            unwanted = no_longer_wanted(self.ledger, self.name, list(self.flights))
        except DBAPIError as error:
            unwanted = {}
            self.ledger_does_not_answer(error)
        for line_id, state in unwanted.items():
            cancelled = state == LineState.CANCELLED
            self.interrupt(self.flights[line_id], Cancelled() if cancelled else ClaimLost())
            self.counted_as_dead |= not cancelled
        for line_id in self.lines.late(time.perf_counter()):
            flight = self.flights[line_id]
            self.interrupt(flight, TimedOut(f"not ready after {flight.wall_s:.0f} s"))

    # Jobs

    def resume(self, flight: Flight, answer: Answer) -> None:
        """Send a job what it waits for."""
        self.proceed(flight, answer)

    def fail(self, flight: Flight, error: Exception) -> None:
        """Raise an error in a job instead of what it waits for."""
        self.proceed(flight, error)

    def interrupt(self, flight: Flight, error: Exception) -> None:
        """End whatever a job waits for with an error."""
        if flight.request:
            self.engine.cancel(flight.request.id)
        if flight.listening_to and self.listening:
            self.listening.forget(flight.listening_to)
        self.fail(flight, error)

    def proceed(self, flight: Flight, answer: Answer | Exception | None) -> None:
        """Run a job until it waits for the engine or the listening models, or has ended."""
        self.pulse.allow(BETWEEN_STEPS_S)
        try:
            wanted = flight.proceed(answer)
        except StopIteration as ended:
            self.end(flight, ended.value)
        except DBAPIError as error:
            self.ledger_does_not_answer(error)
            self.end(flight, Ended("lost"))
        else:
            if isinstance(wanted, ListenRequest):
                self.listen(flight, wanted)
            else:
                flight.request = wanted
                allowed_s = take_allowed(wanted, self.profile.patience, self.engine.slots)
                self.lines.wait_for_slot(flight.line_id, allowed_s)

    def listen(self, flight: Flight, wanted: ListenRequest) -> None:
        assert self.listening is not None
        flight.listening_to = wanted.take_id
        self.lines.wait_for_verdict(flight.line_id)
        self.listening.submit(
            wanted.take_id,
            wanted.samples,
            wanted.text,
            wanted.voice,
            wanted.limits,
            language=wanted.language,
            written=wanted.written,
        )

    def end(self, flight: Flight, ended: Ended) -> None:
        """The end of the line is in the ledger: close the job's record in Redis."""
        del self.flights[flight.line_id]
        self.lines.remove(flight.line_id)
        if ended.how != "not wanted":  # a second job of a line: there may be thousands
            log.info("%s: %s", flight.line_id, f"{ended.how} ({ended.trouble})" if ended.trouble else ended.how)
        if ended.trouble in (Trouble.ENGINE, Trouble.LISTEN):
            self.failed_in_a_row.add(flight.line_id)
        elif ended.how == LineState.DONE:
            self.failed_in_a_row.clear()
        if self.unfit and not self.put_back_requested:
            log.error("%d lines in a row failed: this worker is shut down", UNFIT_AFTER)
            self.stop_requested = self.put_back_requested = True
        try:
            if flight.stream:
                flight.stream.end()
            if ended.how == LineState.QUEUED and ended.trouble:
                self.reconciler.queue_again(flight.line_id, getattr(self.profile.delays_s, ended.trouble, 0.0))
            self.jobs.close(flight.job, ended.how)
            if not self.flights:
                self.jobs.idle()
        except (redis.exceptions.RedisError, RecordLost) as error:
            # rq drops records that it finds abandoned, and the reconciler queues what waits in the ledger.
            log.warning("%s ended, but its job could not be closed: %s", flight.line_id, error)
        except DBAPIError as error:
            self.ledger_does_not_answer(error)

    @property
    def unfit(self) -> bool:
        return len(self.failed_in_a_row) >= UNFIT_AFTER

    def put_everything_back(self) -> None:
        for flight in list(self.flights.values()):
            self.interrupt(flight, PutBack())
            try:
                transport.enqueue(self.connection, waiting_lines(self.ledger, ids=[flight.line_id]), at_front=True)
            except (redis.exceptions.RedisError, DBAPIError) as error:
                log.warning("%s waits in the ledger: the next worker queues it again (%s)", flight.line_id, error)

    # The queue. These raise RedisError and RecordLost.

    def may_take_job(self) -> bool:
        away = self.pending.ledger_away or time.monotonic() < self.server_silent_until
        return self.lines.has_room() and not away and not self.stop_requested

    def take_job(self) -> bool:
        """Start the most urgent job. False when none waits."""
        if queue_is_paused(self.ledger, self.profile.name):
            return False
        taken = self.jobs.take(only_interactive=not self.lines.has_room(interactive=False))
        if taken is None:
            return False
        fault_points.point("queue.dequeued")
        try:
            line_id = line_of(taken.job)
        except NotAllowed as refusal:
            log.error("%s", refusal)
            self.jobs.refuse(taken, refusal)
            return True
        suspect = is_suspect(self.ledger, line_id, self.profile.retries.crashed_with_others)
        if self.lines.must_wait(suspect=suspect):
            self.jobs.put_back(taken)
            return True
        job = self.jobs.open(taken)
        if line_id in self.flights:  # queued twice
            self.jobs.close(job, "not wanted")
            return True
        rendering = ALLOWED[str(job.job.func_name)](line_id, self.context)
        flight = self.flights[line_id] = Flight(job, rendering, line_id)
        self.lines.add(line_id, suspect=suspect, interactive=taken.interactive)
        self.proceed(flight, None)
        return True

    def open_jobs(self) -> list[OpenJob]:
        """Called by another thread as well."""
        return [flight.job for flight in list(self.flights.values())]

    # Signals and maintenance

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """First signal: finish what is in flight. A later one: put it back and end."""
        moment = time.monotonic()
        if self.stopping_since is None:
            self.stopping_since = moment
            self.stop_requested = True
            flights = len(self.flights)
            if flights:
                log.warning("stopping when its %d lines in work are done; Ctrl-C again puts them back", flights)
        elif moment - self.stopping_since > 1.0:  # a terminal and a supervisor may both pass the same Ctrl-C on
            self.put_back_requested = True

    def maintain(self) -> None:
        """Every few seconds: recover from outages, and repair what other workers left."""
        if time.monotonic() - self.maintained_at < MAINTENANCE_S:
            return
        self.maintained_at = time.monotonic()
        if supervisor_is_gone():
            self.stop_requested = True
        try:
            if self.pending.ledger_away or self.counted_as_dead:
                self.reconciler.catch_up(self.name, self.pending, list(self.flights))
                self.counted_as_dead = False
            self.reconciler.resume_with_space(self.profile.name)
            if time.monotonic() >= self.server_silent_until:
                self.jobs.maintain()
                self.lines.reserved = transport.reserved_slots(self.connection)
                self.reconciler.look([self.profile.name])
        except (redis.exceptions.RedisError, RecordLost) as error:
            log.warning("the queue was not maintained: %s", error)
        except DBAPIError as error:
            self.ledger_does_not_answer(error)

    def ledger_does_not_answer(self, error: DBAPIError) -> None:
        """Start nothing new until it does; what is in flight is finished and held."""
        log.warning("the ledger cannot be used: %s", error.orig)
        self.pending.ledger_away = True
