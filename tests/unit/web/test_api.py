"""Batches, files, events, status, health, metrics and the OpenAPI document over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import redis
import soundfile
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import DataError, OperationalError

from bench.voicelike import syllables
from tests.conftest import wait_until
from tests.support import ledgers
from tests.support.cli import Cli
from tests.support.web import Site, serving
from vvbatch import store
from vvbatch.batch.assemble import order_in
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import set_batch_state
from vvbatch.ledger.books import batch_row
from vvbatch.ledger.feed import EventView, Place, events_after, happenings_after, place_of
from vvbatch.ledger.listings import Filter, list_takes
from vvbatch.ledger.recovery import worker_started
from vvbatch.ledger.schema import nights, verdicts
from vvbatch.ledger.views import StatusView
from vvbatch.settings import ServeSettings
from vvbatch.web.answers import json_answer
from vvbatch.web.errors import known_error
from vvbatch.web.events import BEHIND, Events
from vvbatch.web.status import StatusAnswer, file_name

SCRIPT = "version: 1\ntitle: Pier\nmodel: ready\nlines:\n- The lamp went out.\n- Who is there?\n"
YAML = {"Content-Type": "application/yaml"}


@pytest.fixture
def client(site: Site) -> Iterator[httpx2.Client]:
    with site.client() as client:
        yield client


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


# Scripts


def test_a_script_is_submitted_and_its_documents_are_those_of_the_command_line(client: httpx2.Client) -> None:
    answer = client.post("/api/batches", content=SCRIPT, headers=YAML)
    assert answer.status_code == 201
    batch = answer.json()["batch"]
    assert answer.headers["location"] == f"/api/batches/{batch}"
    ended(client, batch)
    cli = Cli()
    assert client.get(f"/api/batches/{batch}").json() == cli.json("status", batch)
    assert client.get(f"/api/batches/{batch}/lines").json() == cli.json("ledger", "lines", batch)
    assert client.get(f"/api/batches/{batch}/takes").json() == cli.json("ledger", "takes", "--batch", batch)
    rows = cli.json("ledger", "batches")
    assert [row for row in client.get("/api/batches").json() if row["batch"] == batch] == [
        row for row in rows if row["batch"] == batch
    ]
    out = Path(client.get(f"/api/batches/{batch}").json()["out"])
    file = out / batch / "manifest.json"
    wait_until(file.exists)
    assert client.get(f"/api/batches/{batch}/manifest").json() == json.loads(file.read_bytes())
    assert client.get(f"/api/batches/{batch}/book").json() == {"batch": batch, "files": []}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/yaml", SCRIPT),
        ("text/csv", "text\nOne row.\n"),
        ("text/tab-separated-values", "text\tvoice\nOne.\talice\n"),
        ("text/plain; charset=utf-8", "A plain text.\n"),
        ("application/json", '{"version": 1, "lines": ["One."]}'),
    ],
)
def test_the_content_type_says_which_format_a_script_has(client: httpx2.Client, kind: str, body: str) -> None:
    query = {"check": "1", "model": "ready", "name": "book"}
    answer = client.post("/api/batches", params=query, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 200 and answer.json()["parts"] >= 1
    assert answer.json()["script"].startswith("book.")


def test_a_script_is_sent_as_a_file_of_a_form(client: httpx2.Client) -> None:
    answer = client.post("/api/batches?check=true", files={"file": ("../../x/own.csv", b"text,model\nOne.,ready\n")})
    assert answer.status_code == 200 and answer.json()["script"] == "own.csv"


def test_options_in_the_form_of_a_script_are_refused_as_they_would_be_ignored(client: httpx2.Client) -> None:
    file = {"file": ("own.csv", b"text,model\nOne.,ready\n")}
    answer = client.post("/api/batches?check=true", files=file, data={"model": "ready2"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


def test_a_check_says_what_the_command_says(
    client: httpx2.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = SCRIPT + "- 'An **emphasis** and a smile 🙂 in it.'\n"
    Path("script.yaml").write_text(script)
    answer = client.post("/api/batches?check=1", content=script, headers=YAML).json()
    assert answer == Cli().json("check", "script.yaml")
    assert [(warning["line"], warning["column"]) for warning in answer["warnings"]]


@pytest.mark.parametrize("query", ["", "?check=1"])
def test_every_problem_of_a_script_comes_with_its_place(
    client: httpx2.Client, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "version: 1\nlines:\n- {text: One., voice: absent}\n- {text: Two., speed: 3}\n- {text: '', model: none}\n"
    answer = client.post(f"/api/batches{query}", content=script, headers=YAML)
    assert answer.status_code == 422
    problems = answer.json()["problems"]
    assert {"file", "line", "column", "found", "allowed"} == set(problems[0])
    monkeypatch.chdir(tmp_path)
    Path("script.yaml").write_text(script)
    said = Cli()("check", "script.yaml", code=2).stderr
    assert len(problems) >= 2
    for problem in problems:
        place = f"{problem['file']}:{problem['line']}:{problem['column']}: {problem['found']}; {problem['allowed']}"
        assert place in said


@pytest.mark.parametrize(
    ("path", "headers", "status", "parameter"),
    [
        ("/api/batches", {"Content-Type": "application/pdf"}, 415, None),
        ("/api/batches?takes=0", YAML, 400, "takes"),
        ("/api/batches?tempo=1", YAML, 400, "tempo"),
        ("/api/batches?priority=interactive", YAML, 400, "priority"),
        ("/api/batches?preset=loud", YAML, 400, None),
        ("/api/batches?book=m4b,docx", YAML, 400, None),
        ("/api/batches?check=1&book=vtt", YAML, 400, None),
    ],
)
def test_what_a_submit_cannot_take_is_refused_by_name(
    client: httpx2.Client, path: str, headers: dict[str, str], status: int, parameter: str | None
) -> None:
    answer = client.post(path, content=SCRIPT, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, parameter)


def test_a_script_for_a_model_that_nothing_renders_is_not_queued(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    answer = client.post("/api/batches?model=1.5b", content=SCRIPT, headers=YAML)
    assert answer.status_code == 503 and "vvbatch models pull 1.5b" in answer.json()["error"]["message"]
    queued = client.post("/api/batches?model=1.5b&wait_for_model=1", content=SCRIPT, headers=YAML)
    assert queued.status_code == 201
    assert client.get(f"/api/batches/{queued.json()['batch']}").json()["unserved"] == {"1.5b": 2}
    client.post(f"/api/batches/{queued.json()['batch']}/cancel")


def test_the_same_script_that_is_still_open_is_resumed(site: Site, client: httpx2.Client) -> None:
    site.paused.set()
    try:
        first = client.post("/api/batches?name=twice", content=SCRIPT + "- Once more.\n", headers=YAML)
        again = client.post("/api/batches?name=twice", content=SCRIPT + "- Once more.\n", headers=YAML)
    finally:
        site.paused.clear()
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["batch"] == first.json()["batch"] and again.json()["created"] is False
    ended(client, first.json()["batch"])


def test_a_book_that_is_ordered_with_a_script_is_kept_with_the_batch(site: Site, client: httpx2.Client) -> None:
    query = {"book": "m4b, vtt", "preset": "podcast", "name": "bound"}
    batch = client.post("/api/batches", params=query, content=SCRIPT + "- Bound.\n", headers=YAML).json()["batch"]
    order = order_in(batch_row(site.ledger, batch))
    assert (order.formats, order.preset) == (("m4b", "vtt"), "podcast")
    plain = client.post("/api/batches?name=unbound", content=SCRIPT + "- Unbound.\n", headers=YAML).json()["batch"]
    assert not order_in(batch_row(site.ledger, plain)).asked


def test_a_script_whose_own_book_cannot_be_made_is_not_queued(client: httpx2.Client) -> None:
    script = SCRIPT + "book: {preset: loud}\n"
    answer = client.post("/api/batches?name=loud", content=script, headers=YAML)
    assert answer.status_code == 400 and "preset 'loud' is unknown" in answer.json()["error"]["message"]
    assert [row for row in client.get("/api/batches").json() if row["script"].startswith("loud")] == []


@pytest.mark.parametrize(
    ("path", "parameter", "allowed"),
    [
        ("/api/batches?state=broken", "state", "open, paused, done, failed, cancelled"),
        ("/api/batches?kind=film", "kind", "script, speech, night, proof"),
        ("/api/batches/last/lines?state=broken", "state", "queued, rendering, done, cached, failed, cancelled"),
        ("/api/batches/last/takes?state=queued", "state", "rendering, done, failed_qc, failed, crashed"),
        ("/api/status?kind=film", "kind", "all, night, proof, script, speech"),
    ],
)
def test_a_value_that_is_none_of_several_is_refused_with_those_that_are(
    client: httpx2.Client, path: str, parameter: str, allowed: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, parameter)
    assert f"{parameter}: allowed are {allowed}" in answer.json()["error"]["message"]


def test_a_parameter_that_is_given_twice_is_refused(client: httpx2.Client) -> None:
    answer = client.post("/api/batches/last/cancel?line=a&line=b")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "line")


def test_a_value_that_the_database_cannot_hold_is_the_clients_error() -> None:
    """PostgreSQL has no text with a NUL."""
    found = known_error(DataError("SELECT", None, ValueError("text fields cannot contain NUL (0x00) bytes")))
    assert found is not None and found.status == 400 and "NUL" in str(found)


# Control


def test_a_batch_is_paused_resumed_cancelled_and_retried(site: Site, client: httpx2.Client) -> None:
    site.paused.set()
    try:
        batch = submitted(client, "Line one waits.", "Line two waits.")
        assert client.post(f"/api/batches/{batch}/pause").json() == {"batch": batch, "state": "paused"}
        assert client.post(f"/api/batches/{batch}/resume").json() == {"batch": batch, "state": "open", "queued": 2}
        ids = [line["id"] for line in client.get(f"/api/batches/{batch}").json()["lines"]]
        one = client.post(f"/api/batches/{batch}/cancel", params={"line": ids[0]})
        assert one.json() == {"batch": batch, "cancelled": 1}
        assert client.post(f"/api/batches/{batch}/cancel").json() == {"batch": batch, "cancelled": 1}
    finally:
        site.paused.clear()
    assert client.post(f"/api/batches/{batch}/retry").json() == {"batch": batch, "queued": 2}
    assert ended(client, batch)["counts"]["done"] == 2
    refused = client.post(f"/api/batches/{batch}/pause")
    assert refused.status_code == 409 and "has ended" in refused.json()["error"]["message"]
    unknown = client.post(f"/api/batches/{batch}/retry", params={"line": "nothing"})
    assert unknown.status_code == 400 and "no line 'nothing'" in unknown.json()["error"]["message"]
    assert client.post("/api/batches/nothing/cancel").status_code == 404


# Files


def test_audio_is_sent_whole_in_ranges_and_not_again(client: httpx2.Client) -> None:
    batch = submitted(client, "This has a file.")
    line = ended(client, batch)["lines"][0]
    url = f"/api/batches/{batch}/lines/{line['id']}/audio"
    whole = client.get(url)
    assert whole.content == Path(line["path"]).read_bytes()
    assert whole.headers["content-type"] == "audio/wav" and whole.headers["etag"] == f'"{line["sha256"]}"'
    part = client.get(url, headers={"Range": "bytes=44-143"})
    assert part.status_code == 206 and part.content == whole.content[44:144]
    assert part.headers["content-range"] == f"bytes 44-143/{len(whole.content)}"
    assert client.get(url, headers={"Range": "bytes=-4"}).content == whole.content[-4:]
    assert client.get(url, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416
    assert client.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    old = client.get(url, headers={"Range": "bytes=0-3", "If-Range": '"another"'})
    assert old.status_code == 200 and old.content == whole.content
    for unknown in ("items=0-3", "bytes=x-y", "bytes", "bytes=5-2", "bytes=0-3,5-2", f"bytes={'9' * 5000}-"):
        answer = client.get(url, headers={"Range": unknown})  # RFC 9110, 14.2: is ignored
        assert answer.status_code == 200 and answer.content == whole.content
    assert client.get(f"/api/takes/{line['take']}/audio").content == whole.content


def test_a_file_that_is_gone_or_never_was_is_404(client: httpx2.Client) -> None:
    batch = submitted(client, "This file will go.")
    line = ended(client, batch)["lines"][0]
    Path(line["path"]).unlink()
    gone = client.get(f"/api/batches/{batch}/lines/{line['id']}/audio")
    assert gone.status_code == 404 and "vvbatch verify --repair" in gone.json()["error"]["message"]
    assert client.get(f"/api/batches/{batch}/lines/nothing/audio").status_code == 404
    assert client.get("/api/takes/nothing/audio").status_code == 404
    assert client.get(f"/api/batches/{batch}/book/nothing.m4b").status_code == 404


def test_the_files_of_a_book_are_listed_and_sent(site: Site, client: httpx2.Client, tmp_path: Path) -> None:
    from vvbatch.ledger.books import BookFileRow, record_book

    ledgers.add_batch(site.ledger, "book-1", ["One."], out=tmp_path)
    file = tmp_path / "book-1" / "book" / "Pier & sea.flac"
    file.parent.mkdir(parents=True)
    soundfile.write(file, syllables(1.0, [1]), 24_000)
    row = BookFileRow(str(file), "flac", store.sha256_file(file), file.stat().st_size, 1.0)
    record_book(site.ledger, "book-1", "podcast", site.ledger.now(), {}, [row], {}, ["flac"])
    listed = client.get("/api/batches/book-1/book").json()["files"]
    assert [(each["path"], each["format"], each["preset"]) for each in listed] == [(str(file), "flac", "podcast")]
    answer = client.get("/api/batches/book-1/book/Pier%20%26%20sea.flac")
    assert answer.content == file.read_bytes() and answer.headers["content-type"] == "audio/flac"


# Events


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


# Status, health, voices


def test_the_status_is_that_of_the_command(client: httpx2.Client) -> None:
    mine, theirs = client.get("/api/status").json(), Cli().json("status")
    assert set(mine) == set(theirs)
    assert mine["workers"][0]["alive"] is True and mine["redis"]["reachable"] is True
    batch = submitted(client, "One for the status.")
    assert batch in [each["batch"] for each in client.get("/api/status?kind=all").json()["batches"]]


def test_the_document_of_the_status_has_its_keys() -> None:
    assert StatusAnswer.__struct_encode_fields__ == StatusView.__struct_encode_fields__


def test_health_is_ready_with_a_worker_and_names_what_is_missing_without(site: Site, home: Path) -> None:
    with site.client() as client:
        assert client.get("/health/ready").json()["workers"]["ready"] is True
    with serving(worker=False) as alone, alone.client() as client:
        assert client.get("/health/live").json() == {"status": "live"}
        answer = client.get("/health/ready")
        assert answer.status_code == 503 and answer.json()["why"].startswith("no worker runs: start one")
        ledgers.add_batch(alone.ledger, "b", ["One."], profile="ready2")
        assert client.get("/health/ready").json()["workers"] == {"ready2": False}


def test_health_names_a_ledger_or_a_queue_that_does_not_answer(
    site: Site, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_ledger: object) -> None:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    def silent() -> None:
        raise redis.ConnectionError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr("vvbatch.web.status.waiting_by_profile", unreadable)
        answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["ledger"]) == (503, "disk I/O error")
    assert answer.json()["why"] == "the ledger cannot be read: disk I/O error"
    with monkeypatch.context() as patch:
        patch.setattr(site.services.queue, "ping", silent)
        answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["queue"]) == (503, "connection refused")
    assert answer.json()["why"] == "the queue's server does not answer: connection refused"
    again = client.get("/health/ready").json()
    assert (again["ledger"], again["queue"]) == (None, None)


@pytest.mark.parametrize(
    "path", ["/api/batches", "/api/batches/last", "/api/batches/last/lines", "/api/batches/last/takes"]
)
def test_a_large_document_is_encoded_beside_other_requests(
    site: Site, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    submitted(client, f"One for a large document at {path}.")
    encoding, go_on = threading.Event(), threading.Event()

    def slow(document: object) -> Any:
        encoding.set()
        assert go_on.wait(30)
        return json_answer(document)

    monkeypatch.setattr("vvbatch.web.batches.json_answer", slow)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(client.get(path).status_code))
    asking.start()
    assert encoding.wait(30)
    assert httpx2.get(f"{site.url}/health/live", timeout=20).status_code == 200
    go_on.set()
    asking.join()
    assert answers == [200]


def test_voices_are_listed_as_by_the_command_and_not_imported_unless_allowed(client: httpx2.Client) -> None:
    assert client.get("/api/voices").json() == Cli().json("voices", "list")
    answer = client.post("/api/voices", files={"file": ("a.wav", b"RIFF")}, data={"name": "mara"})
    assert answer.status_code == 403 and "serve.import_voices" in answer.json()["error"]["message"]


@pytest.mark.slow
def test_an_allowed_import_makes_a_voice_and_refuses_what_is_none(home: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", syllables(5.0, [4]), 24_000)
    with serving(serve=ServeSettings(import_voices=True), worker=False) as site, site.client() as client:
        file = (tmp_path / "a.flac").read_bytes()
        made = client.post("/api/voices", files={"file": ("a.flac", file)}, data={"name": "mara", "gender": "female"})
        assert made.status_code == 201 and made.json()["name"] == "mara" and made.json()["gender"] == "female"
        assert "mara" in [voice["id"] for voice in client.get("/v1/audio/voices").json()["voices"]]
        assert made.json()["provenance"]["source"] == "a.flac"
        part = {"name": "part", "start": "1", "length": "3.5"}
        cut = client.post("/api/voices", files={"file": ("a.flac", file)}, data=part).json()["provenance"]
        assert (cut["start_s"], cut["length_s"]) == (1.0, 3.5)
        bad = client.post("/api/voices", files={"file": ("a.wav", b"RIFF, not a wave")}, data={"name": "other"})
        assert bad.status_code == 400 and bad.json()["error"]["message"].startswith("a.wav: cannot be read")
        for field, value in {"gender": "robot", "length": "0", "colour": "red"}.items():
            wrong = client.post("/api/voices", files={"file": ("a.flac", file)}, data={"name": "other", field: value})
            assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, field)
        named = client.post("/api/voices", files={"file": ("a.wav", file)}, data={"name": "../../x"})
        assert (named.status_code, named.json()["error"]["param"]) == (400, "name")


def test_a_field_of_a_form_that_is_given_twice_is_refused(home: Path) -> None:
    with serving(serve=ServeSettings(import_voices=True), worker=False) as site, site.client() as client:
        twice = {"name": ["one", "two"]}
        answer = client.post("/api/voices", files={"file": ("a.wav", b"RIFF")}, data=twice)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")
        assert "given 2 times" in answer.json()["error"]["message"]


def test_control_characters_are_refused_before_a_command_gets_them(home: Path) -> None:
    answers: list[tuple[str, httpx2.Response]] = []
    with serving(serve=ServeSettings(import_voices=True), worker=False) as site, site.client() as client:
        for text in ("a\0b", "\x1b[2J", "two\nlines", "a line\n", "\x9b2J"):
            form = {"name": "mara", "consent": text}
            why, who = {"lines": ["1"], "why": text}, {"who": text}
            answers += [
                ("consent", client.post("/api/voices", files={"file": ("a.wav", b"RIFF")}, data=form)),
                ("profile", client.post("/api/warmup", json={"profile": text})),
                ("why", client.post("/api/batches/last/reject", json=why)),
                ("who", client.post("/api/takes/0/prefer", params=who)),
            ]
    for name, answer in answers:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
        assert "without control characters" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["a.wav", "海" * 300 + "a.wav", "../../a.wav", "\0\x1b.wav", "é" * 100, ""])
def test_the_name_of_a_file_that_is_sent_is_one_that_a_folder_takes(tmp_path: Path, name: str) -> None:
    file = tmp_path / file_name(name)
    file.write_bytes(b"RIFF")
    assert list(tmp_path.iterdir()) == [file]
    assert file.suffix == Path(name).suffix


@pytest.mark.slow
def test_a_warm_up_runs_in_a_process_of_its_own(client: httpx2.Client) -> None:
    pytest.importorskip("piper")
    answer = client.post("/api/warmup", json={"profile": "draft"})
    assert answer.status_code == 200 and answer.json()["after"]["first_chunk_s"] > 0
    assert client.post("/api/warmup", json={"profile": "nothing"}).json()["error"]["param"] == "profile"


# Metrics


def figures(site: Site, client: httpx2.Client) -> dict[tuple[str, tuple[str, ...]], float]:
    site.services.fresh.clear()
    text = client.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_read_by_prometheus_and_count_what_has_ended(site: Site) -> None:
    with site.client() as client:
        before = figures(site, client)
        batch = submitted(client, "Counted once.", "Counted, and silent.", title="Counted")
        view = ended(client, batch)
        counted = ("vvbatch_first_chunk_seconds_count", ("cpu", "ready"))
        after = {}

        def all_counted() -> bool:
            after.update(figures(site, client))
            return after.get(counted, 0) >= before.get(counted, 0) + 4

        wait_until(all_counted, 30)
    worker = next(iter(labels[1] for name, labels in after if name == "vvbatch_slots"))
    assert view["counts"]["failed"] == 1

    def more(name: str, *labels: str) -> float:
        return after[(name, tuple(sorted(labels)))] - before.get((name, tuple(sorted(labels))), 0.0)

    assert more("vvbatch_takes_total", "ready", "done") == 1
    assert more("vvbatch_takes_total", "ready", "failed_qc") == 3
    assert more("vvbatch_retries_total", "ready") == 2
    assert any(name == "vvbatch_failed_checks_total" and value >= 3 for (name, _), value in after.items())
    assert more("vvbatch_audio_seconds_total", "ready", "cpu") == pytest.approx(13 * 0.07, abs=0.2)
    assert more("vvbatch_rtf_count", "ready", "cpu") == 4
    assert more("vvbatch_first_chunk_seconds_count", "ready", "cpu") == 4
    assert after[("vvbatch_slots", ("ready", worker))] == 16
    assert after[("vvbatch_slots_in_use", ("ready", worker))] == 0


def test_takes_that_ended_before_anyone_asked_are_counted(site: Site, client: httpx2.Client) -> None:
    """The module's server began with an empty ledger."""
    ended(client, submitted(client, "Counted without being asked for."))

    def counted() -> bool:
        takes = [value for (name, _), value in figures(site, client).items() if name == "vvbatch_takes_total"]
        states = [take.state for take in list_takes(site.ledger, Filter(limit=10_000))]
        return sum(takes) == len(states) - states.count("rendering") > 0

    wait_until(counted, 30)


@pytest.mark.slow
def test_what_waits_and_the_last_night_are_counted_and_workers_that_are_gone_are_not(home: Path) -> None:
    with serving(worker=False) as site, site.client() as client:
        ledgers.add_batch(site.ledger, "b", ["One.", "Two."], profile="ready2")
        worker_started(site.ledger, "gone", "ready2", "studio", 1, {"slots": 16, "device": "cpu"})
        night = {"id": "n1", "suite": "voices", "profile": "ready2", "state": "ended", "started_at": site.ledger.now()}
        with site.ledger.transaction() as connection:
            connection.execute(nights.insert().values(night))
            connection.execute(nights.insert().values(night | {"id": "n0", "started_at": "2020"}))
            for position, (of, verdict) in enumerate(
                [("n1", "same"), ("n1", "same"), ("n1", "worse"), ("n0", "changed")]
            ):
                row = {"night_id": of, "position": position, "line": "l", "verdict": verdict}
                connection.execute(verdicts.insert().values(row | {"reasons": [], "measures": {}}))
        found = figures(site, client)
        assert found[("vvbatch_queued_lines", ("normal", "ready2"))] == 2
        assert found[("vvbatch_oldest_wait_seconds", ("normal", "ready2"))] > 0
        assert not any(name == "vvbatch_slots" for name, _ in found), "a worker that is gone has no figures"
        of_nights = {labels: value for (name, labels), value in found.items() if name == "vvbatch_night_lines"}
        assert of_nights == {("ready2", "same", "voices"): 2, ("ready2", "voices", "worse"): 1}


# The document


def test_the_openapi_document_is_valid_and_has_every_path(client: httpx2.Client) -> None:
    document = client.get("/openapi.json").json()
    validate(document)
    assert {"/v1/audio/speech", "/api/batches", "/api/batches/{batch}/lines/{line}/audio", "/metrics"} <= set(
        document["paths"]
    )
    named = set(document["components"]["schemas"]["SpeechRequest"]["properties"])
    assert {"model", "voice", "input", "response_format", "stream_format", "speed", "instructions"} <= named
    assert msgspec.json.decode(client.get("/openapi.json").content) == document


def test_everything_that_the_document_refers_to_is_in_it(client: httpx2.Client) -> None:
    answer = client.get("/openapi.json")
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text))
    assert referred and referred <= set(answer.json()["components"]["schemas"])


def test_unknown_paths_and_methods_are_errors_in_json(client: httpx2.Client) -> None:
    assert client.get("/nothing").json()["error"]["code"] == "not_found"
    wrong = client.delete("/api/batches")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]
