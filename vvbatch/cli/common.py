"""What every command shares: opening and closing things, JSON, and errors as one message and an exit code.

Exit codes: 0 good, 1 something failed or was not rendered, 2 bad usage or a bad script, 3 a service or model is
missing, 130 interrupted.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import msgspec

from vvbatch.errors import InputError, UnavailableError, VvbatchError

if TYPE_CHECKING:
    from redis import Redis

    from vvbatch.home import Home
    from vvbatch.ledger import Ledger
    from vvbatch.transport.server import EmbeddedServer

FAILED, BAD_INPUT, UNAVAILABLE = VvbatchError.exit_code, InputError.exit_code, UnavailableError.exit_code
INTERRUPTED = 130

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


def in_utc(_context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from vvbatch.report.times import show_utc

        show_utc()


utc_option = click.option(
    "--utc", is_flag=True, callback=in_utc, expose_value=False, help="Show times in UTC, not in local time."
)


KINDS = ("script", "speech", "night", "proof")
"""Of batches, as vvbatch.ledger.records.BatchKind, which would load the database for `--help`."""


def kind_options(command: Callable[..., None]) -> Callable[..., None]:
    """--kind and --all; the command gets `kinds`."""

    @functools.wraps(command)
    def wrapped(kind: str | None, of_all: bool, **given: Any) -> None:
        if kind and of_all:
            raise click.UsageError("--all and --kind exclude each other: choose one")
        command(**given, kinds=KINDS if of_all else (kind or "script",))

    with_all = click.option("--all", "of_all", is_flag=True, help="Batches of every kind.")(wrapped)
    return click.option("--kind", type=click.Choice(KINDS), help="Batches of this kind.  [default: script]")(with_all)


class Failed(click.ClickException):
    """Something was not done, or a check failed."""

    exit_code = FAILED


class BadInput(click.ClickException):
    """A bad script or an unknown name: nothing was queued."""

    exit_code = BAD_INPUT


class Unavailable(click.ClickException):
    """A service, a model or the ledger is not available."""

    exit_code = UNAVAILABLE


@dataclass(frozen=True)
class Queue:
    """A connection to the queue's server, and the server itself for those who supervise it."""

    connection: Redis
    server: EmbeddedServer


@dataclass(frozen=True)
class Session:
    """The home folder and its open ledger."""

    home: Home
    ledger: Ledger

    @contextmanager
    def queue(self) -> Iterator[Queue]:
        """The queue's server runs within the block. Raises ServerUnreachable."""
        from vvbatch.transport import server

        with server.own_server(self.home) as own, server.connect(self.home) as connection:
            yield Queue(connection, own)


@contextmanager
def session() -> Iterator[Session]:
    """Open the home folder and the ledger; the ledger is closed with the block. Raises HomeError, LedgerError."""
    # Imported only now: `--help` and shell completion do not wait for the database.
    from vvbatch.home import Home
    from vvbatch.ledger.journal import ledger_of

    home = Home.from_environment()
    ledger = ledger_of(home)
    try:
        yield Session(home, ledger)
    finally:
        ledger.close()


@contextmanager
def command_errors() -> Iterator[None]:
    """Turn the errors that vvbatch knows into one message and an exit code, and Ctrl-C into 130.

    The group that all commands belong to runs them within this block, so no command can miss it. Click itself would
    print "Aborted!" and exit with 1.
    """
    try:
        yield
    except KeyboardInterrupt:
        interrupted()
    except click.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt):  # Ctrl-C at a question
            interrupted()
        raise
    except (click.ClickException, click.exceptions.Exit):
        raise
    except Exception as error:
        shown = shown_error(error)
        if shown is None:
            raise
        raise shown from error


def interrupted() -> None:
    click.echo("interrupted", err=True)
    # Where an interrupt ends code that was compiled from a string, as that of dataclasses is, Python ends itself by
    # SIGINT although the interrupt was handled, unless other such code has run since.
    exec("")
    sys.exit(INTERRUPTED)


def shown_error(error: Exception) -> click.ClickException | None:
    """The message and exit code of an error that vvbatch knows; None for any other."""
    if isinstance(error, VvbatchError):
        kinds = {kind.exit_code: kind for kind in (Failed, BadInput, Unavailable)}
        return kinds[error.exit_code](str(error))
    if isinstance(error, OSError) and error.filename is not None:
        return Failed(f"{error.filename}: {error.strerror}; check the path, its mode and its disk")
    # Imported only now: a command that succeeds needs neither.
    import redis
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, redis.exceptions.RedisError):
        remedy = "queued lines are restored automatically; run the command again to continue"
        return Unavailable(f"the queue's server no longer answers: {error}; {remedy}")
    if isinstance(error, DBAPIError):
        return Unavailable(f"the ledger cannot be used now: {error.orig}; run the command again later")
    return None


def print_json(document: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
