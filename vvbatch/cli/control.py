"""pause, resume, cancel, retry: of a batch, of one line, or (pause and resume) of a model's queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import BadInput, Failed, faults, json_option, print_json

if TYPE_CHECKING:
    from vvbatch.home import Home
    from vvbatch.ledger import Ledger

batch_argument = click.argument("batch", required=False, shell_complete=complete_batch)
queue_option = click.option("--queue", "model", metavar="PROFILE", help="A model's whole queue instead of a batch.")
line_option = click.option("--line", metavar="ID", help="Only this line of the batch.")


@contextmanager
def opened() -> Iterator[tuple[Home, Ledger]]:
    from vvbatch.home import Home
    from vvbatch.ledger.journal import ledger_of

    home = Home.from_environment()
    ledger = ledger_of(home)
    try:
        yield home, ledger
    finally:
        ledger.close()


def full_id(ledger: Ledger, batch: str | None) -> str:
    from vvbatch.ledger.queries import UnknownBatch, find_batch

    if batch is None:
        raise click.UsageError("name a batch (`vvbatch status` lists them) or --queue PROFILE")
    try:
        return find_batch(ledger, batch)
    except UnknownBatch as error:
        raise BadInput(error.args[0]) from error


def known_model(model: str) -> str:
    from vvbatch import profiles

    return profiles.load(model).name


def answer(as_json: bool, text: str, **document: object) -> None:
    if as_json:
        print_json(document)
    else:
        click.echo(text)


@click.command()
@batch_argument
@queue_option
@json_option
@faults
def pause(batch: str | None, model: str | None, as_json: bool) -> None:
    """Hold a batch, or a model's queue: nothing new of it starts; what is being rendered is finished.

    \b
    Example:  vvbatch pause lighthouse-1a2b3c4d
              vvbatch pause --queue 1.5b
    """
    from vvbatch.ledger.queues import pause_queue

    with opened() as (_, ledger):
        if model:
            pause_queue(ledger, known_model(model), "paused by hand")
            answer(as_json, f"queue {model} is paused", queue=model, state="paused")
            return
        batch_id = full_id(ledger, batch)
        if not ledger.set_batch_state(batch_id, "paused", only_from=("open", "paused")):
            raise Failed(f"{batch_id} has ended: there is nothing to pause")
        answer(as_json, f"{batch_id} is paused", batch=batch_id, state="paused")


@click.command()
@batch_argument
@queue_option
@json_option
@faults
def resume(batch: str | None, model: str | None, as_json: bool) -> None:
    """Let a paused batch, or a model's queue, go on.

    \b
    Example:  vvbatch resume lighthouse-1a2b3c4d
    """
    from vvbatch.ledger.queues import resume_queue

    with opened() as (home, ledger):
        if model:
            was_paused = resume_queue(ledger, known_model(model))
            text = f"queue {model} goes on" if was_paused else f"queue {model} was not paused"
            answer(as_json, text, queue=model, state="open")
            return
        batch_id = full_id(ledger, batch)
        if not ledger.set_batch_state(batch_id, "open", only_from=("paused", "open")):
            raise Failed(f"{batch_id} has ended: `vvbatch retry {batch_id}` queues its failed lines again")
        count = queue_again(home, ledger, batch_id)
        answer(as_json, f"{batch_id} goes on: {count} lines wait", batch=batch_id, state="open", queued=count)


@click.command()
@batch_argument
@line_option
@json_option
@faults
def cancel(batch: str | None, line: str | None, as_json: bool) -> None:
    """Cancel a batch, or one line of it. What is done stays done; what is being rendered stops.

    \b
    Example:  vvbatch cancel lighthouse-1a2b3c4d
              vvbatch cancel lighthouse-1a2b3c4d --line ch1-003
    """
    from vvbatch.batch.finish import end_if_complete

    with opened() as (_, ledger):
        batch_id = full_id(ledger, batch)
        known_line(ledger, batch_id, line)
        cancelled = ledger.cancel(batch_id, line)
        end_if_complete(ledger, batch_id)
        answer(as_json, f"{batch_id}: {len(cancelled)} lines cancelled", batch=batch_id, cancelled=len(cancelled))


@click.command()
@batch_argument
@line_option
@json_option
@faults
def retry(batch: str | None, line: str | None, as_json: bool) -> None:
    """Queue a batch's failed and cancelled lines again, or one of them.

    \b
    Example:  vvbatch retry lighthouse-1a2b3c4d
    """
    with opened() as (home, ledger):
        batch_id = full_id(ledger, batch)
        known_line(ledger, batch_id, line)
        count = ledger.retry(batch_id, line)
        if count:
            queue_again(home, ledger, batch_id)
        answer(as_json, f"{batch_id}: {count} lines queued again", batch=batch_id, queued=count)


def known_line(ledger: Ledger, batch_id: str, line: str | None) -> None:
    from vvbatch.ledger.queries import line_ids
    from vvbatch.script import did_you_mean

    if line is not None and line not in (known := line_ids(ledger, batch_id)):
        raise BadInput(f"{batch_id} has no line {line!r}{did_you_mean(line, known)}")


def queue_again(home: Home, ledger: Ledger, batch_id: str) -> int:
    from vvbatch.batch.submit import restore
    from vvbatch.transport import server

    with server.own_server(home):
        return restore(ledger, server.connect(home), batch_id)
