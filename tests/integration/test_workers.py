"""A worker and its reconciler in this process, with a real server and a real ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from tests.conftest import READY_PROFILE
from tests.support.ledgers import add_batch, line_id, open_ledger
from tests.support.ready import ReadyEngine
from vvbatch import profiles
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import cancel_lines
from vvbatch.ledger.queues import waiting_lines
from vvbatch.listening.process import Verdict
from vvbatch.profiles import QcLimits
from vvbatch.transport import queue, server
from workers import rq_worker
from workers.reconciler import Reconciler
from workers.rq_worker import RenderWorker


@pytest.fixture
def connection(home: Path) -> Iterator[redis.Redis]:
    with server.own_server(Home.from_environment()):
        yield server.connect(Home.from_environment())


@pytest.fixture
def ledger(home: Path, tmp_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(tmp_path)
    yield ledger
    ledger.close()


def queued(connection: redis.Redis, profile: str) -> list[str]:
    return [one.rpartition("-")[0] for each in queue.queues_of(profile, connection) for one in each.get_job_ids()]


# The reconciler


def test_lines_that_redis_lost_are_queued_again_for_each_of_several_profiles(
    connection: redis.Redis, ledger: Ledger, home: Path
) -> None:
    for profile in ("ready", "ready2"):
        add_batch(ledger, f"batch-{profile}", ["One.", "Two."], profile=profile)
    reconciler = Reconciler(ledger, connection, Home.from_environment())
    assert reconciler.look(["ready", "ready2"]) == 0, "one look is not believed"
    assert reconciler.look(["ready", "ready2"]) == 4
    assert queued(connection, "ready") == [line_id("batch-ready", 1), line_id("batch-ready", 2)]
    assert queued(connection, "ready2") == [line_id("batch-ready2", 1), line_id("batch-ready2", 2)]
    assert reconciler.look(["ready", "ready2"]) == reconciler.look(["ready", "ready2"]) == 0


def test_a_look_that_finds_every_line_queued_ends_what_the_look_before_suspected(
    connection: redis.Redis, ledger: Ledger, home: Path
) -> None:
    add_batch(ledger, "b", ["One."], profile="ready")
    reconciler = Reconciler(ledger, connection, Home.from_environment())
    assert reconciler.look(["ready"]) == 0  # between a submit's row and its job
    queue.enqueue(connection, waiting_lines(ledger))
    assert reconciler.look(["ready"]) == 0
    connection.flushall()
    assert reconciler.look(["ready"]) == 0, "the first look since it was queued"
    assert reconciler.look(["ready"]) == 1


# The worker


class NoPulse:
    def allow(self, seconds: float) -> None:
        pass


class SlowListener:
    """Gives no verdict."""

    def __init__(self) -> None:
        self.takes: list[str] = []

    def submit(
        self,
        take_id: str,
        samples: NDArray[np.float32],
        text: str,
        voice: Path | None,
        limits: QcLimits,
        language: str | None = None,
        written: str | None = None,
    ) -> None:
        self.takes.append(take_id)

    def poll(self) -> list[Verdict]:
        return []

    def forget(self, take_id: str) -> None:
        self.takes.remove(take_id)


@pytest.fixture
def worker(connection: redis.Redis, ledger: Ledger, home: Path, tmp_path: Path) -> Iterator[RenderWorker]:
    (tmp_path / "configs" / "listens.yaml").write_text(READY_PROFILE + "listen: [words]\n")
    profiles.load.cache_clear()
    profile, where = profiles.load("listens"), Home.from_environment()
    listener: Any = SlowListener()
    pulse: Any = NoPulse()
    yield RenderWorker(profile, ReadyEngine(profile), ledger, connection, where, pulse, "w", listener)
    profiles.load.cache_clear()


def submit(worker: RenderWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *texts: str) -> list[str]:
    monkeypatch.setattr("jobs.render.require_unchanged", lambda voices: None)
    add_batch(worker.ledger, "b", texts, out=tmp_path / "out", profile="listens")
    waiting = waiting_lines(worker.ledger)
    queue.enqueue(worker.connection, waiting)
    return [row[0] for row in waiting]


def listening(worker: RenderWorker) -> list[str]:
    assert isinstance(worker.listening, SlowListener)
    return worker.listening.takes


@pytest.mark.parametrize("how", ["cancelled", "lost", "put back"])
def test_a_line_that_ends_while_it_waits_for_its_verdict_leaves_the_listener(
    worker: RenderWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    submit(worker, tmp_path, monkeypatch, "The lamp went out.", "The tide came in.")
    worker.fill_slots()
    worker.step()
    assert len(listening(worker)) == 2
    if how == "cancelled":
        cancel_lines(worker.ledger, "b")
        worker.drop_unwanted()
    elif how == "lost":
        with worker.ledger.engine.begin() as database:
            database.exec_driver_sql("UPDATE lines SET worker = 'another'")
        worker.drop_unwanted()
    else:
        worker.put_everything_back()
    assert listening(worker) == []
    assert worker.flights == {}
    assert worker.lines.has_room()


def test_a_lost_record_of_a_job_costs_one_warning_and_its_line_is_rendered_later(
    worker: RenderWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(worker, tmp_path, monkeypatch, "The lamp went out.")

    def incomplete(job: Any) -> NoReturn:
        raise TypeError("'NoneType' object is not iterable")

    with monkeypatch.context() as patched:
        patched.setattr(worker.jobs, "prepare_execution", incomplete)
        worker.fill_slots()
    assert worker.flights == {} and worker.lines.has_room()
    queue.enqueue(worker.connection, waiting_lines(worker.ledger))
    worker.fill_slots()
    assert len(worker.flights) == 1


def test_an_error_of_our_own_code_is_not_taken_for_a_lost_record(
    worker: RenderWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(worker, tmp_path, monkeypatch, "The lamp went out.")

    def broken(*_: object) -> NoReturn:
        raise TypeError("a bug")

    monkeypatch.setattr(worker.reconciler, "restore_missing", broken)
    with pytest.raises(TypeError, match="a bug"):
        worker.maintain()
    monkeypatch.setattr(rq_worker, "is_suspect", broken)
    with pytest.raises(TypeError, match="a bug"):
        worker.fill_slots()


def test_a_late_take_frees_its_slot_in_the_engine(
    worker: RenderWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(worker, tmp_path, monkeypatch, "This goes slowly.")
    worker.fill_slots()
    engine, (flight,) = worker.engine, worker.flights.values()
    assert isinstance(engine, ReadyEngine) and flight.request
    assert list(engine.requests) == [flight.request.id]
    worker.lines.rendering[flight.line_id] = 0.0
    worker.drop_unwanted()
    assert engine.requests == {}
    assert worker.ledger.engine.connect().exec_driver_sql("SELECT trouble FROM lines").scalar() == "timeout"
