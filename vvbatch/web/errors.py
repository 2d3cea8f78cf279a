"""Errors as OpenAI's API gives them: message, type, the parameter's name, code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec
import redis
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy.exc import DataError, DBAPIError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from vvbatch.batch.by_ear import NothingToReject, NotPreferable, UnknownTake
from vvbatch.batch.control import Ended
from vvbatch.errors import InputError, UnavailableError, VvbatchError
from vvbatch.ledger.by_ear import ChangedMeanwhile, SeedTried
from vvbatch.ledger.queries import UnknownBatch
from vvbatch.web.access import TooManyGuesses
from vvbatch.web.parameters import PRINTED

ENUM = re.compile(r"^Invalid enum value .* - at `\$\.(?P<name>\w+)`$", re.DOTALL)
PARAMETER = re.compile(r"`\$\.?([\w.\[\]…]*)`$|field `(\w+)`")


class ErrorView(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ProblemView(Struct, frozen=True):
    """A problem of a script: what was found at a place, and what is allowed there."""

    file: str
    line: int
    column: int
    found: str
    allowed: str


class ErrorAnswer(Struct, frozen=True):
    error: ErrorView
    problems: Sequence[ProblemView] | UnsetType = UNSET  # of a script, all of them


class ApiError(Exception):
    """An answer other than what was asked for."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        problems: Sequence[ProblemView] | UnsetType = UNSET,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})
        kind = KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
        self.answer = ErrorAnswer(ErrorView(message, kind, param, code), problems)

    def response(self) -> Response:
        return Response(msgspec.json.encode(self.answer), self.status, self.headers, "application/json")


KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class Incomplete(Exception):
    """The answer ends in the middle; the client sees that it is not whole."""


def invalid(error: msgspec.ValidationError | msgspec.DecodeError) -> ApiError:
    """A body or a query that has the wrong form, with the name of the parameter."""
    found = PARAMETER.search(str(error))
    message = str(error).replace(f"matching regex {PRINTED!r}", "without control characters")
    return ApiError(400, message, param=(found[1] or found[2]) if found else None, code="invalid_value")


def with_choices(error: msgspec.ValidationError, kind: type[Struct]) -> msgspec.ValidationError:
    """The error of a value that is none of a field's, with those that are allowed; any other error as it is."""
    found = ENUM.search(str(error))
    if found is None:
        return error
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    of_field = next(each.type for each in info.fields if each.encode_name == found["name"])
    kinds = of_field.types if isinstance(of_field, msgspec.inspect.UnionType) else (of_field,)
    allowed: list[str] = []
    for each in kinds:
        if isinstance(each, msgspec.inspect.EnumType):
            allowed += [member.value for member in each.cls]
        elif isinstance(each, msgspec.inspect.LiteralType):
            allowed += [value for value in each.values if isinstance(value, str)]
    return msgspec.ValidationError(f"{found['name']}: allowed are {', '.join(allowed)} - at `$.{found['name']}`")


def known_error(error: Exception) -> ApiError | None:
    """The answer to an error that vvbatch knows; None for any other."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):  # an unknown path, a method that a path does not have
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
        return ApiError(error.status_code, str(error.detail), code=code, headers=error.headers)
    if isinstance(error, TooManyGuesses):
        after = {"Retry-After": str(int(error.wait_s) + 1)}
        return ApiError(429, str(error), code="too_many_failures", headers=after)
    if isinstance(error, msgspec.DecodeError):  # also ValidationError
        return invalid(error)
    if isinstance(error, UnknownBatch | UnknownTake):
        return ApiError(404, str(error), code="not_found")
    if isinstance(error, Ended):
        return ApiError(409, str(error), code="ended")
    if isinstance(error, NothingToReject | NotPreferable | ChangedMeanwhile):
        return ApiError(409, str(error), code="conflict")
    if isinstance(error, SeedTried):
        return ApiError(400, str(error), param="seed", code="invalid_value")
    if isinstance(error, UnavailableError):
        return ApiError(503, str(error), code="unavailable")
    if isinstance(error, InputError):
        return ApiError(400, str(error), code="invalid_value")
    if isinstance(error, VvbatchError):
        return ApiError(500, str(error))
    if isinstance(error, redis.exceptions.RedisError):
        return ApiError(503, f"the queue's server does not answer: {error}; try again", code="unavailable")
    if isinstance(error, DataError):
        return ApiError(400, f"the ledger cannot hold what was sent: {error.orig}", code="invalid_value")
    if isinstance(error, DBAPIError):
        return ApiError(503, f"the ledger cannot be used now: {error.orig}; try again", code="unavailable")
    return None
