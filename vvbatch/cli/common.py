"""What every command shares: opening things, JSON or tables, exit codes, and errors as one clear line.

Exit codes: 0 good, 1 something failed or was not rendered, 2 bad usage or a bad script, 3 a service or model is
missing, 130 interrupted.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

FAILED, BAD_INPUT, UNAVAILABLE, INTERRUPTED = 1, 2, 3, 130

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


class Failed(click.ClickException):
    """Something was not done, or a check is off."""

    exit_code = FAILED


class BadInput(click.ClickException):
    """A bad script or a name that is not known: nothing was queued."""

    exit_code = BAD_INPUT


class Unavailable(click.ClickException):
    """A service, a model or the ledger cannot be had."""

    exit_code = UNAVAILABLE


def faults(command: Command) -> Command:
    """Turn the errors that vvbatch knows into one clear message and the right exit code."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Exception as error:
            told = as_told(error)
            if told is None:
                raise
            raise told from error

    return wrapped  # type: ignore[return-value]


def as_told(error: Exception) -> click.ClickException | None:
    """An error that vvbatch knows as the person is told of it; None for any other."""
    # Imported only now: a command that goes well does not wait for modules that it has no need of.
    import redis
    from sqlalchemy.exc import DBAPIError

    from vvbatch.engine.contract import EngineUnavailable
    from vvbatch.home import HomeError
    from vvbatch.ledger import LedgerError
    from vvbatch.ledger.queries import UnknownBatch
    from vvbatch.listening.contract import ListeningUnavailable
    from vvbatch.profiles import ProfileError
    from vvbatch.script.model import ScriptError
    from vvbatch.store import StoreError
    from vvbatch.transport.server import ServerUnreachable
    from vvbatch.voices.errors import MissingExtra, VoiceError

    if isinstance(error, ScriptError | ProfileError | StoreError | UnknownBatch | VoiceError):
        return BadInput(str(error))
    if isinstance(
        error, ServerUnreachable | LedgerError | HomeError | EngineUnavailable | ListeningUnavailable | MissingExtra
    ):
        return Unavailable(str(error))
    if isinstance(error, redis.exceptions.RedisError):
        what_next = "what the ledger has of it comes into the queue by itself; the same command again goes on"
        return Unavailable(f"the queue's server answers no more: {error}; {what_next}")
    if isinstance(error, DBAPIError):
        return Unavailable(f"the ledger cannot be used now: {error.orig}; give the command again when that is over")
    return None


def print_json(document: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
