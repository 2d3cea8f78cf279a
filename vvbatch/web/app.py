"""The application: routes behind the guard."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from vvbatch.web.access import url_host
from vvbatch.web.batches import Handler
from vvbatch.web.endpoints import ENDPOINTS, PAGES
from vvbatch.web.guard import Guard
from vvbatch.web.openapi import document
from vvbatch.web.services import Services

INDEX = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>vvbatch</title>
<h1>vvbatch</h1>
<p>Speech for clients of OpenAI's API at <code>/v1</code>, batches at <code>/api</code>.</p>
<ul>
<li><a href="/openapi.json">OpenAPI document</a></li>
<li><a href="/api/status">status</a>, <a href="/health/ready">health</a>, <a href="/metrics">metrics</a></li>
</ul>
</html>
"""


@dataclass
class Routed:
    """What handlers find as `request.app`."""

    router: Router
    state: State

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self.router(scope, receive, send)


def of_method(handlers: Mapping[str, Handler]) -> Handler:
    """One route a path, so that a wrong method is answered with all that there are."""

    async def handler(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return handler


def application(services: Services, hosts: Collection[str] = ()) -> Guard:
    """`hosts` are names by which the server is reached, besides localhost and those of the settings."""
    serve = services.settings.serve
    described = msgspec.json.encode(document(ENDPOINTS))

    async def openapi(_request: Request) -> Response:
        return Response(described, media_type="application/json")

    async def index(_request: Request) -> Response:
        return HTMLResponse(INDEX)

    by_path: dict[str, dict[str, Handler]] = {}
    for each in (*ENDPOINTS, *PAGES):
        by_path.setdefault(each.path, {})[each.method] = each.handler
    routes = [Route(path, of_method(handlers), methods=list(handlers)) for path, handlers in by_path.items()]
    pages = [Route("/openapi.json", openapi, methods=["GET"]), Route("/", index, methods=["GET"])]
    router = Router([*routes, *pages], redirect_slashes=False)
    names = {url_host(name) for name in (*serve.hosts, *hosts)}
    return Guard(Routed(router, State({"services": services})), services.access, names, serve.origins)
