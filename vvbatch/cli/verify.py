from __future__ import annotations

import sys

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import FAILED, faults, json_option, print_json


@click.command()
@click.argument("batch", required=False, shell_complete=complete_batch)
@json_option
@faults
def verify(batch: str | None, as_json: bool) -> None:
    """Hash every output file again and compare it with the ledger: of one batch, or of all.

    Says which files are missing or changed, and which lie in a batch's folder without being known. Exit 1 if any.

    \b
    Example:  vvbatch verify last
              vvbatch verify lighthouse-1a2b3c4d --json
    """
    from vvbatch import report
    from vvbatch.cli.control import opened
    from vvbatch.verify import verify as verify_files

    with opened() as (_, ledger), report.counting("files hashed", quiet=as_json) as seen:
        found = verify_files(ledger, batch, seen)
    if as_json:
        print_json(found)
    else:
        problems = [[each["problem"], each["batch"], each["line"], each["path"]] for each in found["problems"]]
        if problems:
            report.print_table(["problem", "batch", "line", "path"], problems)
        click.echo(f"{found['ok']:,} of {found['checked']:,} files are as the ledger has them")
    if found["problems"]:
        sys.exit(FAILED)
