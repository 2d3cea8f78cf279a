from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import FAILED, INTERRUPTED, faults, json_option, print_json
from vvbatch.cli.inputs import (
    out_option,
    plan_scripts,
    print_changes,
    priority_option,
    scripts_argument,
    submitted_views,
    wishes_options,
)

if TYPE_CHECKING:
    from vvbatch.batch.plan import Overrides


@click.command()
@scripts_argument
@wishes_options
@out_option
@priority_option
@json_option
@faults
def run(scripts: tuple[Path, ...], wishes: Overrides, out: Path | None, priority: str | None, as_json: bool) -> None:
    """Render scripts from start to end: own Redis, workers, progress, summary. Leaves nothing running.

    Ctrl-C finishes the lines in flight and stops; run the same command again to continue.

    \b
    Example:  vvbatch run examples/lighthouse.yaml --model draft --out out
    """
    from vvbatch import report
    from vvbatch.batch.submit import submit
    from vvbatch.home import Home
    from vvbatch.ledger.journal import ledger_of
    from vvbatch.processes.session import sigterm_as_interrupt, wait_for, workers_for
    from vvbatch.transport import server

    home = Home.from_environment()
    plans = plan_scripts(scripts, wishes, home)
    interrupted = False
    with sigterm_as_interrupt(), server.own_server(home) as own_server:
        connection = server.connect(home)
        ledger = ledger_of(home)
        added = [submit(plan, ledger, connection, out or home.out, priority) for plan in plans]
        ids = [each.id for each in added]
        try:
            with report.progress(ledger, ids, quiet=as_json) as show, workers_for(own_server, connection) as own:
                wait_for(ledger, ids, own, show)
        except KeyboardInterrupt:
            interrupted = True
    views = submitted_views(ledger, added)
    if as_json:
        print_json(views[0] if len(views) == 1 else views)
    else:
        print_changes(views)
        for view in views:
            report.print_summary(ledger, view.batch)
    if interrupted:
        click.echo("interrupted: finished lines are kept; run the same command again to continue", err=True)
        sys.exit(INTERRUPTED)
    if any(view.counts["done"] + view.counts["cached"] < view.counts["total"] for view in views):
        sys.exit(FAILED)
