"""Speech over HTTP: formats, streams, errors, clients that leave; with the openai SDK."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
import soundfile
from sqlalchemy.exc import OperationalError

from tests.conftest import wait_until
from tests.support.ready import speechlike
from tests.support.web import Site, serving
from vvbatch.engine.contract import FRAME, SAMPLE_RATE, Request, Turn
from vvbatch.ledger.listings import Filter, list_batches, list_lines, list_takes
from vvbatch.settings import ServeSettings
from vvbatch.web import server as web
from vvbatch.web import speech
from vvbatch.web.formats import FORMATS
from vvbatch.web.live import as_played

HEADER_BYTES = 44


@pytest.fixture(scope="module")
def sdk(site: Site) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def asked(text: str, **more: object) -> dict[str, object]:
    return {"model": "ready", "voice": "alice", "input": text, "response_format": "pcm", **more}


def frames_of(text: str) -> int:
    return len(speechlike(Request("x", (Turn(0, text),), (), 1, 1.3, 10)))


@contextmanager
def leaving(site: Site, body: dict[str, object]) -> Iterator[socket.socket]:
    """A client of speech that goes away at the end of the block."""
    data = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as raw:
        raw.sendall(
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
        )
        yield raw


def error_of(answer: httpx2.Response) -> tuple[int, str | None]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return answer.status_code, error["param"]


# Formats


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav"])
def test_the_sdk_gets_a_file_of_each_format(sdk: Any, name: Any) -> None:
    av = pytest.importorskip("av")
    text = f"The lamp went out, and the keeper went up in {name}."
    data = sdk.audio.speech.create(model="ready", voice="alice", input=text, response_format=name).read()
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        length_s = sum(frame.samples for frame in container.decode(audio=0)) / stream.rate
    assert abs(length_s - frames_of(text) / 24_000) < 0.12


def test_mp3_is_the_default_as_in_openais_api(sdk: Any) -> None:
    pytest.importorskip("av")
    answer = sdk.audio.speech.with_raw_response.create(model="ready", voice="alice", input="What is it?")
    assert answer.headers["content-type"] == "audio/mpeg"


def test_a_take_is_named_with_its_control_hash_and_recorded(site: Site, sdk: Any) -> None:
    text = "The sea was calm this morning."
    answer = sdk.audio.speech.with_raw_response.create(**asked(text))
    samples = np.frombuffer(answer.http_response.content, "<i2")
    assert len(samples) == frames_of(text)
    (take,) = wait_until(lambda: list_takes(site.ledger, Filter(take=answer.headers["x-take"])))
    assert (take.text, take.control_hash) == (text, answer.headers["x-control-hash"])
    assert answer.headers["x-golden"] == "true"
    batch = next(row for row in list_batches(site.ledger, Filter(kind="speech")) if row.batch == take.batch)
    assert (batch.priority, batch.kind) == ("interactive", "speech")


def test_without_pyav_a_format_that_needs_it_is_refused_with_the_extra(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with site.client() as client:
        refused = client.post("/v1/audio/speech", json=asked("Hello.", response_format="mp3"))
        assert error_of(refused) == (400, "response_format")
        assert "pip install 'vvbatch[book]'" in refused.json()["error"]["message"]
        assert client.post("/v1/audio/speech", json=asked("Hello.", response_format="wav")).status_code == 200


# Streams


def test_the_first_bytes_leave_with_the_first_chunk(site: Site, sdk: Any) -> None:
    assert site.engine
    text = "The second chunk of this line is rendered when the first has left."
    speech_of = sdk.audio.speech.with_streaming_response.create
    with site.engine.held_after_a_chunk(text) as go_on, speech_of(**asked(text, response_format="wav")) as answer:
        data = answer.iter_bytes()
        first = next(data)
        chunks = site.engine.chunks_of[answer.headers["x-take"]]
        go_on.set()
        rest = b"".join(data)
    assert first[:4] == b"RIFF" and len(first) - HEADER_BYTES <= 6400
    assert chunks == 1
    assert len(first + rest) == HEADER_BYTES + 2 * frames_of(text)


def test_events_carry_the_audio_and_end_with_the_verdict(sdk: Any) -> None:
    text = "A text that is sent in events."
    with sdk.audio.speech.with_streaming_response.create(**asked(text, stream_format="sse")) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert len(audio) == 2 * frames_of(text)
    done = events[-1]
    assert done["type"] == "speech.audio.done"
    assert done["usage"] == {"input_tokens": 7, "output_tokens": len(events) - 1, "total_tokens": 6 + len(events)}
    assert done["take"]["take"] == answer.headers["x-take"]
    assert done["take"]["state"] == "done" and "finite" in [check["name"] for check in done["take"]["qc"]]


def test_a_take_that_fails_its_checks_was_heard_and_is_reported(site: Site, sdk: Any) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        **asked("This one is silent all the way.", stream_format="sse")
    ) as answer:
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    assert events[-1]["take"]["state"] == "failed_qc" and events[-1]["take"]["error"]
    takes = list_takes(site.ledger, Filter(take=answer.headers["x-take"]))
    assert [take.state for take in takes] == ["failed_qc"]
    assert len(list_takes(site.ledger, Filter(batch=takes[0].batch))) == 1, "a stream has one take"


@pytest.mark.parametrize("form", ["audio", "sse"])
def test_an_engine_that_fails_ends_the_connection(site: Site, form: str) -> None:
    text = f"The device breaks while this long line is rendered as {form}, and says no more of it."
    with (
        site.client() as client,
        client.stream("POST", "/v1/audio/speech", json=asked(text, stream_format=form)) as answer,
    ):
        assert answer.status_code == 200
        received = b""
        with pytest.raises(httpx2.RemoteProtocolError):
            for part in answer.iter_bytes():
                received += part
    assert len(received) >= 3 * 6400
    assert (b'"take_failed"' in received) == (form == "sse")


def test_a_line_that_fails_before_its_first_chunk_is_an_error_in_json(site: Site) -> None:
    with site.client() as client:
        refused = client.post("/v1/audio/speech", json=asked("This text is refused by the engine."))
        assert error_of(refused) == (400, "input")
        assert "this text is refused" in refused.json()["error"]["message"]


def test_a_finished_take_is_sent_at_once_and_queues_nothing(site: Site, sdk: Any) -> None:
    text = "This is said twice and rendered once."
    first = sdk.audio.speech.with_raw_response.create(**asked(text))
    wait_until(lambda: list_takes(site.ledger, Filter(take=first.headers["x-take"], state="done")))
    site.paused.set()
    try:
        again = sdk.audio.speech.with_raw_response.create(**asked(text))
    finally:
        site.paused.clear()
    assert again.headers["x-take"] == first.headers["x-take"]
    assert len(again.http_response.content) == len(first.http_response.content)


def test_in_real_time_a_take_is_judged_before_its_first_byte(site: Site) -> None:
    text = "Half a second or more."
    with (
        site.client() as client,
        client.stream("POST", "/v1/audio/speech", params={"pace": "realtime"}, json=asked(text)) as answer,
    ):
        (take,) = list_takes(site.ledger, Filter(take=answer.headers["x-take"]))
        assert take.state == "done"
        assert len(answer.read()) == 2 * frames_of(text)


def test_in_real_time_each_part_leaves_when_the_one_before_has_been_played() -> None:
    pcm = bytes(2 * (2 * FRAME + 100))
    now = [50.0]
    left: list[tuple[float, int]] = []

    async def rest(seconds: float) -> None:
        now[0] += max(0.0, seconds)

    async def listen() -> None:
        async for part in as_played(pcm, lambda: now[0], rest):
            left.append((round(now[0] - 50.0, 6), len(part)))
            now[0] += 0.04  # a client that takes its time does not delay the parts after it

    asyncio.run(listen())
    length_s = round(FRAME / SAMPLE_RATE, 6)
    assert left == [(0.0, 2 * FRAME), (length_s, 2 * FRAME), (round(2 * FRAME / SAMPLE_RATE, 6), 200)]


def test_two_who_ask_for_the_same_at_once_each_hear_all_of_it(site: Site) -> None:
    text = "Both of them want to hear this line slowly and to its end."
    received: list[int] = []

    def listen() -> None:
        with site.client() as client:
            received.append(len(client.post("/v1/audio/speech", json=asked(text)).content))

    threads = [threading.Thread(target=listen) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert received == [2 * frames_of(text)] * 2


# Clients that leave, and too many of them


def test_an_encoder_is_closed_after_the_call_that_a_leaving_client_interrupts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    adding, go_on = threading.Event(), threading.Event()

    class Slow:
        def add(self, pcm: bytes) -> bytes:
            calls.append("add")
            adding.set()
            go_on.wait(120)  # longer than the test waits for the line
            calls.append("added")
            return pcm

        def end(self) -> bytes:
            return b""

        def close(self) -> None:
            calls.append("close")

    text = ("The client of this leaves, and the rest would be rendered slowly. " * 8).strip()
    monkeypatch.setitem(FORMATS, "flac", FORMATS["flac"]._replace(encoder=Slow))
    with leaving(site, asked(text, response_format="flac")):
        assert adding.wait(30)
    wait_until(lambda: [line for line in list_lines(site.ledger, Filter(state="cancelled")) if line.text == text], 30)
    assert calls == ["add"]
    go_on.set()
    wait_until(lambda: "close" in calls)
    assert calls == ["add", "added", "close"]


def test_a_line_that_cannot_be_cancelled_is_named_in_the_log(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def locked(*_: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    text = "No one takes this any more, said slowly, and the ledger is locked. " * 3
    with monkeypatch.context() as patch:
        patch.setattr(speech, "cancel", locked)
        with leaving(site, asked(text)) as raw:
            assert raw.recv(100).startswith(b"HTTP/1.1 200")
        wait_until(lambda: "is not cancelled" in caplog.text, 30)
    line = next(line for line in list_lines(site.ledger, Filter()) if line.text == text.strip())
    assert f"{line.batch} any more, but it is not cancelled: the ledger cannot be used now" in caplog.text
    assert "database is locked" in caplog.text


def test_streams_share_a_limited_number_of_connections_to_the_queue(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "STREAMS", 2)
    with serving() as site:
        received: list[int] = []

        def listen(number: int) -> None:
            with site.client() as client:
                body = asked(f"Listener number {number} hears this slowly.")
                received.append(len(client.post("/v1/audio/speech", json=body).content))

        threads = [threading.Thread(target=listen, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        most = 0
        while any(thread.is_alive() for thread in threads):
            waiting = [each for each in site.services.queue.client_list() if each["cmd"] == "blpop"]
            most = max(most, len(waiting))
            time.sleep(0.01)
        for thread in threads:
            thread.join()
    assert received == [2 * frames_of("Listener number 1 hears this slowly.")] * 6
    assert 1 <= most <= 2


def test_a_client_that_goes_away_cancels_its_line_within_two_steps(site: Site) -> None:
    assert site.engine
    text = "No one listens any more to what is said slowly. " * 8
    with leaving(site, asked(text)) as raw:
        assert raw.recv(100).startswith(b"HTTP/1.1 200")
    cancelled = wait_until(
        lambda: [line for line in list_lines(site.ledger, Filter(state="cancelled")) if line.text == text.strip()]
    )
    step = site.engine.steps
    at = wait_until(lambda: site.engine and site.engine.cancelled.get(text.strip()))
    assert at <= step + 2
    batch = next(row for row in list_batches(site.ledger, Filter()) if row.batch == cancelled[0].batch)
    assert batch.state == "cancelled"


def test_a_client_that_leaves_while_it_waits_leaves_no_line_behind(site: Site) -> None:
    site.paused.set()
    try:
        with site.client() as client, pytest.raises(httpx2.ReadTimeout):
            client.post("/v1/audio/speech", json=asked("I shall not wait for this."), timeout=0.3)
        wait_until(lambda: not list_lines(site.ledger, Filter(state="queued")))
    finally:
        site.paused.clear()
    wait_until(lambda: not site.services.waiting.get("ready"))


@pytest.mark.slow
def test_more_requests_than_may_wait_get_429_with_the_time_to_try_again(home: Path) -> None:
    with serving(serve=ServeSettings(waiting=2)) as site:
        site.paused.set()
        answers: list[httpx2.Response] = []

        def ask(number: int) -> None:
            with site.client() as client:
                answers.append(client.post("/v1/audio/speech", json=asked(f"Request number {number} of many.")))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(site.services.waiting.get("ready", {})) == 2)
        ask(3)
        assert error_of(answers[0])[0] == 429
        assert 1 <= int(answers[0].headers["retry-after"]) <= 3600
        site.paused.clear()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in answers] == [429, 200, 200]
        ask(4)
        assert answers[-1].status_code == 200


@pytest.mark.slow
def test_without_a_worker_speech_is_refused_with_the_command_that_starts_one(home: Path) -> None:
    with serving(worker=False) as site, site.client() as client:
        refused = client.post("/v1/audio/speech", json=asked("Is anybody there, in that house?"))
        assert refused.status_code == 503 and "vvbatch up --workers ready" in refused.json()["error"]["message"]
        assert list_lines(site.ledger, Filter(state="queued")) == []


# What is refused


@pytest.mark.parametrize(
    ("change", "status", "parameter"),
    [
        ({"model": "nothing"}, 400, "model"),
        ({"voice": "absent"}, 400, "voice"),
        ({"voice": {"id": "absent"}}, 400, "voice"),
        ({"input": ""}, 400, "input"),
        ({"input": "…"}, 400, "input"),
        ({"input": "word " * 500}, 400, "input"),
        ({"speed": 1.5}, 400, "speed"),
        ({"speed": 9}, 400, "speed"),
        ({"response_format": "midi"}, 400, "response_format"),
        ({"stream_format": "tape"}, 400, "stream_format"),
        ({"cfg_scale": 3.5}, 400, "cfg_scale"),
        ({"steps": 51}, 400, "steps"),
        ({"seed": -1}, 400, "seed"),
        ({"tempo": 2}, 400, "tempo"),
        ({"turns": [{"voice": "alice", "text": "Hi."}]}, 400, "input"),
        (
            {"input": "", "turns": [{"voice": "alice", "text": "Hi."}, {"voice": "no", "text": "Hi."}]},
            400,
            "turns[1].voice",
        ),
    ],
)
def test_what_is_out_of_range_is_refused_with_the_parameters_name(
    site: Site, change: dict[str, object], status: int, parameter: str
) -> None:
    with site.client() as client:
        assert error_of(client.post("/v1/audio/speech", json=asked("Hello there.") | change)) == (status, parameter)


def test_a_value_out_of_the_profiles_range_says_what_is_allowed(site: Site) -> None:
    with site.client() as client:
        message = client.post("/v1/audio/speech", json=asked("Hello.", cfg_scale=9)).json()["error"]["message"]
    assert message.startswith("cfg_scale 9; 1 to 3 with model ready (golden: 1.3)")


def test_a_value_that_is_not_golden_is_marked(site: Site) -> None:
    with site.client() as client:
        answer = client.post("/v1/audio/speech", json=asked("The same, with other steps.", steps=12))
        golden = client.post("/v1/audio/speech", json=asked("The same, with other steps."))
    assert (answer.headers["x-golden"], golden.headers["x-golden"]) == ("false", "true")
    assert answer.headers["x-control-hash"] != golden.headers["x-control-hash"]


def test_instructions_are_accepted_and_ignored_with_a_warning(site: Site) -> None:
    with site.client() as client:
        answer = client.post("/v1/audio/speech", json=asked("Hello again, you.", instructions="Whisper ☂\r\nX: y"))
    assert answer.status_code == 200 and "instructions are ignored" in answer.headers["x-warnings"]


def test_the_sdk_raises_its_own_error_with_the_parameter(sdk: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.audio.speech.create(model="ready", voice="absent", input="Hello.")
    assert refused.value.param == "voice"


# Several speakers


def test_speakers_are_told_apart_by_their_labels_or_given_as_turns(site: Site) -> None:
    labelled = "Speaker 1: Who is there?\nSpeaker 2: It is me.\nSpeaker 1: Come in."
    turns = [{"voice": "maya", "text": "Who is there?"}, {"voice": "frank", "text": "It is me."}]
    with site.client() as client:
        by_label = client.post("/v1/audio/speech", json=asked(labelled, voices=["maya", "frank"]))
        by_turn = client.post("/v1/audio/speech", json=asked("", turns=turns))
        one_voice = client.post("/v1/audio/speech", json=asked(labelled, voice="frank"))
    found = [list_takes(site.ledger, Filter(take=each.headers["x-take"]))[0] for each in (by_label, by_turn, one_voice)]
    voices: Any = [take.voices for take in found]
    assert [[voice["name"] for voice in each] for each in voices] == [
        ["maya", "frank"],
        ["maya", "frank"],
        ["frank", "carter"],
    ]
    assert found[0].text == "Who is there? It is me. Come in."


# What clients ask first


def test_models_and_voices_are_listed_as_each_client_asks(site: Site, sdk: Any) -> None:
    assert {"ready", "draft", "1.5b", "tts-1", "tts-1-hd"} <= {model.id for model in sdk.models.list()}
    with site.client() as client:
        voices = client.get("/v1/audio/voices").json()["voices"]
        models = client.get("/v1/audio/models").json()["models"]
    assert {"id": "alice", "name": "alice"} in voices
    assert "tts-1" in [model["id"] for model in models]


@pytest.mark.slow
def test_names_of_models_and_voices_are_mapped_by_the_settings(home: Path) -> None:
    settings = ServeSettings(models={"tts-1": "ready"}, voices={"alloy": "maya"})
    with serving(serve=settings) as site, site.client() as client:
        answer = client.post("/v1/audio/speech", json=asked("Mapped names.", model="tts-1", voice="alloy"))
        (take,) = list_takes(site.ledger, Filter(take=answer.headers["x-take"]))
        voices: Any = take.voices
        assert (take.profile, voices[0]["name"]) == ("ready", "maya")
        assert "alloy" in [voice["id"] for voice in client.get("/v1/audio/voices").json()["voices"]]


def test_a_wav_stream_is_read_by_other_programs(site: Site) -> None:
    with site.client() as client:
        data = client.post("/v1/audio/speech", json=asked("A wave.", response_format="wav")).content
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16", frames=1000)
    assert (rate, len(samples)) == (24_000, 1000)
