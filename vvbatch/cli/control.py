"""pause, resume, cancel, retry: of a batch, of one line, or (pause and resume) of a profile's queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import Session, json_option, print_json, session
from vvbatch.cli.inputs import complete_profile

if TYPE_CHECKING:
    from vvbatch.ledger import Ledger

batch_argument = click.argument("batch", required=False, shell_complete=complete_batch)
queue_option = click.option(
    "--queue",
    "--model",
    "--profile",
    "profile",
    metavar="PROFILE",
    shell_complete=complete_profile,
    help="The whole queue of this profile, instead of a batch.",
)
line_option = click.option("--line", metavar="ID", help="Only this line of the batch, with all its parts.")


def full_id(ledger: Ledger, batch: str | None) -> str:
    from vvbatch.ledger.queries import find_batch

    if batch is None:
        raise click.UsageError("name a batch: `vvbatch status` lists them")
    return find_batch(ledger, batch)


def batch_or_queue(ledger: Ledger, word: str | None, profile: str | None) -> tuple[str | None, str | None]:
    """The batch or the profile that is meant: a word alone may name either. Raises UsageError where it names both."""
    from vvbatch import profiles
    from vvbatch.ledger.queries import batches_beginning

    if word is not None and profile is not None:
        raise click.UsageError(f"batch {word!r} and --queue {profile!r}: name one of them")
    if word is None or word not in profiles.names():
        return word, profile
    if found := batches_beginning(ledger, word):
        batch = found[0] if len(found) == 1 else f"BATCH  with one of {', '.join(found)}"
        command = f"vvbatch {click.get_current_context().info_name}"
        raise click.UsageError(
            f"{word!r} is a profile and begins the id of a batch: {command} --queue {word}, or {command} {batch}"
        )
    return None, word


def known_profile(name: str) -> str:
    from vvbatch import profiles

    return profiles.load(name).name


def show(as_json: bool, text: str, document: object) -> None:
    if as_json:
        print_json(document)
    else:
        click.echo(text)


@click.command()
@batch_argument
@queue_option
@json_option
def pause(batch: str | None, profile: str | None, as_json: bool) -> None:
    """Pause a batch, or a profile's queue. No new line starts; lines that are being rendered are finished.

    \b
    Example:  vvbatch pause lighthouse-1a2b3c4d
              vvbatch pause 1.5b
    """
    from vvbatch.batch import control
    from vvbatch.ledger.queues import pause_queue

    with session() as here:
        batch, profile = batch_or_queue(here.ledger, batch, profile)
        if profile is not None:
            pause_queue(here.ledger, known_profile(profile), "paused by hand")
            show(as_json, f"queue {profile} is paused", {"queue": profile, "state": "paused"})
            return
        batch_id = full_id(here.ledger, batch)
        show(as_json, f"{batch_id} is paused", control.pause(here.ledger, batch_id))


@click.command()
@batch_argument
@queue_option
@json_option
def resume(batch: str | None, profile: str | None, as_json: bool) -> None:
    """Resume a paused batch, or a profile's paused queue.

    \b
    Example:  vvbatch resume lighthouse-1a2b3c4d
              vvbatch resume 1.5b
    """
    from vvbatch.batch import control
    from vvbatch.ledger.queues import resume_queue
    from vvbatch.report.tables import counted

    with session() as here:
        batch, profile = batch_or_queue(here.ledger, batch, profile)
        if profile is not None:
            was_paused = resume_queue(here.ledger, known_profile(profile))
            text = f"queue {profile} is resumed" if was_paused else f"queue {profile} was not paused"
            show(as_json, text, {"queue": profile, "state": "open"})
            return
        batch_id = full_id(here.ledger, batch)
        with here.queue() as queue:
            done = control.resume(here.ledger, queue.connection, batch_id)
        show(as_json, f"{batch_id} is resumed: {counted(done.queued or 0, 'line')} queued", done)


@click.command()
@batch_argument
@line_option
@json_option
def cancel(batch: str | None, line: str | None, as_json: bool) -> None:
    """Cancel a batch, or one line of it. Finished lines are kept; lines that are being rendered stop.

    \b
    Example:  vvbatch cancel lighthouse-1a2b3c4d
              vvbatch cancel lighthouse-1a2b3c4d --line ch1-003
    """
    from vvbatch.batch import control
    from vvbatch.report.tables import counted

    with session() as here:
        batch_id = full_id(here.ledger, batch)
        done = control.cancel(here.ledger, batch_id, line)
        show(as_json, f"{batch_id}: {counted(done.cancelled or 0, 'line')} cancelled", done)


@click.command()
@batch_argument
@line_option
@json_option
def retry(batch: str | None, line: str | None, as_json: bool) -> None:
    """Queue a batch's failed and cancelled lines again, or one of them.

    \b
    Example:  vvbatch retry lighthouse-1a2b3c4d
    """
    from vvbatch.batch import control
    from vvbatch.report.tables import counted

    with session() as here:
        batch_id = full_id(here.ledger, batch)
        with here.queue() as queue:
            done = control.retry(here.ledger, queue.connection, batch_id, line)
        show(as_json, f"{batch_id}: {counted(done.queued or 0, 'line')} queued again", done)


def queue_again(here: Session, batch_id: str) -> int:
    """Put the batch's queued lines into the queue; returns how many."""
    from vvbatch.batch.submit import restore

    with here.queue() as queue:
        return restore(here.ledger, queue.connection, batch_id)
