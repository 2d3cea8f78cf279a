"""`GET /api/events`: what happens, from the ledger's events. One reader for all clients, none while there is none."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.exc import DBAPIError

from vvbatch.ledger import Ledger
from vvbatch.ledger.feed import LATE_S, EventView, Place, events_after

POLL_S = 0.5
PAGE = 500
ALIVE_S = 15.0  # between two signs of life on a stream without events
BEHIND = 1000  # events that wait for a slow client, before its stream ends: it may resume
KNOWN = 10_000

log = logging.getLogger("vvbatch.web")

Item = EventView | None
"""None: the stream ends."""


class Events:
    def __init__(self, ledger: Ledger, poll_s: float = POLL_S) -> None:
        self.ledger, self.poll_s = ledger, poll_s
        self.thread = ThreadPoolExecutor(1, "events")
        self.clients: set[asyncio.Queue[Item]] = set()
        self.reading: asyncio.Task[None] | None = None
        self.closed = False

    @contextmanager
    def client(self) -> Iterator[asyncio.Queue[Item]]:
        """A queue that gets every event from now on."""
        queue: asyncio.Queue[Item] = asyncio.Queue(BEHIND + 1)
        self.clients.add(queue)
        if self.closed:
            queue.put_nowait(None)
        elif self.reading is None or self.reading.done():
            self.reading = asyncio.ensure_future(self.read(Place(self.ledger.now(), "")))
        try:
            yield queue
        finally:
            self.clients.discard(queue)

    async def read(self, place: Place) -> None:
        """Pass new events to all clients, while there is one. What appears late is read up to LATE_S later."""
        seen: OrderedDict[str, None] = OrderedDict()
        while self.clients:
            try:
                found = await self.after(max(place, Place(before(self.ledger.now(), LATE_S), "")))
            except DBAPIError as error:
                log.warning("the events cannot be read now: %s", error.orig)
                found = []
            for event in found:
                if event.id not in seen:
                    seen[event.id] = None
                    self.give(event)
            while len(seen) > KNOWN:
                seen.popitem(last=False)
            await asyncio.sleep(self.poll_s)

    def give(self, event: Item) -> None:
        for queue in list(self.clients):
            if queue.qsize() < BEHIND:
                queue.put_nowait(event)
            elif not queue.full():
                queue.put_nowait(None)

    async def after(self, place: Place) -> Sequence[EventView]:
        """All events after a place, read in pages."""
        found: list[EventView] = []
        while True:
            page = await asyncio.get_running_loop().run_in_executor(self.thread, events_after, self.ledger, place, PAGE)
            found += page
            if len(page) < PAGE:
                return found
            place = Place(page[-1].at, page[-1].id.partition("/")[2])

    async def stream(self, since: Place | None) -> AsyncGenerator[bytes]:
        """Server-sent events: those after `since`, then what happens."""
        with self.client() as queue:
            yield b": connected\n\n"
            sent: set[str] = set()
            if since is not None:
                loop = asyncio.get_running_loop()
                while page := await loop.run_in_executor(self.thread, events_after, self.ledger, since, PAGE):
                    for event in page:
                        yield framed(event)
                    sent = {event.id for event in page}
                    since = Place(page[-1].at, page[-1].id.partition("/")[2])
                    if len(page) < PAGE:
                        break
            while True:
                try:
                    async with asyncio.timeout(ALIVE_S):
                        item = await queue.get()
                except TimeoutError:
                    yield b": alive\n\n"
                    continue
                if item is None:
                    return
                if item.id not in sent:
                    yield framed(item)

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        for queue in self.clients:
            if not queue.full():
                queue.put_nowait(None)
        self.thread.shutdown(wait=False, cancel_futures=True)


def framed(event: EventView) -> bytes:
    return f"id: {event.id}\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n"


def before(now: str, seconds: float) -> str:
    return (datetime.fromisoformat(now) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
