"""`POST /v1/audio/speech`: one line through the queue, sent on while it is rendered."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import math
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Literal, ParamSpec, TypeVar

import msgspec
from msgspec import Struct
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vvbatch.batch.estimate import history, there
from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.plan import Plan
from vvbatch.batch.submit import submit
from vvbatch.engine.contract import FRAME
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import cancel_lines
from vvbatch.ledger.forecast import Throughput
from vvbatch.ledger.listings import Filter, list_takes
from vvbatch.ledger.queries import cached_takes
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.states import INTERACTIVE
from vvbatch.ledger.views import CheckView
from vvbatch.transport import queue
from vvbatch.transport.stream import Begun
from vvbatch.web import speech_request
from vvbatch.web.answers import query_of, sent, until_gone
from vvbatch.web.bodies import bounded
from vvbatch.web.errors import ApiError, known_error
from vvbatch.web.formats import FORMATS, Encoder, FormatMissing, require_format
from vvbatch.web.live import Broken, Live
from vvbatch.web.services import Fresh, Services, services_of
from vvbatch.web.speech_request import SpeechRequest, Wanted

MOST_BYTES = 1 << 20  # of a request
PIECE_BYTES = 2 * FRAME
PACE_AGE_S = 5.0
LONGEST_WARNING = 1000  # characters of a header

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("vvbatch.web")


class SpeechQuery(Struct, frozen=True, forbid_unknown_fields=True):
    pace: Literal["realtime"] | None = None  # realtime: the finished, checked take, as fast as it is played


class Usage(Struct, frozen=True):
    """Words of the text, and frames of 3,200 samples."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class JudgedTake(Struct, frozen=True):
    take: str
    state: str
    duration_s: float | None
    rtf: float | None
    first_chunk_s: float | None
    score: float | None
    qc: list[CheckView]
    error: str | None


class AudioDelta(Struct, frozen=True, tag_field="type", tag="speech.audio.delta"):
    audio: str  # Base64


class AudioDone(Struct, frozen=True, tag_field="type", tag="speech.audio.done"):
    usage: Usage
    take: JudgedTake | None


async def create_speech(request: Request) -> Response:
    services = services_of(request)
    query = query_of(request, SpeechQuery)
    asked = speech_request.read(await bounded(request, MOST_BYTES))
    try:
        require_format(asked.response_format)
    except FormatMissing as error:
        raise ApiError(400, str(error), param="response_format", code="format_missing") from error
    wanted = await services.plan(speech_request.wanted_of, asked, services.home, services.settings.serve)
    if services.settings.serve.log_texts:
        log.info("speech of %s: %r", wanted.profile.name, wanted.line.text[:80])
    return Speech(services, asked, wanted, realtime=query.pace == "realtime")


class Speech(Response):
    """The answer. The line is cancelled when its client disconnects."""

    def __init__(self, services: Services, asked: SpeechRequest, wanted: Wanted, *, realtime: bool) -> None:
        super().__init__()
        self.services, self.asked, self.wanted, self.realtime = services, asked, wanted, realtime
        self.submitting: asyncio.Future[str] | None = None
        self.frames = 0
        self.encoding = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = False
        try:
            whole = await until_gone(self.speak(send), receive)
        finally:
            self.stop_waiting()
            if self.submitting is not None and not whole:
                await asyncio.shield(self.cancel(self.submitting))

    async def speak(self, send: Send) -> None:
        """Queue the line, send its audio. Raises ApiError before the first byte, Broken after it."""
        services, plan = self.services, self.wanted.plan
        if not await services.call(is_cached, services.ledger, plan):
            if not await services.call(queue.has_worker, services.queue, self.wanted.profile.name):
                name = self.wanted.profile.name
                raise ApiError(
                    503, f"no worker serves profile {name!r}: start one with  vvbatch up --workers {name}",
                    code="no_worker",
                )  # fmt: skip
            await self.wait_for_slot()
        self.submitting = asyncio.ensure_future(services.call(self.submit))
        live = Live(services, await asyncio.shield(self.submitting))
        parts = live.finished(realtime=True) if self.realtime else live.parts()
        encoder = await self.encode(FORMATS[self.asked.response_format].encoder)
        async with contextlib.aclosing(self.encoded(parts, encoder)) as pieces:
            take = ""
            async for begun, data in pieces:
                if not take:
                    take = begun
                    await send({"type": "http.response.start", "status": 200, "headers": self.head(take)})
                if data:
                    await sent(send, data)
        if self.asked.stream_format == "sse":
            await sent(send, await self.done(take))
        await sent(send, b"", more=False)

    async def encoded(self, parts: AsyncIterator[Begun | bytes], encoder: Encoder) -> AsyncGenerator[tuple[str, bytes]]:
        """The take and what is to be sent next; first of all without bytes."""
        take = ""
        try:
            async for part in parts:
                if isinstance(part, Begun):
                    take = part.take
                    self.stop_waiting()
                    continue
                self.frames += len(part) // 2
                for place in range(0, len(part), PIECE_BYTES):  # the first of a long chunk does not wait for its last
                    yield take, self.framed(await self.encode(encoder.add, part[place : place + PIECE_BYTES]))
            yield take, self.framed(await self.encode(encoder.end))
        except Broken as error:
            if self.asked.stream_format != "sse" or not self.frames:
                raise
            yield take, event(ApiError(500, f"the take ended: {error}", code="take_failed").answer)
            raise
        finally:
            await asyncio.shield(self.encode(encoder.close))

    async def encode(self, function: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        if FORMATS[self.asked.response_format].library is None:
            return function(*given, **named)

        def alone() -> T:
            with self.encoding:  # a call that was cancelled here still runs in its thread when the encoder is closed
                return function(*given, **named)

        return await self.services.within(self.services.encoders, alone)

    def framed(self, data: bytes) -> bytes:
        if self.asked.stream_format == "audio" or not data:
            return data
        return event(AudioDelta(base64.b64encode(data).decode()))

    async def done(self, take: str) -> bytes:
        """What is known of the take when it was judged."""
        rows = await self.services.call(list_takes, self.services.ledger, Filter(take=take))
        judged = [
            JudgedTake(row.take, row.state, row.duration_s, row.rtf, row.first_chunk_s, row.score, [*row.qc], row.error)
            for row in rows
        ]
        words = len(self.wanted.line.text.split())
        frames = math.ceil(self.frames / FRAME)
        return event(AudioDone(Usage(words, frames, words + frames), judged[0] if judged else None))

    def head(self, take: str) -> list[tuple[bytes, bytes]]:
        line = self.wanted.line
        audio = FORMATS[self.asked.response_format].media_type
        kind = "text/event-stream" if self.asked.stream_format == "sse" else audio
        fields = {
            "content-type": kind,
            "cache-control": "no-store",
            "x-take": take,
            "x-control-hash": line.control_hash,
            "x-golden": "true" if line.request.params.golden else "false",
        }
        if self.wanted.notes:
            fields["x-warnings"] = header_text("; ".join(self.wanted.notes))
        return [(name.encode(), value.encode("latin-1", "replace")) for name, value in fields.items()]

    def submit(self) -> str:
        """In a thread. Returns the batch's id."""
        services, plan = self.services, self.wanted.plan
        if not self.realtime:
            plan = plan.streamed()
        out = services.home.out
        return submit(plan, services.ledger, services.queue, out, INTERACTIVE, kind=BatchKind.SPEECH).id

    async def wait_for_slot(self) -> None:
        """Take one of the places of those that wait. Raises ApiError with 429 when there is none."""
        profile, most = self.wanted.profile.name, self.services.settings.serve.waiting
        waiting = self.services.waiting.setdefault(profile, {})
        if len(waiting) >= most:
            characters = sum(waiting.values())
            after_s = pace_s(await self.throughput(), characters, len(waiting))
            raise ApiError(
                429, f"{most} requests wait for profile {profile!r} already: try again in {after_s} s",
                code="too_many_waiting", headers={"Retry-After": str(after_s)},
            )  # fmt: skip
        waiting[self] = len(self.wanted.line.text)

    async def throughput(self) -> Throughput | None:
        """Of the profile, by its last takes; the same for all who are refused within a few seconds."""
        services, profile = self.services, self.wanted.profile.name

        async def recent() -> Throughput | None:
            return (await services.call(history, services.ledger, profile)).throughput

        return await services.paces.setdefault(profile, Fresh(recent, PACE_AGE_S)).get()

    def stop_waiting(self) -> None:
        self.services.waiting.get(self.wanted.profile.name, {}).pop(self, None)

    async def cancel(self, submitting: asyncio.Future[str]) -> None:
        """The line, which no client takes any more. Raises what the submit raised."""
        batch = await submitting
        try:
            await self.services.call(cancel, self.services.ledger, batch)
            await Live(self.services, batch).forget()
        except (DBAPIError, RedisError) as error:
            log.warning("no client takes %s any more, but it is not cancelled: %s", batch, known_error(error))


def event(document: object) -> bytes:
    return b"data: " + msgspec.json.encode(document) + b"\n\n"


def header_text(text: str) -> str:
    """In ASCII, on one line."""
    plain = text.encode("ascii", "backslashreplace").decode()
    return re.sub(r"[^\x20-\x7e]+", " ", plain)[:LONGEST_WARNING].strip()


def is_cached(ledger: Ledger, plan: Plan) -> bool:
    return any(there(take.path) for take in cached_takes(ledger, plan.lines).values())


def cancel(ledger: Ledger, batch_id: str) -> None:
    cancel_lines(ledger, batch_id)
    end_if_complete(ledger, batch_id)


def pace_s(throughput: Throughput | None, characters: int, waiting: int) -> int:
    """Seconds until one of those that wait is rendered."""
    if throughput is None or not waiting:
        return 30
    return min(3600, max(1, math.ceil(throughput.seconds_left(characters, characters // waiting) / waiting)))
