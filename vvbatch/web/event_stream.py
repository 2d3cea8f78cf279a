"""Server-sent events as an answer that ends with its client."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vvbatch.ledger.feed import LATE_S, Place, place_of
from vvbatch.ledger.records import earlier
from vvbatch.web.answers import sent, until_gone
from vvbatch.web.errors import ApiError
from vvbatch.web.services import services_of


class EventStream(Response):
    """Server-sent events, until they end or the client disconnects."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await until_gone(self.send(send), receive)

    async def send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for data in self.events:
                await sent(send, data)
            await sent(send, b"", more=False)
        finally:
            await self.events.aclose()


async def get_events(request: Request) -> Response:
    given = request.headers.get("last-event-id")
    return EventStream(services_of(request).events.stream(place_given(given) if given else None))


def place_given(given: str) -> Place:
    """Raises ApiError for what is no id of an event."""
    since = place_of(given)
    try:
        if since is not None and earlier(since.at, LATE_S):
            return since
    except (ValueError, OverflowError, OSError):  # no date, or one out of range
        pass
    raise ApiError(400, f"Last-Event-ID {given[:100]!r} is no id of an event", param="Last-Event-ID")
