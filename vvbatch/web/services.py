"""What the handlers of all requests work with: the ledger, the queue, threads for what blocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, ParamSpec, TypeVar

import redis
import redis.asyncio
from starlette.requests import Request

from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.forecast import Throughput
from vvbatch.settings import Settings
from vvbatch.web.access import Access
from vvbatch.web.counters import Counters
from vvbatch.web.events import Events

P = ParamSpec("P")
T = TypeVar("T")


class Fresh(Generic[T]):
    """A value that is computed again when it is older than `age_s`, once for all requests that come meanwhile.

    Meanwhile they get the previous value, if that is not older than `stale_s`.
    """

    def __init__(self, make: Callable[[], Awaitable[T]], age_s: float, stale_s: float = 0.0) -> None:
        self.make, self.age_s, self.stale_s = make, age_s, stale_s
        self.made: tuple[float, T] | None = None
        self.making: asyncio.Future[T] | None = None

    async def get(self) -> T:
        age_s = time.monotonic() - self.made[0] if self.made else float("inf")
        if self.made and age_s <= self.age_s:
            return self.made[1]
        if self.making is None or self.making.done():
            self.making = asyncio.ensure_future(self._made())
            self.making.add_done_callback(lambda making: making.cancelled() or making.exception())
        if self.made and age_s <= self.stale_s:
            return self.made[1]
        return await asyncio.shield(self.making)

    async def _made(self) -> T:
        value = await self.make()
        self.made = time.monotonic(), value
        return value


@dataclass
class Services:
    home: Home
    ledger: Ledger
    settings: Settings
    queue: redis.Redis
    streams: redis.asyncio.Redis
    access: Access
    events: Events
    counters: Counters
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, "ledger"))
    planners: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "plan"))
    encoders: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "encode"))
    waiting: dict[str, dict[object, int]] = field(default_factory=dict)
    """Requests for speech that wait for a slot, by profile, with their characters."""
    fresh: dict[str, Fresh[bytes]] = field(default_factory=dict)
    paces: dict[str, Fresh[Throughput | None]] = field(default_factory=dict)  # by profile
    warming: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def call(self, function: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Run what blocks for a moment: the ledger, Redis, a small file."""
        return await self.within(self.threads, function, *given, **named)

    async def plan(self, function: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Run what may compute for seconds: parsing and planning."""
        return await self.within(self.planners, function, *given, **named)

    async def within(self, pool: ThreadPoolExecutor, function: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: function(*given, **named))

    def close(self) -> None:
        for pool in (self.threads, self.planners, self.encoders):
            pool.shutdown(wait=True, cancel_futures=True)
        self.queue.close()


def services_of(request: Request) -> Services:
    found: Services = request.app.state.services
    return found
