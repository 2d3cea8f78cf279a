"""Counters of the takes that have ended since the server started, for Prometheus."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram

from vvbatch.ledger import Ledger
from vvbatch.ledger.feed import Tail
from vvbatch.ledger.figures import EndedTake, takes_after
from vvbatch.ledger.states import GOOD_TAKES

RTF = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0)
FIRST_CHUNK_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)


class Counters:
    """One per server, which calls `count` every few seconds: takes are counted whether or not figures are scraped."""

    def __init__(self, ledger: Ledger) -> None:
        self.registry = CollectorRegistry()
        self.tail = Tail(partial(takes_after, ledger), ledger.now)
        by_profile, by_device = ("profile",), ("profile", "device")
        self.takes = Counter("vvbatch_takes", "Takes that have ended", ("profile", "state"), registry=self.registry)
        self.failed_checks = Counter(
            "vvbatch_failed_checks", "Checks that takes have failed", ("profile", "check"), registry=self.registry
        )
        self.retries = Counter(
            "vvbatch_retries", "Takes after the first of their line", by_profile, registry=self.registry
        )
        self.audio_s = Counter(
            "vvbatch_audio_seconds", "Seconds of audio in good takes", by_device, registry=self.registry
        )
        self.rtf = Histogram(
            "vvbatch_rtf", "Wall seconds per second of audio", by_device, buckets=RTF, registry=self.registry
        )
        self.first_chunk_s = Histogram(
            "vvbatch_first_chunk_seconds",
            "Seconds to the first chunk",
            by_device,
            buckets=FIRST_CHUNK_S,
            registry=self.registry,
        )

    def count(self) -> None:
        """In a thread, one call at a time: add the takes that have ended since the last call."""
        while True:
            for take in self.tail.page():
                self.add(take)
            if not self.tail.behind:
                return

    def add(self, take: EndedTake) -> None:
        self.takes.labels(take.profile, take.state).inc()
        for check in take.failed_checks:
            self.failed_checks.labels(take.profile, check).inc()
        if take.attempt > 1:
            self.retries.labels(take.profile).inc()
        if take.state in GOOD_TAKES and take.duration_s:
            self.audio_s.labels(take.profile, take.device).inc(take.duration_s)
        if take.rtf is not None:
            self.rtf.labels(take.profile, take.device).observe(take.rtf)
        if take.first_chunk_s is not None:
            self.first_chunk_s.labels(take.profile, take.device).observe(take.first_chunk_s)
