"""`GET /api/events`: what happens, from the ledger's events. One reader for all clients, none while there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec

from vvbatch.ledger import Ledger
from vvbatch.ledger.feed import LATE_S, PAGE, EventView, Place, Tail, happenings_after
from vvbatch.ledger.records import earlier
from vvbatch.web.loops import again

POLL_S = 0.5
ALIVE_S = 15.0  # between two comments on a stream without events
BEHIND = 1000  # events that wait for a slow client, before its stream ends: it may resume

P = ParamSpec("P")
T = TypeVar("T")
Item = EventView | None
"""None: the stream ends."""


class Events:
    """One per server."""

    def __init__(self, ledger: Ledger, poll_s: float = POLL_S) -> None:
        self.ledger, self.poll_s = ledger, poll_s
        self.thread = ThreadPoolExecutor(1, "events")
        self.clients: set[asyncio.Queue[Item]] = set()
        self.settled = Place("", "")  # queues get nothing before it
        self.reading: asyncio.Task[None] | None = None
        self.closed = False

    @contextmanager
    def client(self) -> Iterator[asyncio.Queue[Item]]:
        """A queue that gets every event from now on, perhaps with some of the last LATE_S before them."""
        queue: asyncio.Queue[Item] = asyncio.Queue(BEHIND + 1)
        self.clients.add(queue)
        if self.closed:
            queue.put_nowait(None)
        elif self.reading is None:
            tail = Tail(partial(happenings_after, self.ledger), self.ledger.now, back_s=LATE_S)
            self.settled = tail.settled
            self.reading = asyncio.create_task(again(self.poll_s, "reading events", partial(self.pass_on, tail)))
        try:
            yield queue
        finally:
            self.clients.discard(queue)
            if not self.clients:
                self.stop_reading()

    def stop_reading(self) -> None:
        if self.reading is not None:
            self.reading.cancel()
            self.reading = None

    async def pass_on(self, tail: Tail[EventView]) -> None:
        """Give the new events to all clients."""
        while True:
            self.settled = tail.settled  # not after the read: its events are given later
            for event in await self.within(tail.page):
                self.give(event)
            if not tail.behind:
                return

    def give(self, event: Item) -> None:
        for queue in list(self.clients):
            if queue.qsize() < BEHIND:
                queue.put_nowait(event)
            elif not queue.full():
                queue.put_nowait(None)

    async def within(self, function: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, partial(function, *given, **named))

    async def stream(self, since: Place | None) -> AsyncGenerator[bytes]:
        """Server-sent events: new ones, and with `since` first those that were recorded after it.

        An event may be recorded up to LATE_S after its date, so some come again that the client had before `since`. In
        one stream each comes once.
        """
        with self.client() as queue:
            settled = self.settled
            yield b": connected\n\n"
            sent: set[str] = set()  # of those that may be in the queue as well
            place = Place(earlier(since.at, LATE_S), "") if since else None
            while place is not None and not self.closed:
                page = await self.within(happenings_after, self.ledger, place, PAGE)
                for event in page:
                    if event.place != since:
                        yield framed(event)
                sent |= {event.id for event in page if event.place > settled}
                place = page[-1].place if len(page) == PAGE else None
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
        """End all streams at once, and those that are opened later."""
        self.closed = True
        self.stop_reading()
        for queue in self.clients:
            if not queue.full():
                queue.put_nowait(None)
        self.thread.shutdown(wait=False, cancel_futures=True)


def framed(event: EventView) -> bytes:
    return f"id: {event.id}\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n"
