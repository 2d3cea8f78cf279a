"""What every request passes first: Host, Origin, token; errors as JSON; one line in the log, without texts."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vvbatch.web.access import Access, url_host
from vvbatch.web.errors import ApiError, Incomplete, known_error

LOCAL = ("localhost", "127.0.0.1", "[::1]")
SAFE = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS = ("/health/live", "/login")
"""They need no token: a supervisor asks for one, and the other is where a browser gives the token."""
HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^:\[\]/\s@]+)(:[0-9]{1,5})?")

log = logging.getLogger("vvbatch.web")
access_log = logging.getLogger("vvbatch.web.access")


@dataclass(frozen=True)
class Guard:
    app: ASGIApp
    access: Access
    hosts: Collection[str]  # as `url_host` writes them: what the server may be asked for, at any port
    origins: Collection[str] = ()  # of other hosts' pages that may use it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        begun, status = time.monotonic(), 0
        headers = Headers(scope=scope)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self.add_headers(headers, MutableHeaders(scope=message))
            await send(message)

        try:
            refusal = self.refusal(scope, headers)
            if refusal is not None:
                await refusal.response()(scope, receive, answer)
            elif scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                await Response(status_code=204)(scope, receive, answer)
            else:
                await self.app(scope, receive, answer)
        except Exception as error:
            known = known_error(error)
            if known is None and not isinstance(error, Incomplete):
                log.exception("a request failed")
            elif status:
                log.warning("an answer ended early: %s: %s", type(error).__name__, error)
            if status:
                return  # the server closes the connection: the client sees that the answer is not whole
            known = known or ApiError(500, "the server has a fault; its log says which")
            await known.response()(scope, receive, answer)
        finally:
            took_ms = 1000 * (time.monotonic() - begun)
            path = scope["raw_path"].decode("ascii", "backslashreplace")  # unquoted, it could hold line ends
            access_log.info("%s %s %s %d %.0f ms", client_of(scope), scope["method"], path, status, took_ms)

    def refusal(self, scope: Scope, headers: Headers) -> ApiError | None:
        """Why the request is refused; None if it is not. Raises TooManyGuesses."""
        host = HOST.fullmatch(headers.get("host", ""))
        if host is None or url_host(host["name"]) not in (*LOCAL, *self.hosts):
            message = (
                f"this server is not {headers.get('host', '')[:100]!r}: add its name to serve.hosts in settings.yaml"
            )
            return ApiError(421, message, code="wrong_host")
        if scope["method"] not in SAFE and (origin := headers.get("origin")) is not None:
            own = origin.partition("://")[2] == headers["host"]
            if not own and origin not in self.origins:
                message = f"pages of {origin[:100]!r} may not change anything here: see serve.origins in settings.yaml"
                return ApiError(403, message, code="foreign_origin")
        preflight = scope["method"] == "OPTIONS" and headers.get("origin") in self.origins
        if self.access.token is None or scope["path"] in OPEN_PATHS or preflight:
            return None
        return self.refused_token(client_of(scope), headers)

    def refused_token(self, address: str, headers: Headers) -> ApiError | None:
        if self.access.is_cookie(headers):
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        bearer = scheme.lower() == "bearer" and bool(given)
        if bearer and self.access.is_token(given.strip(), address, time.monotonic()):
            return None
        message = "give the server's token: Authorization: Bearer TOKEN, or log in at /login"
        return ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})

    def add_headers(self, request: Headers, answer: MutableHeaders) -> None:
        answer.setdefault("x-content-type-options", "nosniff")
        answer.setdefault("x-frame-options", "DENY")
        origin = request.get("origin")
        if origin is not None and origin in self.origins:
            answer["access-control-allow-origin"] = origin
            answer["access-control-allow-headers"] = "authorization, content-type, last-event-id"
            answer["access-control-allow-methods"] = "GET, POST"
            answer["access-control-expose-headers"] = "x-take, x-control-hash, x-golden, x-warnings, retry-after"
            answer.add_vary_header("origin")


def client_of(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else "-"
