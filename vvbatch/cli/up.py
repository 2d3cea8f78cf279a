from __future__ import annotations

import sys
from collections.abc import Collection
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import faults

if TYPE_CHECKING:
    from vvbatch.home import Home


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
    from vvbatch import profiles
    from vvbatch.home import Home
    from vvbatch.ledger import Ledger
    from vvbatch.processes.log_file import output_to
    from vvbatch.processes.session import nightly_program, worker_program
    from vvbatch.processes.supervisor import Supervisor
    from vvbatch.regress.schedule import scheduled
    from vvbatch.transport import server

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
        tell_of_unserved(home, names)
        sys.exit(Supervisor(home, programs, server=own, to_terminal=True).run())


def tell_of_unserved(home: Home, names: Collection[str]) -> None:
    """Lines that wait for models which nobody here will render; workers tell of those that come later."""
    import redis

    from vvbatch.ledger import Ledger
    from vvbatch.ledger.queues import waiting_by_model
    from vvbatch.report.overview import unserved
    from vvbatch.transport import queue, server

    with closing(Ledger(home.ledger_url)) as ledger:
        waiting = {model: count for model, count in waiting_by_model(ledger).items() if model not in names}
    if waiting:
        connection: redis.Redis = server.connect(home)
        for model, count in waiting.items():
            if not queue.has_worker(connection, model):
                click.echo(f"waiting: {unserved(model, count)}", err=True)
