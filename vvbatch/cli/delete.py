"""delete, and what it shares with prune: what would go, the question, and what went."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import FAILED, Failed, json_option, print_json, session

if TYPE_CHECKING:
    from vvbatch.batch.delete import Doomed
    from vvbatch.ledger import Ledger


@click.command()
@click.argument("batch_names", nargs=-1, required=True, metavar="BATCH…", shell_complete=complete_batch)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(batch_names: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete batches: their files and everything the ledger has about them. This cannot be undone.

    A batch with open lines is refused: cancel it first. So is one that a regression suite refers to. Lines of other
    batches that were served from its takes keep their files and figures.

    \b
    Example:  vvbatch delete lighthouse-1a2b3c4d
              vvbatch delete last --yes --json
    """
    from vvbatch.batch.delete import examine
    from vvbatch.ledger.queries import find_batch

    require_yes(yes, as_json)
    with session() as here:
        ledger = here.ledger
        ids = dict.fromkeys(find_batch(ledger, name) for name in batch_names)
        doomed = [examine(ledger, batch_id) for batch_id in ids]
        if refused := [each.refused for each in doomed if each.refused]:
            raise Failed("nothing was deleted: " + "; ".join(refused))
        delete_all(ledger, doomed, yes, as_json)


def require_yes(yes: bool, as_json: bool) -> None:
    if as_json and not yes:
        raise click.UsageError("--json cannot ask: add --yes")


def delete_all(ledger: Ledger, doomed: list[Doomed], yes: bool, as_json: bool) -> None:
    """Ask, delete, and print what was deleted. Exits 1 when something was not deleted."""
    from vvbatch.batch import delete as batch_delete
    from vvbatch.ledger.deletion import BatchInUse
    from vvbatch.report.tables import counted

    batch_delete.finish_removals(ledger)
    if not as_json:
        print_doomed(doomed)
    if doomed and not yes and not click.confirm(f"Delete {counted(len(doomed), 'batch')}?", err=True):
        raise Failed("nothing was deleted")
    for each in doomed:
        try:
            batch_delete.delete(ledger, each)
        except (BatchInUse, OSError) as error:
            each.refused = str(error)
    if as_json:
        print_json(doomed)
    else:
        for each in doomed:
            if each.refused:
                click.echo(f"{each.batch}: {each.refused}", err=True)
            elif each.left:
                click.echo(
                    f"{each.batch}: deleted; {counted(len(each.left), 'other file')} left in its folder", err=True
                )
        click.echo(f"deleted {sum(each.deleted for each in doomed)} of {counted(len(doomed), 'batch')}")
    if any(each.refused for each in doomed):
        sys.exit(FAILED)


def print_doomed(doomed: list[Doomed]) -> None:
    from vvbatch.report import tables
    from vvbatch.report.columns import name, number, text
    from vvbatch.report.tables import print_table

    if doomed:
        rows = [
            [each.batch, each.kind, each.lines, each.takes, each.files, tables.size(each.bytes), each.refused]
            for each in doomed
        ]
        columns = [name("batch"), name("kind", 2), number("lines"), number("takes", 3), number("files", 1)]
        print_table([*columns, number("size"), text("stays because", 1)], rows)
