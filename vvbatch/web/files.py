"""Audio and books as files: found by ids in the ledger, sent in ranges, with the hash as ETag."""

from __future__ import annotations

import mimetypes
import re
import stat
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from vvbatch.ledger.books import book_files_of
from vvbatch.ledger.lines import AudioFile, line_file, take_file
from vvbatch.ledger.queries import find_batch
from vvbatch.web.errors import ApiError
from vvbatch.web.services import services_of

TYPES = {".wav": "audio/wav", ".m4b": "audio/mp4", ".opus": "audio/ogg", ".flac": "audio/flac", ".mp3": "audio/mpeg"}

RANGE = re.compile(r"\s*(\d{0,18})-(\d{0,18})\s*")  # int() refuses thousands of digits


async def get_line_audio(request: Request) -> Response:
    services, line = services_of(request), request.path_params["line"]
    batch = await services.call(find_batch, services.ledger, request.path_params["batch"])
    found = await services.call(line_file, services.ledger, batch, line)
    return await answer(request, found, f"line {line!r} of {batch} has no file")


async def get_take_audio(request: Request) -> Response:
    services, take = services_of(request), request.path_params["take"]
    return await answer(request, await services.call(take_file, services.ledger, take), f"take {take!r} has no file")


async def get_book_file(request: Request) -> Response:
    services, name = services_of(request), request.path_params["file"]
    batch = await services.call(find_batch, services.ledger, request.path_params["batch"])
    files = await services.call(book_files_of, services.ledger, batch)
    found = next((AudioFile(file.path, file.sha256) for file in files if Path(file.path).name == name), None)
    return await answer(request, found, f"the book of {batch} has no file {name!r}")


async def answer(request: Request, found: AudioFile | None, missing: str) -> Response:
    if found is None:
        raise ApiError(404, missing, code="not_found")
    path, etag = Path(found.path), f'"{found.sha256}"'
    try:
        status = await services_of(request).call(path.lstat)
    except OSError:
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        raise ApiError(404, f"{path.name} is gone: vvbatch verify --repair renders it again", code="gone")
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    if not is_range(request.headers.get("range", "")):  # FileResponse answers it with 400
        request.scope["headers"] = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return FileResponse(path, headers=headers, media_type=kind, stat_result=status)


def is_range(given: str) -> bool:
    """Whether a `Range` is one of bytes, from a first to a last. RFC 9110 has any other ignored."""
    unit, _, ranges = given.partition("=")
    wanted = [each for each in ranges.split(",") if each.strip()]
    return unit.lower() == "bytes" and bool(wanted) and all(map(is_in_order, wanted))


def is_in_order(wanted: str) -> bool:
    found = RANGE.fullmatch(wanted)
    first, last = found.groups() if found else ("", "")
    return int(first) <= int(last) if first and last else bool(first or last)
