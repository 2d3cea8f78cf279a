"""The stream of events: nothing lost, nothing twice, none held up by a slow client."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy.exc import OperationalError

from tests.conftest import wait_until
from tests.support import ledgers
from tests.support.web import Site, ended, submitted
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import set_batch_state
from vvbatch.ledger.feed import EventView, Place, events_after, happenings_after, place_of
from vvbatch.web.events import BEHIND, Events


class Reader:
    """Reads a stream of events in a thread."""

    def __init__(self, site: Site, **headers: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.ended = threading.Event()
        self.client = site.client(headers=headers)
        self.connected = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()
        assert self.connected.wait(10)

    def read(self) -> None:
        try:
            with self.client.stream("GET", "/api/events", timeout=60) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                for line in answer.iter_lines():
                    self.connected.set()
                    if line.startswith("id: "):
                        self.ids.append(line[4:])
                    elif line.startswith("data: "):
                        self.events.append(json.loads(line[6:]))
        except (httpx2.HTTPError, RuntimeError):
            pass
        finally:
            self.ended.set()

    def kinds(self, batch: str) -> list[str]:
        return [event["kind"] for event in self.events if event["batch"] == batch]


def test_events_arrive_and_resume_where_a_reader_stopped(site: Site, client: httpx2.Client) -> None:
    reader = Reader(site)
    batch = submitted(client, "An event or two.", "And one for each line.")
    wait_until(lambda: "batch done" in reader.kinds(batch))
    assert reader.kinds(batch) == ["batch submitted", "line done", "line done", "batch done"]
    assert set(reader.events[0]) == {"id", "at", "kind", "batch", "line", "worker", "detail"}
    at = reader.ids[[event["kind"] == "line done" and event["batch"] == batch for event in reader.events].index(True)]
    missed = submitted(client, "While no one read.")
    ended(client, missed)
    again = Reader(site, **{"Last-Event-ID": at})
    wait_until(lambda: "batch done" in again.kinds(missed))
    after = [event["kind"] for event in again.events if event["batch"] == batch and event["id"] > at]
    assert after == ["line done", "batch done"] and at not in again.ids
    assert again.kinds(missed) == ["batch submitted", "line done", "batch done"]
    assert len(again.ids) == len(set(again.ids))


def test_a_page_learns_the_end_of_every_line_from_events(site: Site, client: httpx2.Client) -> None:
    reader = Reader(site)
    batch = submitted(client, "A page shows this.", "This one is silent.", "A page shows this, too.", title="Page")
    view = ended(client, batch)
    wait_until(lambda: "batch failed" in reader.kinds(batch))
    mine = [event for event in reader.events if event["batch"] == batch and event["line"]]
    done = {event["line"]: event["detail"] for event in mine if event["kind"] == "line done"}
    assert done == {
        line["id"]: {"state": "done", "score": line["score"], "take": line["take"]}
        for line in view["lines"]
        if line["state"] == "done"
    }
    assert [event["line"] for event in mine if event["kind"] == "line failed"] == [view["lines"][1]["id"]]
    again = submitted(client, "A page shows this.", "Now another line.", title="Page again")
    wait_until(lambda: "batch done" in reader.kinds(again))
    assert reader.kinds(again) == ["batch submitted", "lines cached", "line done", "batch done"]
    cached = next(event for event in reader.events if event["batch"] == again and event["kind"] == "lines cached")
    assert cached["detail"] == {"lines": 1}


def test_one_reader_serves_all_clients_and_none_reads_without_one(site: Site, client: httpx2.Client) -> None:
    readers = [Reader(site) for _ in range(5)]
    reading = site.services.events.reading
    assert reading is not None and len(site.services.events.clients) >= 5
    batch = submitted(client, "Five of them hear it.")
    for reader in readers:
        wait_until(lambda reader=reader: "batch done" in reader.kinds(batch))
    assert site.services.events.reading is reading


@pytest.mark.parametrize(
    "given", ["nonsense", "2026-03-01T22:00:00Z", "2026/x", "2026-99-01T22:00:00Z/x", "0001-01-01T00:00:00Z/x"]
)
def test_an_id_that_is_none_is_refused(client: httpx2.Client, given: str) -> None:
    with client.stream("GET", "/api/events", headers={"Last-Event-ID": given}) as answer:
        assert answer.status_code == 400


def test_a_client_that_does_not_read_is_let_go_and_the_others_are_not_held_up(tmp_path: Path) -> None:
    ledger = ledgers.open_ledger(tmp_path)
    ledgers.add_batch(ledger, "b", ["One."])

    async def scenario() -> tuple[int, bool]:
        events = Events(ledger, poll_s=0.01)
        with events.client() as slow, events.client() as quick:
            (event,) = events_after(ledger, place_of("2000/x") or pytest.fail(), 10)
            for _ in range(2 * BEHIND):
                events.give(event)
                if quick.qsize() > 1:
                    quick.get_nowait()
            items = [slow.get_nowait() for _ in range(slow.qsize())]
            events.close()
            return len(items), items[-1] is None

    assert asyncio.run(scenario()) == (BEHIND + 1, True)
    ledger.close()


def test_events_from_before_a_pause_of_the_reader_are_still_sent(tmp_path: Path) -> None:
    """Such as a ledger that was locked for a minute."""
    clock = ledgers.Clock()
    ledger = ledgers.open_ledger(tmp_path, clock)
    ledgers.add_batch(ledger, "b", ["One."])

    async def scenario() -> list[str]:
        events = Events(ledger, poll_s=0.01)
        with events.client() as queue:
            await asyncio.sleep(0.1)
            set_batch_state(ledger, "b", "paused", only_from=("open",))
            clock.advance(60)
            async with asyncio.timeout(10):
                kinds = [event.kind for _ in range(2) if (event := await queue.get())]
        events.close()
        return kinds

    assert asyncio.run(scenario()) == ["batch submitted", "batch paused"]
    ledger.close()


def test_streams_of_a_server_that_stops_end_in_good_order(tmp_path: Path) -> None:
    ledger = ledgers.open_ledger(tmp_path)

    async def scenario() -> list[bytes]:
        events = Events(ledger)
        open_before, opened_after = events.stream(None), events.stream(place_of("2000-01-01T00:00:00Z/x"))
        parts = [await anext(open_before)]
        events.close()
        async with asyncio.timeout(10):
            return parts + [part async for part in open_before] + [part async for part in opened_after]

    assert asyncio.run(scenario()) == [b": connected\n\n"] * 2
    ledger.close()


def test_an_event_that_appears_late_is_still_sent_once(tmp_path: Path) -> None:
    """Its time was taken before another's, and its transaction ended after."""
    clock = ledgers.Clock()
    ledger = ledgers.open_ledger(tmp_path, clock)
    ledgers.add_batch(ledger, "b", ["One."])

    async def scenario() -> list[str]:
        events = Events(ledger, poll_s=0.01)
        with events.client() as queue:
            await asyncio.sleep(0.03)
            clock.advance(5)
            set_batch_state(ledger, "b", "paused", only_from=("open",))
            await asyncio.sleep(0.1)
            clock.advance(-2)
            set_batch_state(ledger, "b", "open", only_from=("paused",))
            clock.advance(3)
            await asyncio.sleep(0.1)
            found = [queue.get_nowait() for _ in range(queue.qsize())]
        events.close()
        return [event.kind for event in found if event and event.at > "2026-03-01T22:00:01"]

    assert asyncio.run(scenario()) == ["batch paused", "batch open"]
    ledger.close()


async def next_kinds(stream: AsyncGenerator[bytes], count: int) -> list[str]:
    """The kinds of the next events of a stream."""
    kinds: list[str] = []
    async with asyncio.timeout(30):
        while len(kinds) < count:
            part = await anext(stream)
            if part.startswith(b"id: "):
                kinds.append(json.loads(part.partition(b"data: ")[2])["kind"])
    return kinds


def test_an_event_that_is_recorded_after_a_client_has_stopped_is_sent_when_it_resumes(tmp_path: Path) -> None:
    """Its date is before that of the last event that the client has."""
    clock = ledgers.Clock()
    ledger = ledgers.open_ledger(tmp_path, clock)
    ledgers.add_batch(ledger, "b", ["One."])
    clock.advance(60)
    set_batch_state(ledger, "b", "paused", only_from=("open",))
    last = events_after(ledger, Place("", ""), 10)[-1]
    clock.advance(-2)
    set_batch_state(ledger, "b", "open", only_from=("paused",))
    clock.advance(4)

    async def scenario() -> list[str]:
        events = Events(ledger, poll_s=0.01)
        stream = events.stream(last.place)
        kinds = await next_kinds(stream, 1)
        set_batch_state(ledger, "b", "paused", only_from=("open",))
        kinds += await next_kinds(stream, 1)
        await stream.aclose()
        events.close()
        return kinds

    assert last.kind == "batch paused"
    assert asyncio.run(scenario()) == ["batch open", "batch paused"]
    ledger.close()


def test_an_event_that_is_dated_before_a_stream_and_recorded_after_is_sent(tmp_path: Path) -> None:
    clock = ledgers.Clock()
    ledger = ledgers.open_ledger(tmp_path, clock)
    ledgers.add_batch(ledger, "b", ["One."])
    clock.advance(60)

    async def scenario() -> list[str]:
        events = Events(ledger, poll_s=0.01)
        stream = events.stream(None)
        assert await anext(stream) == b": connected\n\n"
        clock.advance(-2)
        set_batch_state(ledger, "b", "paused", only_from=("open",))
        clock.advance(2)
        kinds = await next_kinds(stream, 1)
        await stream.aclose()
        events.close()
        return kinds

    assert asyncio.run(scenario()) == ["batch paused"]
    ledger.close()


def test_a_stream_that_resumes_while_the_ledger_is_read_again_has_each_event_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ledgers.Clock()
    ledger = ledgers.open_ledger(tmp_path, clock)
    ledgers.add_batch(ledger, "b", ["One."])
    silent = True

    def silent_at_first(of: Ledger, place: Place, limit: int) -> Sequence[EventView]:
        if silent:
            raise OperationalError("SELECT", {}, Exception("database is locked"))
        return happenings_after(of, place, limit)

    async def scenario() -> list[str]:
        nonlocal silent
        events = Events(ledger, poll_s=0.01)
        with monkeypatch.context() as patch:
            patch.setattr("vvbatch.web.events.happenings_after", silent_at_first)
            other = events.stream(None)
            assert await anext(other) == b": connected\n\n"
        clock.advance(1)
        set_batch_state(ledger, "b", "paused", only_from=("open",))
        clock.advance(60)
        stream = events.stream(happenings_after(ledger, Place("", ""), 1)[0].place)
        kinds = await next_kinds(stream, 1)
        silent = False
        assert await next_kinds(other, 2) == ["batch submitted", "batch paused"]
        set_batch_state(ledger, "b", "open", only_from=("paused",))
        kinds += await next_kinds(stream, 1)
        for each in (other, stream):
            await each.aclose()
        events.close()
        return kinds

    assert asyncio.run(scenario()) == ["batch paused", "batch open"]
    ledger.close()
