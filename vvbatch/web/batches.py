"""Batches over HTTP: what `submit`, `check`, `status`, `ledger` and the control commands do and print."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from starlette.requests import Request
from starlette.responses import Response

from vvbatch.batch import assemble, control
from vvbatch.batch.control import Changed
from vvbatch.batch.estimate import estimate
from vvbatch.batch.finish import Manifest, manifest
from vvbatch.batch.plan import Overrides, Plan, make_plan
from vvbatch.batch.ready import require_models, submitted_views
from vvbatch.batch.submit import submit
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.books import RecordedFile, book_files_of
from vvbatch.ledger.listings import Filter, list_batches, list_lines, list_takes
from vvbatch.ledger.queries import batch_view, find_batch
from vvbatch.ledger.queues import waiting_by_profile
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.states import BatchState, LineState, TakeState
from vvbatch.ledger.views import BatchView
from vvbatch.profiles import MOST_TAKES
from vvbatch.script import Problem, Script, ScriptError, parsed_bytes
from vvbatch.script.source import MAX_BYTES, START
from vvbatch.settings import load
from vvbatch.speech_text import lexicon
from vvbatch.transport import queue
from vvbatch.voices import Library
from vvbatch.web.answers import json_answer, query_of
from vvbatch.web.bodies import bounded, uploaded
from vvbatch.web.errors import ApiError, ProblemView
from vvbatch.web.parameters import Language, Name
from vvbatch.web.services import Services, services_of

SUFFIXES = {
    "application/yaml": ".yaml",
    "application/x-yaml": ".yaml",
    "text/yaml": ".yaml",
    "text/x-yaml": ".yaml",
    "application/json": ".yaml",  # JSON is YAML
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/plain": ".txt",
}

Handler = Callable[[Request], Awaitable[Response]]
Count = Annotated[int, Meta(ge=1, le=10_000)]


class SubmitQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As the options of `vvbatch submit`; `name` is that of the script."""

    name: Name | None = None
    check: bool = False
    model: Name | None = None
    takes: Annotated[int, Meta(ge=1, le=MOST_TAKES)] | None = None
    escalate: Name | None = None
    keep_takes: bool = False
    language: Language | None = None
    chapters: bool = True
    book: Annotated[str, Meta(max_length=200)] | None = None
    preset: Name | None = None
    priority: Literal["high", "normal", "low"] | None = None
    wait_for_model: bool = False


class BatchesQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    state: BatchState | None = None
    kind: BatchKind | None = None
    model: Name | None = None
    sort: Name | None = None
    limit: Count = 100


class LinesQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    state: LineState | None = None
    line: Name | None = None
    sort: Name | None = None
    limit: Count = 1000


class TakesQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    state: TakeState | None = None
    line: Name | None = None
    sort: Name | None = None
    limit: Count = 1000


class LineQuery(Struct, frozen=True, forbid_unknown_fields=True):
    line: Name | None = None


class BookAnswer(Struct, frozen=True):
    batch: str
    files: Sequence[RecordedFile] = field(default=())


async def post_batch(request: Request) -> Response:
    services, query = services_of(request), query_of(request, SubmitQuery)
    name, data = await script_of(request, query.name)
    return await services.plan(checked if query.check else submitted, services, name, data, query)


async def script_of(request: Request, name: str | None) -> tuple[str, bytes]:
    """The script's name, whose end is its format, and its bytes: a form's file, or the body. Raises ApiError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        file = await uploaded(request, MAX_BYTES)
        if file.fields:
            field_name = next(iter(file.fields))[:100]
            raise ApiError(
                400, f"field {field_name!r} of the form: options go into the query, as ?model=draft",
                param=field_name, code="invalid_value",
            )  # fmt: skip
        return Path(name or file.name or "script").name or "script", file.data
    if kind not in SUFFIXES:
        message = f"content type {kind[:100]!r}: send {', '.join(SUFFIXES)}, or multipart/form-data with a `file`"
        raise ApiError(415, message, code="unknown_content_type")
    data = await bounded(request, MAX_BYTES)
    stem = Path(name or "script").name or "script"
    return stem if Path(stem).suffix.lower() == SUFFIXES[kind] else stem + SUFFIXES[kind], data


def checked(services: Services, name: str, data: bytes, query: SubmitQuery) -> Response:
    return json_answer(estimate(planned(services.home, name, data, query), services.ledger))


def submitted(services: Services, name: str, data: bytes, query: SubmitQuery) -> Response:
    plan = planned(services.home, name, data, query)
    if not query.wait_for_model:
        require_models([plan], services.home, services.ledger)
    added = submit(plan, services.ledger, services.queue, services.home.out, query.priority)
    view = submitted_views(services.ledger, [added])[0]
    return json_answer(view, 201 if view.created else 200, {"Location": f"/api/batches/{view.batch}"})


def planned(home: Home, name: str, data: bytes, query: SubmitQuery) -> Plan:
    """Raises ApiError with all problems, and BookError."""
    overrides = Overrides(query.model, query.takes, query.escalate, query.keep_takes, query.language)
    try:
        script = parsed_bytes(Path(name), data, chapters=query.chapters)
        refuse_files(script)
        plan = make_plan(script, Library.of(home), overrides, lexicon.load(home))
    except ScriptError as error:
        problems = [
            ProblemView(str(error.path), each.position.line, each.position.column, each.found, each.allowed)
            for each in error.problems
        ]
        first = problems[0]
        message = f"{first.file}:{first.line}:{first.column}: {first.found}; {first.allowed}".strip("; ")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ApiError(422, message + more, code="bad_script", problems=problems) from error
    return replace(plan, book=assemble.with_order(plan.book, assemble.order_of(query.book, query.preset), load(home)))


def refuse_files(script: Script) -> None:
    """A script that was sent must not name files of this machine. Raises ScriptError."""
    allowed = "a script that is sent cannot name files: submit it with  vvbatch submit  where they are"
    problems = [
        Problem(sound.position, f"sound {sound.path!r}", allowed)
        for chapter in script.chapters
        for sound in chapter.sounds
    ]
    if script.cover:
        problems.append(Problem(START, f"cover {script.cover!r}", allowed))
    if problems:
        raise ScriptError(script.path, problems, script.source)


async def get_batches(request: Request) -> Response:
    services, query = services_of(request), query_of(request, BatchesQuery)
    wanted = Filter(state=query.state, profile=query.model, kind=query.kind, sort=query.sort, limit=query.limit)
    return await services.call(lambda: json_answer(list_batches(services.ledger, wanted)))


async def get_batch(request: Request) -> Response:
    services = services_of(request)
    return await services.call(lambda: json_answer(whole_view(services, request.path_params["batch"])))


def whole_view(services: Services, batch: str) -> BatchView:
    view = batch_view(services.ledger, batch)
    waiting = waiting_by_profile(services.ledger, [view.batch])
    view.unserved = {
        profile: count for profile, count in waiting.items() if not queue.has_worker(services.queue, profile)
    }
    return view


async def get_lines(request: Request) -> Response:
    services, query = services_of(request), query_of(request, LinesQuery)
    return await services.call(lambda: json_answer(list_lines(services.ledger, rows_of(request, query))))


async def get_takes(request: Request) -> Response:
    services, query = services_of(request), query_of(request, TakesQuery)
    return await services.call(lambda: json_answer(list_takes(services.ledger, rows_of(request, query))))


def rows_of(request: Request, query: LinesQuery | TakesQuery) -> Filter:
    batch = request.path_params["batch"]
    return Filter(batch=batch, line=query.line, state=query.state, sort=query.sort, limit=query.limit)


async def get_manifest(request: Request) -> Response:
    services = services_of(request)
    return await services.call(lambda: json_answer(manifest_of(services.ledger, request.path_params["batch"])))


def manifest_of(ledger: Ledger, batch: str) -> Manifest:
    return manifest(ledger, find_batch(ledger, batch))[1]


async def get_book(request: Request) -> Response:
    services = services_of(request)
    return await services.call(lambda: json_answer(book_of(services.ledger, request.path_params["batch"])))


def book_of(ledger: Ledger, batch: str) -> BookAnswer:
    found = find_batch(ledger, batch)
    return BookAnswer(found, book_files_of(ledger, found))


def changing(action: Callable[[Services, str, str | None], Changed], *, of_lines: bool) -> Handler:
    """The handler of a control command."""

    async def handler(request: Request) -> Response:
        services = services_of(request)
        line = query_of(request, LineQuery if of_lines else NoQuery)
        batch = await services.call(find_batch, services.ledger, request.path_params["batch"])
        return json_answer(await services.call(action, services, batch, getattr(line, "line", None)))

    return handler


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    pass


pause = changing(lambda services, batch, _: control.pause(services.ledger, batch), of_lines=False)
resume = changing(lambda services, batch, _: control.resume(services.ledger, services.queue, batch), of_lines=False)
cancel = changing(lambda services, batch, line: control.cancel(services.ledger, batch, line), of_lines=True)
retry = changing(
    lambda services, batch, line: control.retry(services.ledger, services.queue, batch, line), of_lines=True
)
