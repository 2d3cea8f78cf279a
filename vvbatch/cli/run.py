from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import FAILED, INTERRUPTED, json_option, print_json, session
from vvbatch.cli.inputs import (
    keep_imported,
    out_option,
    override_options,
    plan_scripts,
    print_changes,
    priority_option,
    require_models,
    scripts_argument,
    show_warnings,
    submitted_views,
)

if TYPE_CHECKING:
    from vvbatch.batch.plan import Overrides


@click.command()
@scripts_argument
@override_options
@out_option
@priority_option
@json_option
def run(
    scripts: tuple[Path, ...],
    chapters: bool,
    overrides: Overrides,
    out: Path | None,
    priority: str | None,
    as_json: bool,
) -> None:
    """Render scripts from start to end: own Redis, workers, progress, summary. Leaves nothing running.

    A manuscript (EPUB, DOCX, Markdown, HTML, subtitles) is imported first; its script is kept beside the output.

    Ctrl-C finishes the lines in flight and stops; run the same command again to continue.

    \b
    Example:  vvbatch run examples/lighthouse.yaml --model draft --out out
    """
    from vvbatch import report
    from vvbatch.batch.submit import submit
    from vvbatch.processes.session import wait_for, workers_for

    interrupted = False
    with session() as here:
        planned = plan_scripts(scripts, overrides, here.home, chapters=chapters)
        plans = [each.plan for each in planned]
        show_warnings(plans)
        require_models(planned, here)
        with here.queue() as queue:
            added = [submit(plan, here.ledger, queue.connection, out or here.home.out, priority) for plan in plans]
            keep_imported(planned, added, out or here.home.out)
            ids = [each.id for each in added]
            try:
                with (
                    report.progress(here.ledger, ids, quiet=as_json) as show,
                    workers_for(queue.server, queue.connection) as workers,
                ):
                    wait_for(here.ledger, ids, workers, show)
            except KeyboardInterrupt:
                interrupted = True
        views = submitted_views(here.ledger, added)
        if as_json:
            print_json(views[0] if len(views) == 1 else views)
        else:
            print_changes(views)
            for view in views:
                report.print_summary(here.ledger, view.batch)
    if interrupted:
        click.echo("interrupted: finished lines are kept; run the same command again to continue", err=True)
        sys.exit(INTERRUPTED)
    if any(view.counts["done"] + view.counts["cached"] < view.counts["total"] for view in views):
        sys.exit(FAILED)
