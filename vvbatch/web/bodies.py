"""Bodies of requests: never larger, and never slower, than is allowed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from vvbatch.web.errors import ApiError

CLOSE = {"Connection": "close"}
NEXT_S = 15.0  # for the next part of a body
WHOLE_S = 300.0
MOST_FIELDS = 20


async def bounded(request: Request, most: int) -> bytes:
    """The body. Raises ApiError with 413 for more than `most` bytes, 408 for one that does not come."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise too_large(most)
    data = bytearray()
    try:
        async with asyncio.timeout(WHOLE_S):
            parts = request.stream().__aiter__()
            while True:
                try:
                    async with asyncio.timeout(NEXT_S):
                        data += await anext(parts)
                except StopAsyncIteration:
                    break
                if len(data) > most:
                    raise too_large(most)
    except TimeoutError as error:
        raise ApiError(408, "the body of the request came too slowly", code="timeout", headers=CLOSE) from error
    except ClientDisconnect as error:
        raise ApiError(400, "the body of the request ended early", headers=CLOSE) from error
    return bytes(data)


def too_large(most: int) -> ApiError:
    return ApiError(413, f"a body of more than {most:,} bytes", code="too_large", headers=CLOSE)


@dataclass(frozen=True)
class Upload:
    """A file of a form, and the form's fields."""

    name: str
    data: bytes
    fields: dict[str, str]


async def uploaded(request: Request, most: int) -> Upload:
    """The form's one file, whose field is called `file`. Raises ApiError."""
    request._body = await bounded(request, most)  # which the parser of forms reads
    try:
        form = await request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=most)
    except (MultiPartException, KeyError, ValueError) as error:
        raise ApiError(400, f"the form cannot be read: {error}") from error
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise ApiError(400, "the form has no file: its field is called `file`", param="file", code="missing")
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return Upload((file.filename or "").rpartition("/")[2], await file.read(), fields)
