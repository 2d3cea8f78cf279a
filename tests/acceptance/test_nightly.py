"""What is scheduled runs by itself: rq's cron puts it into the queue, the nightly process takes it from there."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from tests.conftest import Shell, wait_until
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.regress import records, schedule
from vvbatch.transport import queue, server
from workers.nightly import QUEUE, RUN_SUITE, Clock


@pytest.fixture
def services(shell: Any, home: Path) -> Iterator[tuple[redis.Redis, Ledger]]:
    shell.start("vvbatch", "redis")
    shell.start("tests.support.ready", "ready")
    connection = server.connect(Home.from_environment(), patient=True)
    ledger = Ledger(Home.from_environment().ledger_url)
    wait_until(lambda: queue.has_worker(connection, "ready"))
    yield connection, ledger
    ledger.close()
    connection.close()


def written(tmp_path: Path, *texts: str) -> str:
    file = tmp_path / "small.yaml"
    file.write_text(json.dumps({"version": 1, "model": "ready", "lines": list(texts)}))
    return str(file)


def newest(ledger: Ledger) -> Any:
    return next(iter(records.history(ledger, "small", None, 1)), SimpleNamespace(state=None))


def test_a_scheduled_suite_is_put_into_the_queue_as_plain_json_when_it_is_time(
    services: tuple[redis.Redis, Ledger], tmp_path: Path
) -> None:
    connection, ledger = services
    schedule.set_schedule(ledger, written(tmp_path, "One."), None, "30 2 * * *")
    clock = Clock(ledger, connection, "clock")
    clock.follow()
    assert clock.enqueue_jobs() == []
    (job,) = clock.get_jobs()
    job.next_enqueue_time = datetime(2026, 1, 1, tzinfo=UTC)
    clock.follow()  # looks again, and keeps the job with its time
    assert clock.enqueue_jobs() == [job]
    waiting = Queue(QUEUE, connection=connection, serializer=JSONSerializer)
    (queued,) = waiting.jobs
    assert (queued.func_name, queued.args) == (RUN_SUITE, [str(tmp_path / "small.yaml"), None])
    assert job.next_enqueue_time > datetime.now(UTC)
    schedule.unschedule(ledger, str(tmp_path / "small.yaml"))
    clock.follow()
    assert clock.get_jobs() == []


def test_the_nightly_process_runs_suites_and_nothing_else_and_ends_at_a_signal(
    services: tuple[redis.Redis, Ledger], shell: Shell, home: Path, tmp_path: Path
) -> None:
    connection, ledger = services
    waiting = Queue(QUEUE, connection=connection, serializer=JSONSerializer)
    bad = waiting.enqueue("os.system", "touch owned")
    wrong = waiting.enqueue(RUN_SUITE, 5)
    waiting.enqueue(RUN_SUITE, written(tmp_path, "One line.", "Another."), None)
    nightly = shell.start("workers.nightly")
    row = wait_until(lambda: (found := newest(ledger)).state == "ended" and found, timeout=60)
    assert row.verdict == "unblessed"
    assert wait_until((home / "regress" / "small" / "report.html").exists)
    assert not (tmp_path / "owned").exists()
    for job in (bad, wrong):
        assert Job.fetch(job.id, connection=connection, serializer=JSONSerializer).is_failed

    waiting.enqueue(RUN_SUITE, written(tmp_path, *(f"This one goes slowly, number {n}." for n in range(40))), None)
    wait_until(lambda: newest(ledger).state == "running" and newest(ledger).batch_id)
    nightly.send_signal(signal.SIGTERM)
    assert nightly.wait(timeout=30) == 0
    assert newest(ledger).state == "interrupted"
    assert shell.json("status", newest(ledger).batch_id)["state"] == "cancelled"


def test_up_runs_what_is_scheduled(shell: Shell, home: Path, tmp_path: Path) -> None:
    shell("regress", "schedule", written(tmp_path, "One."), "--cron", "30 2 * * *")
    up = shell.start("vvbatch", "up", "--workers", "ready")
    wait_until(lambda: shell.json("regress", "schedule", code=None)["running"], timeout=60, pause=0.5)
    up.send_signal(signal.SIGTERM)
    assert up.wait(timeout=30) == 0, sys.version
