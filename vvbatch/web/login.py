"""The login form, for browsers: its cookie stands for the token."""

from __future__ import annotations

import time
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from vvbatch.web.access import COOKIE, COOKIE_S
from vvbatch.web.bodies import bounded
from vvbatch.web.guard import client_of
from vvbatch.web.services import services_of

MOST_BYTES = 4096
WHOLE_S = 10.0  # for the body, of clients that have not given the token yet
FORM = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>vvbatch: log in</title>
<form method="post" action="/login">
<p><label>Token <input name="token" type="password" autocomplete="current-password" autofocus required></label>
<button>Log in</button></p>
<p role="alert">{said}</p>
</form></html>
"""
PRIVATE = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; form-action 'self'"}


async def show_login(_request: Request) -> Response:
    return form()


def form(said: str = "", status: int = 200) -> Response:
    return HTMLResponse(FORM.format(said=escape(said)), status, PRIVATE)


async def log_in(request: Request) -> Response:
    access = services_of(request).access
    body = await bounded(request, MOST_BYTES, WHOLE_S)
    given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
    # Not before the body is here: many that are sent at once would all pass the limit on wrong tokens.
    if not access.is_token(given.strip(), client_of(request.scope), time.monotonic()):
        return form("This is not the server's token.", 401)
    answer = RedirectResponse("/", 303, PRIVATE)
    answer.set_cookie(COOKIE, access.cookie, COOKIE_S, httponly=True, samesite="strict", secure=request.url.is_secure)
    return answer


async def log_out(_request: Request) -> Response:
    answer = RedirectResponse("/login", 303, PRIVATE)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
