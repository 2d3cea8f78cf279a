"""`GET /metrics`: figures for Prometheus. Counters begin when the server starts; a worker that is gone has none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import psutil
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response

from vvbatch.ledger.figures import last_nights, queued_lines
from vvbatch.ledger.overview import running_workers
from vvbatch.ledger.views import WorkerView
from vvbatch.transport import queue
from vvbatch.web.services import Fresh, Services, services_of

AGE_S = 2.0


@dataclass(frozen=True)
class Gauges:
    """Figures of this moment, as prometheus_client collects them."""

    services: Services

    def collect(self) -> Iterator[Metric]:
        yield from self.of_queues()
        yield from self.of_workers()
        yield from self.of_nights()
        clients = len(self.services.events.clients)
        yield GaugeMetricFamily("vvbatch_event_streams", "Clients of /api/events", clients)

    def of_queues(self) -> Iterator[Metric]:
        ledger, labels = self.services.ledger, ["profile", "priority"]
        waiting = GaugeMetricFamily("vvbatch_queued_lines", "Lines that wait", labels=labels)
        oldest = GaugeMetricFamily("vvbatch_oldest_wait_seconds", "How long the first of them waits", labels=labels)
        now = datetime.fromisoformat(ledger.now())
        for each in queued_lines(ledger):
            waiting.add_metric([each.profile, each.priority], each.lines)
            waits_s = (now - datetime.fromisoformat(each.oldest)).total_seconds()
            oldest.add_metric([each.profile, each.priority], max(0.0, waits_s))
        yield from (waiting, oldest)

    def of_workers(self) -> Iterator[Metric]:
        labels = ["profile", "worker"]
        in_use = GaugeMetricFamily("vvbatch_slots_in_use", "Lines that a worker renders", labels=labels)
        slots = GaugeMetricFamily("vvbatch_slots", "Lines that it can render at once", labels=labels)
        memory = GaugeMetricFamily("vvbatch_worker_memory_bytes", "Resident memory, on this machine", labels=labels)
        for worker in self.alive():
            names = [worker.profile, worker.worker]
            in_use.add_metric(names, worker.rendering)
            if worker.slots is not None:
                slots.add_metric(names, worker.slots)
            if (resident := memory_of(worker)) is not None:
                memory.add_metric(names, resident)
        yield from (in_use, slots, memory)

    def alive(self) -> list[WorkerView]:
        with self.services.ledger.engine.connect() as connection:
            known = running_workers(connection)
        living = queue.alive(self.services.queue, [worker.worker for worker in known])
        return [worker for worker in known if worker.worker in living]

    def of_nights(self) -> Iterator[Metric]:
        labels = ["suite", "profile", "verdict"]
        nights = GaugeMetricFamily("vvbatch_night_lines", "Lines of the last night by verdict", labels=labels)
        for night in last_nights(self.services.ledger):
            nights.add_metric([night.suite, night.profile, night.verdict], night.lines)
        yield nights


def memory_of(worker: WorkerView) -> int | None:
    if worker.host != socket.gethostname():
        return None
    try:
        return int(psutil.Process(worker.pid).memory_info().rss)
    except psutil.Error:
        return None


def exposition(services: Services) -> bytes:
    """In a thread: all figures as text."""
    return generate_latest(services.counters.registry) + generate_latest(Gauges(services))


async def get_metrics(request: Request) -> Response:
    services = services_of(request)
    fresh = services.fresh.setdefault("metrics", Fresh(lambda: services.call(exposition, services), AGE_S))
    return Response(await fresh.get(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
