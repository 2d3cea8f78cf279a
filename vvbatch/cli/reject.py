"""reject and prefer: what a listener decides of a batch's takes."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import json_option, print_json, session

if TYPE_CHECKING:
    from vvbatch.batch.by_ear import Rejected

who_option = click.option("--who", metavar="NAME", help="Who decides. Default: the user who is logged in.")


def who_decides(who: str | None) -> str:
    try:
        return who or getpass.getuser()
    except (OSError, KeyError) as error:  # a user without an entry, as in a container
        raise click.UsageError("--who: the user who is logged in has no name here") from error


@click.command()
@click.argument("batch", shell_complete=complete_batch)
@click.argument("lines", nargs=-1, metavar="LINE…")
@click.option("--chapter", type=click.IntRange(1), metavar="N", help="All lines of this chapter.")
@click.option("--why", metavar="TEXT", help="The reason, for the ledger.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), metavar="N", help="The seed of the next take.")
@who_option
@json_option
def reject(
    batch: str,
    lines: tuple[str, ...],
    chapter: int | None,
    why: str | None,
    seed: int | None,
    who: str | None,
    as_json: bool,
) -> None:
    """Reject the takes of lines that you do not like. The lines are rendered again, with seeds that were not tried.

    A LINE is named by its id, its number, or the beginning of its id; a long line with all its parts. Each line keeps
    its file until the new one is there. A rejected take serves no further line, of no batch; lines of other batches
    that have it already keep it. `vvbatch prefer` takes a rejection back, for the line that the take was made for. The
    book is made again when the new takes are there: only their chapters are encoded.

    Running workers start at once. Without them the lines wait for `vvbatch up`, or for `vvbatch run` of the script.

    \b
    Example:  vvbatch reject last ch1-003 --why "wrong stress on record"
              vvbatch reject lighthouse-1a2b3c4d 12 14 15
    """
    from vvbatch.batch.by_ear import reject as reject_lines
    from vvbatch.batch.submit import restore_where_it_runs
    from vvbatch.ledger.queries import find_batch

    if not lines and chapter is None:
        raise click.UsageError("name a line, or a chapter with --chapter")
    by, why = who_decides(who), (why or "").strip() or None
    with session() as here:
        batch_id = find_batch(here.ledger, batch)
        done = reject_lines(here.ledger, batch_id, lines, chapter=chapter, by=by, why=why, seed=seed)
        running = restore_where_it_runs(here.ledger, here.home, batch_id)
    if as_json:
        print_json(done)
    else:
        say_rejected(done)
        if not running:
            click.echo("no queue is running: start it with  vvbatch up, or run the script again", err=True)


def say_rejected(done: Rejected) -> None:
    from vvbatch.report.tables import counted

    for line in done.lines:
        what = f": take {line.take} is rejected" if line.take else " has no take"
        click.echo(f"line {line.id}{what}; the next has seed {line.seed}")
    held = f"; {done.batch} is paused" if done.state == "paused" else ""
    click.echo(f"{done.batch}: {counted(done.queued, 'line')} queued again{held}")
