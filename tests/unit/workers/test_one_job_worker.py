"""A process of one queue, and the thread beside it that fills the queue."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import redis

from tests.support.ledgers import open_ledger
from vvbatch.ledger import Ledger
from workers import nightly, one_job_worker


class Waiting:
    """A worker without jobs, until a signal. `began` is set when it has begun."""

    began = threading.Event()

    def __init__(self, queues: list[Any], **_: object) -> None:
        self.ended = threading.Event()

    def work(self, logging_level: str) -> None:
        before = signal.signal(signal.SIGTERM, self.end)
        try:
            self.began.set()
            self.ended.wait(30)
        finally:
            signal.signal(signal.SIGTERM, before)

    def end(self, _number: int, _frame: FrameType | None) -> None:
        self.ended.set()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("workers.one_job_worker.server.connect", lambda _home, patient: redis.Redis())
    monkeypatch.setattr(one_job_worker, "ledger_of", lambda _home: open_ledger(tmp_path))
    monkeypatch.setattr(Waiting, "began", threading.Event())
    return lambda beside: one_job_worker.serve(Waiting, "q", beside)  # type: ignore[arg-type]


def test_the_process_ends_with_an_error_when_what_fills_its_queue_fails(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        Waiting.began.wait(30)
        raise ValueError("a row that cannot be read")

    assert serve(fails) == 1
    assert "a row that cannot be read" in caplog.text


def test_a_normal_end_is_no_error(serve: Any) -> None:
    def ends(_ledger: Ledger, _connection: object, _name: str, ended: threading.Event) -> None:
        Waiting.began.wait(30)
        signal.raise_signal(signal.SIGTERM)
        ended.wait(30)
        raise ConnectionError("the server has gone first")

    assert serve(ends) == 0


def test_a_clock_that_fails_is_no_longer_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Fails:
        def __init__(self, *_: object) -> None: ...

        def register_birth(self) -> None:
            calls.append("birth")

        def run(self, _ended: threading.Event) -> None:
            raise ValueError

        def register_death(self) -> None:
            calls.append("death")

    monkeypatch.setattr(nightly, "Clock", Fails)
    with pytest.raises(ValueError):
        nightly.follow_schedules(None, None, "n", threading.Event())
    assert calls == ["birth", "death"]
