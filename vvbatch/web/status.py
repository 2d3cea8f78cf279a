"""Status, health, voices and warm-up over HTTP."""

from __future__ import annotations

import asyncio
import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import redis
from msgspec import Meta, Struct
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import Response

from vvbatch import profiles
from vvbatch.errors import InputError, UnavailableError
from vvbatch.ledger.queues import waiting_by_profile
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.schema import workers
from vvbatch.ledger.views import Overview, ServerView
from vvbatch.processes import python
from vvbatch.processes.status import status_view
from vvbatch.processes.supervisor import SupervisorState
from vvbatch.regress.schedule import ScheduleStatus
from vvbatch.transport import queue
from vvbatch.voices import Library
from vvbatch.voices.library import LARGEST
from vvbatch.voices.manifest import name_problem
from vvbatch.voices.overview import listing
from vvbatch.web.answers import json_answer, query_of
from vvbatch.web.bodies import bounded, fields_of, uploaded
from vvbatch.web.errors import ApiError
from vvbatch.web.parameters import Language, Name, Words
from vvbatch.web.services import Fresh, Services, services_of

STATUS_AGE_S, STATUS_STALE_S = 1.0, 4.0
COMMAND_S = 1800.0
WARMUP_BYTES = 64 << 10
LONGEST_NAME = 100  # bytes

log = logging.getLogger("vvbatch.web")


class StatusQuery(Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["script", "speech", "night", "proof", "all"] = "script"


class StatusAnswer(Overview):
    """A StatusView for the OpenAPI document: its own names types that the command line does not load."""

    redis: ServerView
    supervisor: SupervisorState | None
    nights: Sequence[ScheduleStatus]


class Live(Struct, frozen=True):
    status: Literal["live"] = "live"


class Ready(Struct, frozen=True):
    """`workers`: whether one runs, by profile: those that lines wait for, and those that workers were started for."""

    ready: bool
    queue: str | None  # what is wrong
    ledger: str | None
    workers: Mapping[str, bool]
    why: str | None = None


class WarmupRequest(Struct, frozen=True, forbid_unknown_fields=True):
    profile: Name
    voices: Sequence[Name] = ()


class VoiceForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As the options of `vvbatch voices import`."""

    name: Name
    language: Language | None = None
    gender: Literal["female", "male", "other"] | None = None
    license: Words | None = None
    consent: Words | None = None
    start: Annotated[float, Meta(ge=0)] | None = None
    length: Annotated[float, Meta(ge=0.4)] | None = None


async def get_status(request: Request) -> Response:
    services, query = services_of(request), query_of(request, StatusQuery)
    kinds = tuple(map(str, BatchKind)) if query.kind == "all" else (query.kind,)

    async def encoded() -> bytes:
        def made() -> bytes:
            return msgspec.json.encode(status_view(services.home, services.ledger, kinds))

        return await services.call(made)

    fresh = services.fresh.setdefault(f"status {query.kind}", Fresh(encoded, STATUS_AGE_S, STATUS_STALE_S))
    return Response(await fresh.get(), media_type="application/json")


async def get_live(_request: Request) -> Response:
    return json_answer(Live())


async def get_ready(request: Request) -> Response:
    services = services_of(request)
    found = await services.call(readiness, services)
    return json_answer(found, 200 if found.ready else 503)


def readiness(services: Services) -> Ready:
    """The queue and the ledger answer, and a worker runs for each profile that is served."""
    served: set[str] = set()
    alive: dict[str, bool] = {}
    ledger = silent = why = None
    try:
        with services.ledger.engine.connect() as connection:
            running = select(workers.c.profile).where(workers.c.state == "running").distinct()
            served |= set(connection.execute(running).scalars())
        served |= waiting_by_profile(services.ledger).keys()
    except DBAPIError as error:
        ledger = str(error.orig)
    try:
        services.queue.ping()
        alive = {name: queue.has_worker(services.queue, name) for name in sorted(served)}
    except redis.exceptions.RedisError as error:
        silent = str(error)
    missing = [name for name, runs in alive.items() if not runs]
    if ledger is not None:  # which also knows the workers
        why = f"the ledger cannot be read: {ledger}"
    elif silent is not None:
        why = f"the queue's server does not answer: {silent}"
    elif not alive:
        why = "no worker runs: start one with  vvbatch up --workers PROFILE"
    elif missing:
        why = f"no worker runs for {', '.join(missing)}: vvbatch up --workers {','.join(missing)}"
    return Ready(why is None, silent, ledger, alive, why)


async def get_voices(request: Request) -> Response:
    services = services_of(request)
    return await services.call(lambda: json_answer(listing(Library.of(services.home))))


async def post_voice(request: Request) -> Response:
    """By a command of its own: what is sent is decoded in another process."""
    services = services_of(request)
    if not services.settings.serve.import_voices:
        raise ApiError(403, "importing voices is off: serve.import_voices in settings.yaml allows it", code="off")
    sent = await uploaded(request, LARGEST)
    asked = fields_of(sent, VoiceForm)
    if problem := name_problem(asked.name):
        raise ApiError(
            400, f"a voice cannot be named {asked.name!r}: {problem}", param="name", code="invalid_value"
        )  # fmt: skip
    options = [f"--{key}={value}" for key, value in msgspec.structs.asdict(asked).items() if value is not None]
    with tempfile.TemporaryDirectory(prefix="vvbatch-voice-") as folder:
        file = Path(folder) / file_name(sent.name)
        await services.call(file.write_bytes, sent.data)
        try:
            made = await command("voices", "import", str(file), *options, "--json")
        except InputError as error:
            raise InputError(str(error).replace(f"{folder}/", "")) from error
    return Response(made, 201, media_type="application/json")


def file_name(name: str) -> str:
    """The name that a file was sent with, which the voice's provenance keeps, as one that any folder takes."""
    kept = re.sub(r"[^\w.() -]", "_", name).encode()[-LONGEST_NAME:].decode(errors="ignore")
    return kept.strip(". ") or "recording"


async def post_warmup(request: Request) -> Response:
    services = services_of(request)
    asked = msgspec.json.decode(await bounded(request, WARMUP_BYTES), type=WarmupRequest)
    if asked.profile not in profiles.names():
        raise ApiError(
            400,
            f"unknown profile {asked.profile!r}: there is {', '.join(profiles.names())}",
            param="profile",
            code="invalid_value",
        )
    if services.warming.locked():
        raise ApiError(409, "a warm-up runs already", code="busy")
    async with services.warming:
        options = [f"--voice={name}" for name in asked.voices]
        made = await command("warmup", asked.profile, *options, "--json")
    return Response(made, media_type="application/json")


async def command(*words: str) -> bytes:
    """The JSON that a command of vvbatch prints. Raises the kind of error that its exit code says."""
    process = await asyncio.create_subprocess_exec(
        *python.module("vvbatch", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(COMMAND_S):
            said, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode == 0:
        return said
    message = errors.decode(errors="replace").strip().rpartition("Error: ")[2] or f"exit code {process.returncode}"
    if process.returncode == InputError.exit_code:
        raise InputError(message)
    if process.returncode == UnavailableError.exit_code:
        raise UnavailableError(message)
    log.error("vvbatch %s: %s", words[0], message)
    raise ApiError(500, message)
