"""What rq raises for a job whose record in Redis is gone or incomplete, as one exception."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rq.exceptions import InvalidJobOperation, NoSuchJobError


class RecordLost(Exception):
    """The server was wiped, or the record expired while the worker was stopped."""


@contextmanager
def lost_record(what: str) -> Iterator[None]:
    """Around calls of rq only: it raises errors as general as TypeError for fields that are missing.

    Raises RecordLost. Errors of the connection pass through.
    """
    try:
        yield
    except (InvalidJobOperation, NoSuchJobError, LookupError, TypeError, ValueError) as error:
        raise RecordLost(f"{what}: {type(error).__name__}: {error}") from error
