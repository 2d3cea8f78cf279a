from __future__ import annotations

from pathlib import Path

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import Failed, json_option, print_json, session, utc_option


@click.command()
@click.argument("batch", shell_complete=complete_batch)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page to write.  [default: report.html in the batch's folder]",
)
@click.option("--embed", is_flag=True, help="Put the recordings into the page, as MP3, so that it can be sent.")
@utc_option
@json_option
def report(batch: str, out: Path | None, embed: bool, as_json: bool) -> None:
    """Write a batch as one HTML page: what to listen to first, chapters with players, the book, where the time went.

    The page needs no network. Recordings are linked by relative paths; --embed puts them into it, about 45 MB an hour.
    --json prints the same as data; it writes the page only with -o.

    \b
    Example:  vvbatch report last
              vvbatch report last -o for-mara.html --embed
    """
    from vvbatch.batch.output import report_name
    from vvbatch.batch_report.gather import gather
    from vvbatch.batch_report.write import write
    from vvbatch.ledger.queries import find_batch
    from vvbatch.report.counting import counting

    with session() as here:
        gathered = gather(here.ledger, find_batch(here.ledger, batch))
    found = gathered.report
    path = (out or Path(found.out, report_name(found.batch))).absolute()
    if out or not as_json:
        try:
            with counting("lines", quiet=as_json) as seen:
                write(gathered, path, embed=embed, seen=seen)
        except OSError as error:
            raise Failed(f"{path} could not be written: {error.strerror}; name another file with -o") from error
    if as_json:
        print_json(found)
    else:
        click.echo(str(path))
