from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import FAILED, Session, json_option, print_json, session

if TYPE_CHECKING:
    from vvbatch.batch.verify_files import RepairedLine, Verified


QUEUED_AGAIN = "queued again"
PUT_BACK = "put back from the take's second file"


@click.command()
@click.argument("batch", required=False, shell_complete=complete_batch)
@click.option("--repair", is_flag=True, help="First repair what crashes left behind; see above.")
@json_option
def verify(batch: str | None, repair: bool, as_json: bool) -> None:
    """Hash every output file again and compare it with the ledger: of one batch, or of all.

    Lists the files that are missing or changed, and unknown files in a batch's folder. Exit 1 if there are any.

    With --repair, finished takes that the ledger lacks are recorded, done lines whose file is missing or changed are
    queued again, and records of kept audio (--keep-takes) that is missing or changed are removed. A take that was
    rejected or preferred has a second file: its line gets its file back from that.

    \b
    Example:  vvbatch verify last
              vvbatch verify lighthouse-1a2b3c4d --json
    """
    from vvbatch.batch.verify_files import verify as verify_files
    from vvbatch.report.columns import name, text
    from vvbatch.report.counting import counting
    from vvbatch.report.tables import counted, print_table

    waiting: list[str] = []
    with session() as here, counting("files hashed", quiet=as_json) as seen:
        repaired = recover(here) if repair else []
        found = verify_files(here.ledger, batch, seen)
        if repair:
            repaired += render_again(here, found)
            found.repaired = repaired
            waiting = why_waiting(here, sorted({each.batch for each in repaired if each.done == QUEUED_AGAIN}))
    if as_json:
        print_json(found)
    else:
        problems = [[each.problem, each.batch, each.line, each.path] for each in found.problems]
        if problems:
            print_table([name("problem"), name("batch", 1), name("line"), text("path")], problems)
        for each in repaired:
            click.echo(f"{each.line or 'the book'} of {each.batch}: {each.done}")
        click.echo(f"{found.ok:,} of {counted(found.checked, 'file')} match the ledger")
        for why in waiting:
            click.echo(f"{QUEUED_AGAIN}, but {why}", err=True)
    if found.problems:
        sys.exit(FAILED)


def why_waiting(here: Session, batch_ids: list[str]) -> list[str]:
    """Why no worker renders the queued lines of these batches now; empty if one does for each profile."""
    from vvbatch.ledger.ahead import Ahead
    from vvbatch.ledger.queues import waiting_by_profile
    from vvbatch.report.reasons import waiting_words
    from vvbatch.transport.served import Served

    waiting = waiting_by_profile(here.ledger, batch_ids) if batch_ids else {}
    return waiting_words(Ahead(waiting, {}, []), Served(here.home))


def recover(here: Session) -> list[RepairedLine]:
    """Record the takes that workers finished before they died."""
    from vvbatch.batch.held_takes import Pending
    from vvbatch.batch.verify_files import RepairedLine
    from vvbatch.ledger.queries import line_names

    pending = Pending(here.home.pending)
    kept = pending.replay(here.ledger, pending.notes(), orphaned=True)
    names = line_names(here.ledger, [note.line_id for note in kept])
    return [RepairedLine(batch, line, "recorded") for batch, line in names]


def render_again(here: Session, found: Verified) -> list[RepairedLine]:
    """Queue the lines whose file is missing or changed."""
    from vvbatch.batch.second_files import put_back
    from vvbatch.batch.verify_files import RepairedLine
    from vvbatch.cli.control import queue_again
    from vvbatch.ledger.lines import line_id_of
    from vvbatch.ledger.recovery import forget_audio, reopen

    gone = [each for each in found.problems if each.problem in ("missing", "changed")]
    of_books = [each for each in gone if each.line is None]
    gone = [each for each in gone if each.line is not None]
    spare, bad = ([each for each in gone if bool(each.take) is kept] for kept in (True, False))
    if spare:
        forget_audio(here.ledger, [each.take for each in spare if each.take])
    whole = [each for each in bad if put_back(here.ledger, line_id_of(here.ledger, each.batch, each.line or "") or "")]
    bad = [each for each in bad if each not in whole]
    for batch in sorted({each.batch for each in bad}):
        reopen(here.ledger, batch, [each.line for each in bad if each.batch == batch and each.line])
        queue_again(here, batch)
    done = [(each, PUT_BACK) for each in whole] + [(each, QUEUED_AGAIN) for each in bad]
    done += [(each, f"take {each.take} forgotten") for each in spare]
    advice = [(each, f"assemble the book again: vvbatch assemble {each.batch}") for each in of_books]
    return [RepairedLine(each.batch, each.line, what) for each, what in [*done, *advice]]
