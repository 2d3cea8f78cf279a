"""`GET /metrics`: figures for Prometheus. Counters begin when the server starts; a worker that is gone has none."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response

from vvbatch.ledger.feed import LATE_S, Place
from vvbatch.ledger.figures import EndedTake, last_nights, queued_lines, takes_after
from vvbatch.ledger.overview import running_workers
from vvbatch.ledger.views import WorkerView
from vvbatch.transport import queue
from vvbatch.web.events import before
from vvbatch.web.services import Fresh, Services, services_of

AGE_S = 2.0
PAGE = 1000
KNOWN = 20_000
RTF = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0)
FIRST_CHUNK_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)


class Metrics:
    """One per server."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.registry = CollectorRegistry()
        self.place = Place(services.ledger.now(), "")
        self.seen: OrderedDict[str, None] = OrderedDict()
        by_profile = {"labelnames": ("profile",), "registry": self.registry}
        by_device = {"labelnames": ("profile", "device"), "registry": self.registry}
        self.takes = Counter("vvbatch_takes", "Takes that have ended", ("profile", "state"), registry=self.registry)
        self.failed_checks = Counter(
            "vvbatch_failed_checks", "Checks that takes have failed", ("profile", "check"), registry=self.registry
        )
        self.retries = Counter("vvbatch_retries", "Takes after the first of their line", **by_profile)  # type: ignore[arg-type]
        self.audio_s = Counter("vvbatch_audio_seconds", "Seconds of audio in good takes", **by_device)  # type: ignore[arg-type]
        self.rtf = Histogram("vvbatch_rtf", "Wall seconds per second of audio", buckets=RTF, **by_device)  # type: ignore[arg-type]
        self.first_chunk_s = Histogram(
            "vvbatch_first_chunk_seconds",
            "Seconds to the first chunk",
            buckets=FIRST_CHUNK_S,
            **by_device,  # type: ignore[arg-type]
        )
        self.clients = Gauge("vvbatch_event_streams", "Clients of /api/events", registry=self.registry)
        self.registry.register(self)

    def text(self) -> bytes:
        """In a thread: the figures now."""
        self.count()
        self.clients.set(len(self.services.events.clients))
        return generate_latest(self.registry)

    def count(self) -> None:
        """Count the takes that have ended since the last time; one may appear late."""
        ledger = self.services.ledger
        place = max(self.place, Place(before(ledger.now(), LATE_S), ""))
        while page := takes_after(ledger, place, PAGE):
            for take in page:
                if take.id not in self.seen:
                    self.seen[take.id] = None
                    self.add(take)
            place = Place(page[-1].ended_at, page[-1].id)
            if len(page) < PAGE:
                break
        self.place = max(self.place, Place(before(ledger.now(), LATE_S), ""))
        while len(self.seen) > KNOWN:
            self.seen.popitem(last=False)

    def add(self, take: EndedTake) -> None:
        self.takes.labels(take.profile, take.state).inc()
        for check in take.failed_checks:
            self.failed_checks.labels(take.profile, check).inc()
        if take.attempt > 1:
            self.retries.labels(take.profile).inc()
        if take.state in ("done", "superseded") and take.duration_s:
            self.audio_s.labels(take.profile, take.device).inc(take.duration_s)
        if take.rtf is not None:
            self.rtf.labels(take.profile, take.device).observe(take.rtf)
        if take.first_chunk_s is not None:
            self.first_chunk_s.labels(take.profile, take.device).observe(take.first_chunk_s)

    def collect(self) -> Iterator[Metric]:
        """What stands now, as prometheus_client asks for it."""
        ledger = self.services.ledger
        waiting = GaugeMetricFamily("vvbatch_queued_lines", "Lines that wait", labels=["profile", "priority"])
        oldest = GaugeMetricFamily(
            "vvbatch_oldest_wait_seconds", "How long the first of them waits", labels=["profile", "priority"]
        )
        now = datetime.fromisoformat(ledger.now())
        for each in queued_lines(ledger):
            waiting.add_metric([each.profile, each.priority], each.lines)
            waits_s = (now - datetime.fromisoformat(each.oldest)).total_seconds()
            oldest.add_metric([each.profile, each.priority], max(0.0, waits_s))
        yield from (waiting, oldest)
        yield from self.of_workers()
        nights = GaugeMetricFamily(
            "vvbatch_night_lines", "Lines of the last night by verdict", labels=["suite", "profile", "verdict"]
        )
        for night in last_nights(ledger):
            nights.add_metric([night.suite, night.profile, night.verdict], night.lines)
        yield nights

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


def memory_of(worker: WorkerView) -> int | None:
    if worker.host != socket.gethostname():
        return None
    try:
        return int(psutil.Process(worker.pid).memory_info().rss)
    except psutil.Error:
        return None


async def get_metrics(request: Request) -> Response:
    services = services_of(request)

    def fresh() -> Fresh[bytes]:
        metrics = Metrics(services)
        return Fresh(lambda: services.call(metrics.text), AGE_S)

    made = services.fresh.get("metrics") or services.fresh.setdefault("metrics", fresh())
    return Response(await made.get(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
