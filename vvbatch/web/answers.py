"""What handlers share: answers in JSON, queries with types, work that ends when its client goes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send

from vvbatch.web.errors import ApiError, Incomplete, with_choices

Q = TypeVar("Q", bound=Struct)
SEND_S = 600.0  # for a client to take the next bytes


class ClientStopped(Incomplete):
    """The client has taken nothing for SEND_S."""


def json_answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """To be made in a thread where the document grows with the ledger: 10,000 lines would hold up all requests."""
    return Response(msgspec.json.encode(document), status, dict(headers or {}), "application/json")


def query_of(request: Request, kind: type[Q]) -> Q:
    """The query's parameters.

    Raises msgspec.ValidationError for unknown names and wrong values, ApiError for a name that is given twice.
    """
    each_once(request.query_params)
    try:
        return msgspec.convert(dict(request.query_params), kind, strict=False)
    except msgspec.ValidationError as error:
        raise with_choices(error, kind) from error


def each_once(given: ImmutableMultiDict[str, Any]) -> None:
    """Raises ApiError for a name that is given twice: all but one of its values would be ignored."""
    for name, times in Counter(name for name, _ in given.multi_items()).items():
        if times > 1:
            raise ApiError(400, f"{name[:100]!r} is given {times} times", param=name[:100], code="invalid_value")


async def until_gone(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """Whether the work was done before the client went away, which cancels it. Raises what the work raises."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        done = working.done()
        await end(working, leaving)
    if done:
        working.result()
    return done


async def gone(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def sent(send: Send, data: bytes, *, more: bool = True) -> None:
    """Raises ClientStopped."""
    try:
        async with asyncio.timeout(SEND_S):  # `wait_for` loses a cancellation that comes as it ends
            await send({"type": "http.response.body", "body": data, "more_body": more})
    except TimeoutError as error:
        raise ClientStopped(f"the client takes nothing for {SEND_S:.0f} s") from error


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still runs, until it has ended."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=1.0)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # or asyncio logs that it was never retrieved
