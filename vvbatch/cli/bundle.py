from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import click

from vvbatch.cli.common import BadInput, Failed


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write.  [default: vvbatch-DATE.zip here]",
)
@click.option("--texts", is_flag=True, help="Include texts, titles, ids and paths as they are.")
def bundle(out: Path | None, texts: bool) -> None:
    """Write a zip for a bug report: doctor, versions, profiles, ends of logs, extracts of the ledger.

    It holds no audio and no passwords. Without --texts it has nothing that you typed: texts, titles, ids, names of
    profiles and voices, and folders are replaced. Read it before you send it.

    \b
    Example:  vvbatch bundle --out report.zip
    """
    from vvbatch import store
    from vvbatch.home import Home
    from vvbatch.support import bundle as bundling

    target = (out or Path(f"vvbatch-{datetime.now():%Y%m%d-%H%M%S}.zip")).absolute()
    if target.exists():
        raise BadInput(f"{target} exists already: name another file with --out")
    store.check_writable(target.parent, 0)
    try:
        names = bundling.make(Home.from_environment(), target, os.environ, texts=texts)
    except OSError as error:
        raise Failed(f"{target} could not be written: {error.strerror}; name another file with --out") from error
    for name in names:
        click.echo(f"  {name}", err=True)
    click.echo(str(target))
