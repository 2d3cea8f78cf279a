"""Takes rejected and preferred by ear, over HTTP: what `reject` and `prefer` do and print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from vvbatch.batch import by_ear
from vvbatch.batch.by_ear import Preferred, Rejected
from vvbatch.batch.submit import restore_where_it_runs
from vvbatch.ledger.queries import find_batch
from vvbatch.web.answers import json_answer, query_of
from vvbatch.web.batches import NoQuery
from vvbatch.web.bodies import bounded
from vvbatch.web.errors import ApiError
from vvbatch.web.guard import client_of
from vvbatch.web.parameters import Name, Seed, Words
from vvbatch.web.services import Services, services_of

REJECT_BYTES = 1 << 20


class RejectRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As the arguments of `vvbatch reject`. `who` is the client's address if it is not given."""

    lines: Sequence[Name] = ()
    chapter: Annotated[int, Meta(ge=1)] | None = None
    why: Words | None = None
    seed: Seed | None = None
    who: Name | None = None


class PreferQuery(Struct, frozen=True, forbid_unknown_fields=True):
    who: Name | None = None


async def reject(request: Request) -> Response:
    services = services_of(request)
    query_of(request, NoQuery)
    asked = msgspec.json.decode(await bounded(request, REJECT_BYTES), type=RejectRequest)
    if not asked.lines and asked.chapter is None:
        raise ApiError(400, "name a line in `lines`, or a `chapter`", param="lines", code="missing")
    by = asked.who or client_of(request.scope)
    return json_answer(await services.call(rejected, services, request.path_params["batch"], asked, by))


def rejected(services: Services, batch: str, asked: RejectRequest, by: str) -> Rejected:
    batch_id, why = find_batch(services.ledger, batch), (asked.why or "").strip() or None
    with files_of_takes():
        done = by_ear.reject(
            services.ledger, batch_id, asked.lines, chapter=asked.chapter, by=by, why=why, seed=asked.seed
        )
    restore_where_it_runs(services.ledger, services.home, batch_id)
    return done


async def prefer(request: Request) -> Response:
    services, query = services_of(request), query_of(request, PreferQuery)
    by = query.who or client_of(request.scope)
    return json_answer(await services.call(preferred, services, request.path_params["take"], by))


def preferred(services: Services, take: str, by: str) -> Preferred:
    with files_of_takes():
        return by_ear.prefer(services.ledger, take, by=by)


@contextmanager
def files_of_takes() -> Iterator[None]:
    """Raises ApiError where the file of a take is gone or another cannot be written: its path names the line."""
    try:
        yield
    except FileNotFoundError as error:
        message = f"{error.filename} is gone: vvbatch verify --repair renders its line again, or forgets the take"
        raise ApiError(404, message, code="gone") from error
    except OSError as error:
        message = f"{error.filename}: {error.strerror}; make room, or correct the modes of its folder, and try again"
        raise ApiError(503, message, code="unavailable") from error
