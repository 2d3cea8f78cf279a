from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

import click

from vvbatch.cli.common import faults


@click.command()
@click.option(
    "--workers",
    "models",
    default="draft",
    show_default=True,
    metavar="PROFILE,…",
    help="One worker each; twice is two.",
)
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file, rotated, not here.")
@faults
def up(models: str, log: Path | None) -> None:
    """Run the queue and the workers in the foreground, supervised, until Ctrl-C.

    With suites scheduled (`vvbatch regress schedule`) it runs those as well.

    Ctrl-C lets the workers finish what is in flight; a second one puts it back into the queue.

    \b
    Example:  vvbatch up --workers 1.5b,draft
    """
    from vvbatch import profiles, server
    from vvbatch.home import Home
    from vvbatch.ledger import Ledger
    from vvbatch.regress.schedule import scheduled
    from vvbatch.rotating import output_to
    from vvbatch.session import nightly_program, worker_program
    from vvbatch.supervisor import Supervisor

    names = [profiles.load(name.strip()).name for name in models.split(",") if name.strip()]
    if not names:
        raise click.UsageError("--workers names no profile")
    home = Home.from_environment()
    programs = [worker_program(name) for name in names]
    if scheduled(ledger := Ledger(home.ledger_url)):
        programs.append(nightly_program())
    ledger.close()
    output = output_to(log) if log else nullcontext()
    with output, server.own_server(home) as own:
        sys.exit(Supervisor(home, programs, server=own, to_terminal=True).run())
