"""A server with a worker, both in threads of the test's process: real HTTP over a real socket, no model."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np

from tests.conftest import wait_until
from tests.support.ready import ReadyEngine, speechlike
from vvbatch import profiles
from vvbatch.engine.contract import FRAME, Chunk, Event, Failed, Finished, Request
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.recovery import worker_started
from vvbatch.profiles import Profile
from vvbatch.settings import ServeSettings, Settings
from vvbatch.transport import server as transport
from vvbatch.web import server as web
from vvbatch.web.access import Access
from vvbatch.web.services import Services
from workers.rq_worker import RenderWorker

DEFAULTS = ServeSettings()


class NoPulse:
    def allow(self, seconds: float) -> None:
        pass


class SpeakingEngine(ReadyEngine):
    """A chunk of 3,200 samples for each line in every step.

    `slowly` in a text makes each step last 20 ms, `breaks` ends the line after three chunks.
    """

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self.speaking: dict[str, list[np.ndarray[Any, Any]]] = {}
        self.texts: dict[str, str] = {}
        self.chunks_of: dict[str, int] = {}
        self.cancelled: dict[str, int] = {}  # at which step
        self.admitted: list[str] = []  # texts, in order
        self.chunk_at: list[float] = []

    def admit(self, request: Request) -> None:
        super().admit(request)
        text = " ".join(turn.text for turn in request.turns)
        samples = speechlike(request)
        if "silent" in text:
            samples = np.zeros_like(samples)
        self.speaking[request.id] = [samples[start : start + FRAME] for start in range(0, len(samples), FRAME)]
        self.texts[request.id] = text
        self.admitted.append(text)

    def step(self) -> list[Event]:
        events: list[Event] = []
        self.steps += 1
        if any("slowly" in self.texts[each] for each in self.speaking):
            time.sleep(0.02)
        for request_id, left in list(self.speaking.items()):
            spoken = self.chunks_of[request_id] = self.chunks_of.get(request_id, 0) + 1
            if "breaks" in self.texts[request_id] and spoken > 3:
                del self.speaking[request_id]
                events.append(Failed(request_id, "NaN latents at step 7"))
                continue
            self.chunk_at.append(time.monotonic())
            events.append(Chunk(request_id, left.pop(0)))
            if not left:
                del self.speaking[request_id]
                events.append(Finished(request_id))
        return events

    def cancel(self, request_id: str) -> None:
        if self.speaking.pop(request_id, None) is not None:
            self.cancelled[self.texts[request_id]] = self.steps

    @contextmanager
    def held_after_a_chunk(self, text: str) -> Iterator[threading.Event]:
        """The line of a text gets its second chunk when the event is set."""
        go_on, step = threading.Event(), self.step

        def held() -> list[Event]:
            if any(self.texts[each] == text and each in self.chunks_of for each in self.speaking):
                go_on.wait(120)
            return step()

        self.step = held  # type: ignore[method-assign]
        try:
            yield go_on
        finally:
            go_on.set()
            self.step = step  # type: ignore[method-assign]


@dataclass
class Site:
    """A running server."""

    url: str
    port: int
    services: Services
    engine: SpeakingEngine | None = None
    worker: RenderWorker | None = None
    paused: threading.Event = field(default_factory=threading.Event)  # set: the engine rests

    def client(self, **options: Any) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=120, **options)

    @property
    def ledger(self) -> Ledger:
        return self.services.ledger


def work(site: Site, ended: threading.Event) -> None:
    worker = site.worker
    assert worker is not None
    with worker.jobs.registered(worker.open_jobs):
        while not ended.is_set():
            if site.paused.is_set():
                time.sleep(0.005)
                continue
            worker.fill_slots()
            if worker.lines.should_step():
                worker.step()
            else:
                worker.drop_unwanted()
                time.sleep(0.005)
            worker.maintain()


@contextmanager
def serving(
    *, serve: ServeSettings = DEFAULTS, token: str | None = None, worker: bool = True, profile: str = "ready"
) -> Iterator[Site]:
    """A server of the test's home, with a worker of the profile unless `worker` is false."""
    home = Home.from_environment()
    ledger = Ledger(home.ledger_url)
    ended = threading.Event()
    with transport.own_server(home) as own:
        made = web.services(home, ledger, Settings(serve=serve), Access(token))
        listening = web.listen("127.0.0.1", 0)
        port = listening[0].getsockname()[1]
        site = Site(f"http://127.0.0.1:{port}", port, made)
        running = web.server_of(made, "127.0.0.1", listening)
        threads = [threading.Thread(target=lambda: asyncio.run(web.run(running, made, own, listening)))]
        if worker:
            loaded = profiles.load(profile)
            site.engine = SpeakingEngine(loaded)
            pulse: Any = NoPulse()
            name = f"w-{port}"
            connection = transport.connect(home)
            worker_started(ledger, name, profile, socket.gethostname(), 1, {"slots": loaded.slots, "device": "cpu"})
            site.worker = RenderWorker(loaded, site.engine, ledger, connection, home, pulse, name)
            threads.append(threading.Thread(target=work, args=(site, ended)))
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: running.started, pause=0.01)
            if worker:
                key = {"Authorization": f"Bearer {token}"} if token else {}
                wait_until(lambda: site.client(headers=key).get("/health/ready").status_code == 200, pause=0.01)
            yield site
        finally:
            running.should_exit = True
            ended.set()
            for thread in threads:
                thread.join(timeout=20)
            ledger.close()


def submitted(client: httpx2.Client, *texts: str, title: str = "Pier") -> str:
    script = {"version": 1, "title": title, "model": "ready", "lines": list(texts)}
    answer = client.post("/api/batches", content=json.dumps(script), headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["batch"])


def ended(client: httpx2.Client, batch: str) -> Any:
    def view() -> Any:
        found = client.get(f"/api/batches/{batch}").json()
        return found if found["ended_at"] else None

    return wait_until(view)
