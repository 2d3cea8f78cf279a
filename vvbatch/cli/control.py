"""pause, resume, cancel, retry: of a batch, of one line, or (pause and resume) of a profile's queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import BadInput, Failed, Session, json_option, print_json, session
from vvbatch.cli.inputs import complete_profile

if TYPE_CHECKING:
    from vvbatch.ledger import Ledger

batch_argument = click.argument("batch", required=False, shell_complete=complete_batch)
queue_option = click.option(
    "--queue",
    "profile",
    metavar="PROFILE",
    shell_complete=complete_profile,
    help="The whole queue of this profile, instead of a batch.",
)
line_option = click.option("--line", metavar="ID", help="Only this line of the batch, with all its parts.")


def one_of(batch: str | None, profile: str | None) -> None:
    """A batch, or a profile's queue: not both, for one of them would be ignored. Raises UsageError."""
    if batch is not None and profile is not None:
        raise click.UsageError(f"batch {batch!r} and --queue {profile!r}: name one of them")


def full_id(ledger: Ledger, batch: str | None) -> str:
    from vvbatch.ledger.queries import find_batch

    if batch is None:
        raise click.UsageError("name a batch: `vvbatch status` lists them")
    return find_batch(ledger, batch)


def known_profile(name: str) -> str:
    from vvbatch import profiles

    return profiles.load(name).name


def answer(as_json: bool, text: str, **document: object) -> None:
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
              vvbatch pause --queue 1.5b
    """
    from vvbatch.ledger.batches import set_batch_state
    from vvbatch.ledger.queues import pause_queue

    one_of(batch, profile)
    with session() as here:
        if profile is not None:
            pause_queue(here.ledger, known_profile(profile), "paused by hand")
            answer(as_json, f"queue {profile} is paused", queue=profile, state="paused")
            return
        batch_id = full_id(here.ledger, batch)
        if not set_batch_state(here.ledger, batch_id, "paused", only_from=("open", "paused")):
            raise Failed(f"{batch_id} has ended: there is nothing to pause")
        answer(as_json, f"{batch_id} is paused", batch=batch_id, state="paused")


@click.command()
@batch_argument
@queue_option
@json_option
def resume(batch: str | None, profile: str | None, as_json: bool) -> None:
    """Resume a paused batch, or a profile's paused queue.

    \b
    Example:  vvbatch resume lighthouse-1a2b3c4d
              vvbatch resume --queue 1.5b
    """
    from vvbatch.ledger.batches import set_batch_state
    from vvbatch.ledger.queues import resume_queue
    from vvbatch.report.tables import counted

    one_of(batch, profile)
    with session() as here:
        if profile is not None:
            was_paused = resume_queue(here.ledger, known_profile(profile))
            text = f"queue {profile} is resumed" if was_paused else f"queue {profile} was not paused"
            answer(as_json, text, queue=profile, state="open")
            return
        batch_id = full_id(here.ledger, batch)
        if not set_batch_state(here.ledger, batch_id, "open", only_from=("paused", "open")):
            raise Failed(f"{batch_id} has ended: `vvbatch retry {batch_id}` queues its failed lines again")
        count = queue_again(here, batch_id)
        answer(
            as_json,
            f"{batch_id} is resumed: {counted(count, 'line')} queued",
            batch=batch_id,
            state="open",
            queued=count,
        )


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
    from vvbatch.batch.finish import end_if_complete
    from vvbatch.ledger.batches import cancel_lines
    from vvbatch.report.tables import counted

    with session() as here:
        batch_id = full_id(here.ledger, batch)
        known_line(here.ledger, batch_id, line)
        cancelled = cancel_lines(here.ledger, batch_id, line)
        end_if_complete(here.ledger, batch_id)
        answer(
            as_json,
            f"{batch_id}: {counted(len(cancelled), 'line')} cancelled",
            batch=batch_id,
            cancelled=len(cancelled),
        )


@click.command()
@batch_argument
@line_option
@json_option
def retry(batch: str | None, line: str | None, as_json: bool) -> None:
    """Queue a batch's failed and cancelled lines again, or one of them.

    \b
    Example:  vvbatch retry lighthouse-1a2b3c4d
    """
    from vvbatch.ledger.batches import retry_lines
    from vvbatch.report.tables import counted

    with session() as here:
        batch_id = full_id(here.ledger, batch)
        known_line(here.ledger, batch_id, line)
        count = retry_lines(here.ledger, batch_id, line)
        if count:
            queue_again(here, batch_id)
        answer(as_json, f"{batch_id}: {counted(count, 'line')} queued again", batch=batch_id, queued=count)


def known_line(ledger: Ledger, batch_id: str, line: str | None) -> None:
    from vvbatch.ledger.queries import line_ids
    from vvbatch.script.fields import did_you_mean

    if line is not None and line not in (known := line_ids(ledger, batch_id)):
        raise BadInput(f"{batch_id} has no line {line!r}{did_you_mean(line, known)}")


def queue_again(here: Session, batch_id: str) -> int:
    """Put the batch's queued lines into the queue; returns how many."""
    from vvbatch.batch.submit import restore

    with here.queue() as queue:
        return restore(here.ledger, queue.connection, batch_id)
