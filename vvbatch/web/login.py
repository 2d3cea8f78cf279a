"""The login form, for browsers: its cookie stands for the token."""

from __future__ import annotations

import time
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from vvbatch.web.access import COOKIE, COOKIE_S
from vvbatch.web.bodies import bounded
from vvbatch.web.guard import client_of, too_many
from vvbatch.web.services import services_of

MOST_BYTES = 4096
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
    access, address, now = services_of(request).access, client_of(request.scope), time.monotonic()
    if blocked_s := access.blocked_s(address, now):
        raise too_many(blocked_s)
    given = parse_qs((await bounded(request, MOST_BYTES)).decode("utf-8", "replace")).get("token", [""])[0]
    if not access.is_token(given.strip()):
        access.note_failure(address, now)
        return form("This is not the server's token.", 401)
    answer = RedirectResponse("/", 303, PRIVATE)
    answer.set_cookie(COOKIE, access.cookie, COOKIE_S, httponly=True, samesite="strict", secure=request.url.is_secure)
    return answer


async def log_out(_request: Request) -> Response:
    answer = RedirectResponse("/login", 303, PRIVATE)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
