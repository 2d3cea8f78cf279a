"""Whoever can write to the queue's server, and what a worker makes of it."""

from __future__ import annotations

import http.server
import importlib
import json
import pickle
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
from rq import Queue
from rq.callbacks import Callback
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from tests.conftest import wait_until
from tests.faults.conftest import FaultHome
from vvbatch.transport.queue import RENDER_LINE

OWNED = "owned"


@pytest.fixture
def fault_home(fault_home: FaultHome, monkeypatch: pytest.MonkeyPatch) -> FaultHome:
    """With a module in the workers' path that leaves a file when it is imported, and when it is called."""
    (fault_home.folder / "intruder.py").write_text(
        f"from pathlib import Path\nOWNED = Path({str(fault_home.folder / OWNED)!r})\nOWNED.touch()\n"
        "def call(*words, **names):\n    OWNED.touch()\n"
        "class Gift:\n    def __reduce__(self):\n        return call, ()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(fault_home.folder), prepend=":")
    return fault_home


def queue_of(fault_home: FaultHome, name: str = "ready") -> Queue:
    return Queue(name, connection=fault_home.redis(), serializer=JSONSerializer)


def push(queue: Queue, **record: str | bytes) -> None:
    """A job's record as somebody would write it who does not use rq."""
    job = Job.create(RENDER_LINE, args=("absent-00001",), connection=queue.connection, serializer=JSONSerializer)
    job.origin = queue.name
    job.save()
    for name, value in record.items():
        queue.connection.hset(job.key, name, value)
    queue.push_job_id(job.id)


def worker_goes_on(fault_home: FaultHome) -> None:
    """It renders what is honest, does not die, and no code of the intruder ran."""
    worker = fault_home.worker()
    batch = fault_home.submit("An honest line of text.")
    assert fault_home.ended(batch)["counts"]["done"] == 1
    assert queue_of(fault_home).count == 0
    assert worker.poll() is None
    assert not (fault_home.folder / OWNED).exists()
    assert len(fault_home.rows("SELECT id FROM takes")) == 1
    fault_home.is_whole(batch)


@pytest.mark.parametrize("function", ["intruder.call", "os.system", "jobs.render.keep_best", "builtins.eval"])
def test_no_other_function_is_called(fault_home: FaultHome, function: str) -> None:
    queue_of(fault_home).enqueue(function, f"touch {fault_home.folder / OWNED}")
    worker_goes_on(fault_home)


def test_no_argument_but_a_lines_id_is_taken(fault_home: FaultHome) -> None:
    queue = queue_of(fault_home)
    for words, names in ([("a", "b"), {}], [(), {}], [({"path": "/etc"},), {}], [("absent-1",), {"out": "/tmp"}]):
        queue.enqueue(RENDER_LINE, args=words, kwargs=names)
    queue.enqueue(RENDER_LINE, "../../etc/passwd")
    worker_goes_on(fault_home)


def test_callbacks_that_a_job_names_are_not_even_imported(fault_home: FaultHome) -> None:
    queue = queue_of(fault_home)
    callback = Callback("intruder.call")
    called: dict[str, Any] = {"on_success": callback, "on_failure": callback, "on_stopped": callback}
    queue.enqueue(RENDER_LINE, "absent-00001", **called)  # ends well: there is no such line
    queue.enqueue("os.system", "true", **called)  # is refused
    abandoned = Job.create(
        RENDER_LINE, args=("absent-00002",), connection=queue.connection, serializer=JSONSerializer, **called
    )
    abandoned.origin = queue.name
    abandoned.set_status(JobStatus.STARTED)
    abandoned.save()
    queue.connection.zadd(queue.started_job_registry.key, {f"{abandoned.id}:1": 1})  # as its worker had died
    worker_goes_on(fault_home)
    wait_until(lambda: abandoned.get_status() == "failed", timeout=60)
    assert not (fault_home.folder / OWNED).exists()


def test_no_webhook_is_called(fault_home: FaultHome) -> None:
    class Catcher(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (fault_home.folder / OWNED).touch()
            self.send_response(200)
            self.end_headers()

    with http.server.HTTPServer(("127.0.0.1", 0), Catcher) as catcher:
        threading.Thread(target=catcher.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{catcher.server_port}/"
        hooks = [{"url": url, "job_status": status, "method": "POST"} for status in ("finished", "failed")]
        push(queue_of(fault_home), webhooks=json.dumps(hooks))
        worker_goes_on(fault_home)
        catcher.shutdown()


def test_a_pickle_is_not_loaded(fault_home: FaultHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(fault_home.folder))
    intruder = importlib.import_module("intruder")
    gift = pickle.dumps(intruder.Gift())
    (fault_home.folder / OWNED).unlink()
    push(queue_of(fault_home), data=zlib.compress(gift), meta=gift, result=gift)
    push(queue_of(fault_home), meta=gift, result=gift)
    worker_goes_on(fault_home)


@pytest.mark.parametrize(
    "record",
    [
        {"status": "no such"},
        {"created_at": "yesterday"},
        {"timeout": "soon"},
        {"data": b"\x00\xff"},
        {"data": zlib.compress(b'["jobs.render.render_line", null, 7, 8]')},
        {"dependency_ids": "{"},
        {"success_callback_name": b"\xff\xfe"},
        {"ttl": "9" * 400},
    ],
)
def test_a_record_that_makes_no_sense_is_passed_over(fault_home: FaultHome, record: dict[str, str | bytes]) -> None:
    push(queue_of(fault_home), **record)
    worker_goes_on(fault_home)


def test_a_worker_renders_no_line_of_another_model(fault_home: FaultHome) -> None:
    batch = fault_home.submit("This is for another engine.", model="ready2", title="Other")
    ((line_id,),) = fault_home.rows("SELECT id FROM lines")
    queue_of(fault_home).enqueue(RENDER_LINE, line_id)
    worker = fault_home.worker()
    wait_until(lambda: queue_of(fault_home).count == 0)
    honest = fault_home.submit("An honest line of text.")
    fault_home.ended(honest)
    assert fault_home.rows(f"SELECT state, attempt FROM lines WHERE batch_id = '{batch}'") == [("queued", 0)]
    assert worker.poll() is None
    fault_home.worker("ready2")
    assert fault_home.ended(batch)["counts"]["done"] == 1
    assert [name for (name,) in fault_home.rows("SELECT profile FROM takes ORDER BY created_at")] == ["ready", "ready2"]
    fault_home.is_whole(batch, honest)


def test_a_forged_line_id_cannot_lead_a_file_out_of_the_output_folder(fault_home: FaultHome) -> None:
    queue_of(fault_home).enqueue(RENDER_LINE, f"{fault_home.folder}/elsewhere")
    worker_goes_on(fault_home)
    assert {file for file in Path(fault_home.folder).rglob("*.wav") if not file.is_relative_to(fault_home.out)} == set()
