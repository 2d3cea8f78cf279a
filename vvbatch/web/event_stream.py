"""Server-sent events as an answer that ends with its client."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vvbatch.ledger.feed import place_of
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
    events = services_of(request).events
    given = request.headers.get("last-event-id")
    since = place_of(given) if given else None
    if given and since is None:
        raise ApiError(400, f"Last-Event-ID {given[:100]!r} is no id of an event", param="Last-Event-ID")
    return EventStream(events.stream(since))
