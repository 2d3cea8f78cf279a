"""Every path of the server, with what it takes and gives: routes and the OpenAPI document are made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from vvbatch.batch.by_ear import Preferred, Rejected
from vvbatch.batch.control import Changed
from vvbatch.batch.estimate import Estimate
from vvbatch.batch.finish import Manifest
from vvbatch.ledger.views import BatchRow, BatchView, LineRow, SubmittedView, TakeRow
from vvbatch.support.warmup import Warmup
from vvbatch.voices.overview import Row
from vvbatch.web import batches, by_ear, files, login, metrics, openai, speech, status
from vvbatch.web.batches import Handler
from vvbatch.web.event_stream import get_events
from vvbatch.web.formats import FORMATS
from vvbatch.web.speech_request import SpeechRequest

BINARY = "binary"
TEXT = "text"
Content = Mapping[str, object]
"""By media type: the type of a JSON document, or several, or TEXT or BINARY."""


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    handler: Handler
    summary: str
    query: type[Struct] | None = None
    body: Content = field(default_factory=dict)
    answer: Content = field(default_factory=dict)
    status: int = 200
    also: Mapping[int, Content] = field(default_factory=dict)  # other good answers


def json_of(kind: object) -> Content:
    return {"application/json": kind}


AUDIO: Content = {each.media_type: BINARY for each in FORMATS.values()} | {"text/event-stream": TEXT}
SCRIPT: Content = dict.fromkeys(batches.SUFFIXES, TEXT) | {"multipart/form-data": BINARY}
WAV: Content = {"audio/wav": BINARY}
BOOK: Content = dict.fromkeys(files.TYPES.values(), BINARY) | {"application/octet-stream": BINARY}
RANGES: Mapping[int, Content] = {206: {}, 304: {}, 416: {}}
BATCH = "/api/batches/{batch}"

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint("POST", "/v1/audio/speech", speech.create_speech, "Speak a text, sent on while it is rendered",
             speech.SpeechQuery, json_of(SpeechRequest), AUDIO),
    Endpoint("GET", "/v1/models", openai.list_models, "Profiles, and the names that stand for one",
             answer=json_of(openai.Models)),
    Endpoint("GET", "/v1/audio/models", openai.list_audio_models, "The same, as Open WebUI asks",
             answer=json_of(openai.AudioModels)),
    Endpoint("GET", "/v1/audio/voices", openai.list_audio_voices, "Voices, as Open WebUI asks",
             answer=json_of(openai.AudioVoices)),
    Endpoint("POST", "/api/batches", batches.post_batch, "Submit a script, or check it",
             batches.SubmitQuery, SCRIPT, json_of(SubmittedView), 201,
             {200: json_of((SubmittedView, Estimate))}),
    Endpoint("GET", "/api/batches", batches.get_batches, "Batches, newest first",
             batches.BatchesQuery, answer=json_of(list[BatchRow])),
    Endpoint("GET", BATCH, batches.get_batch, "One batch with its lines", answer=json_of(BatchView)),
    Endpoint("GET", f"{BATCH}/lines", batches.get_lines, "Its lines with their texts",
             batches.LinesQuery, answer=json_of(list[LineRow])),
    Endpoint("GET", f"{BATCH}/takes", batches.get_takes, "Its takes with their checks",
             batches.TakesQuery, answer=json_of(list[TakeRow])),
    Endpoint("GET", f"{BATCH}/manifest", batches.get_manifest, "Its manifest", answer=json_of(Manifest)),
    Endpoint("GET", f"{BATCH}/book", batches.get_book, "The files of its book", answer=json_of(batches.BookAnswer)),
    Endpoint("GET", f"{BATCH}/book/{{file}}", files.get_book_file, "A file of its book", answer=BOOK, also=RANGES),
    Endpoint("GET", f"{BATCH}/lines/{{line}}/audio", files.get_line_audio, "The audio of a line",
             answer=WAV, also=RANGES),
    Endpoint("GET", "/api/takes/{take}/audio", files.get_take_audio, "The audio of a take", answer=WAV, also=RANGES),
    Endpoint("POST", f"{BATCH}/pause", batches.pause, "Start no more lines of it", answer=json_of(Changed)),
    Endpoint("POST", f"{BATCH}/resume", batches.resume, "Go on with a paused batch", answer=json_of(Changed)),
    Endpoint("POST", f"{BATCH}/cancel", batches.cancel, "Cancel it, or one line", batches.LineQuery,
             answer=json_of(Changed)),
    Endpoint("POST", f"{BATCH}/retry", batches.retry, "Queue its failed and cancelled lines again, or one",
             batches.LineQuery, answer=json_of(Changed)),
    Endpoint("POST", f"{BATCH}/reject", by_ear.reject, "Reject the takes of lines, and queue the lines again",
             body=json_of(by_ear.RejectRequest), answer=json_of(Rejected)),
    Endpoint("POST", "/api/takes/{take}/prefer", by_ear.prefer, "Make another take its line's file",
             by_ear.PreferQuery, answer=json_of(Preferred)),
    Endpoint("GET", "/api/status", status.get_status, "Queues, workers, batches, failures",
             status.StatusQuery, answer=json_of(status.StatusAnswer)),
    Endpoint("GET", "/api/events", get_events, "What happens, as server-sent events; resumes by Last-Event-ID",
             answer={"text/event-stream": TEXT}),
    Endpoint("GET", "/api/voices", status.get_voices, "Voices of the library", answer=json_of(list[Row])),
    Endpoint("POST", "/api/voices", status.post_voice, "Import a voice, where the settings allow it",
             body={"multipart/form-data": status.VoiceForm}, answer=json_of(Row), status=201),
    Endpoint("POST", "/api/warmup", status.post_warmup, "Load a model once and cache voices",
             body=json_of(status.WarmupRequest), answer=json_of(Warmup)),
    Endpoint("GET", "/health/live", status.get_live, "The server runs", answer=json_of(status.Live)),
    Endpoint("GET", "/health/ready", status.get_ready, "Queue, ledger and workers answer",
             answer=json_of(status.Ready), also={503: json_of(status.Ready)}),
    Endpoint("GET", "/metrics", metrics.get_metrics, "Figures for Prometheus", answer={"text/plain": TEXT}),
)  # fmt: skip

PAGES = (
    Endpoint("GET", "/login", login.show_login, "The login form"),
    Endpoint("POST", "/login", login.log_in, "Log in"),
    Endpoint("POST", "/logout", login.log_out, "Log out"),
)
"""For browsers: not part of the API."""
