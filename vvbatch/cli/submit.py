from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import faults, json_option, print_json
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
@click.option("--watch", is_flag=True, help="Follow the batch until it ends.")
@json_option
@faults
def submit(
    scripts: tuple[Path, ...], wishes: Overrides, out: Path | None, priority: str | None, watch: bool, as_json: bool
) -> None:
    """Put scripts into the queue and print the batch ids.

    Running workers (`vvbatch up`) begin at once; without one the lines wait. If a script is still in
    work, its batch is resumed with the given --priority and the pauses of the script; it is not queued twice.

    \b
    Example:  vvbatch submit book.yaml --model 1.5b --out ~/audio
    """
    from vvbatch.batch.submit import submit as submit_plan
    from vvbatch.home import Home
    from vvbatch.ledger.journal import ledger_of
    from vvbatch.transport import queue, server

    home = Home.from_environment()
    plans = plan_scripts(scripts, wishes, home)
    with server.own_server(home):
        connection = server.connect(home)
        ledger = ledger_of(home)
        added = [submit_plan(plan, ledger, connection, out or home.out, priority) for plan in plans]
        ids = [each.id for each in added]
        wanted = sorted({model for plan in plans for model in plan.models})
        later = sorted({model for plan in plans for model in plan.escalations} - set(wanted))
        idle, idle_later = (
            [name for name in names if not queue.has_worker(connection, name)] for names in (wanted, later)
        )
        if watch:
            from vvbatch import report

            for batch_id in ids:
                report.watch(ledger, batch_id)
    views = submitted_views(ledger, added)
    if as_json:
        print_json(views[0] if len(views) == 1 else views)
        return
    print_changes(views)
    for view in views:
        click.echo(view.batch)
        counts = view.counts
        click.echo(f"{counts['total']} lines: {counts['cached']} cached, {counts['queued']} queued", err=True)
    for name in idle:
        click.echo(f"no worker is running for model {name}: start one with  vvbatch up --workers {name}", err=True)
    for name in idle_later:
        click.echo(f"lines that fail their checks will wait for model {name}, which has no running worker", err=True)
