"""Bodies of requests: never larger, and never slower, than is allowed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Struct
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from vvbatch.web.answers import each_once
from vvbatch.web.errors import ApiError, with_choices

F = TypeVar("F", bound=Struct)

CLOSE = {"Connection": "close"}
NEXT_S = 15.0  # for the next part of a body
WHOLE_S = 300.0
MOST_FIELDS = 20
FORM_BYTES = 64 << 10  # that a form may add to its file


async def bounded(request: Request, most: int, whole_s: float = WHOLE_S) -> bytes:
    """The body. Raises ApiError with 413 for more than `most` bytes, 408 for one that does not come."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise too_large(most)
    data = bytearray()
    try:
        async with asyncio.timeout(whole_s):
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


def fields_of(sent: Upload, kind: type[F]) -> F:
    """The fields of a form but its file; empty ones were not filled in. Raises msgspec.ValidationError."""
    try:
        return msgspec.convert({name: value for name, value in sent.fields.items() if value}, kind, strict=False)
    except msgspec.ValidationError as error:
        raise with_choices(error, kind) from error


async def uploaded(request: Request, most: int) -> Upload:
    """The form's one file, of at most `most` bytes, whose field is called `file`. Raises ApiError."""
    request._body = await bounded(request, most + FORM_BYTES)  # which the parser of forms reads
    try:
        # Closed at the end: a large file of it is on the disk.
        async with request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=most) as form:
            each_once(form)
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise ApiError(400, "the form has no file: its field is called `file`", param="file", code="missing")
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
            return Upload((file.filename or "").rpartition("/")[2], await file.read(), fields)
    except (MultiPartException, KeyError, ValueError) as error:
        raise ApiError(400, f"the form cannot be read: {error}") from error
