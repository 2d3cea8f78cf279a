from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.assemble import book_options, with_books
from vvbatch.cli.common import json_option, print_json, session
from vvbatch.cli.inputs import (
    keep_imported,
    out_option,
    override_options,
    plan_scripts,
    print_changes,
    priority_option,
    scripts_argument,
    show_warnings,
)

if TYPE_CHECKING:
    from vvbatch.batch.plan import Overrides


@click.command()
@scripts_argument
@override_options
@out_option
@priority_option
@book_options
@click.option("--wait-for-model", is_flag=True, help="Queue lines also for a model that is not on this machine.")
@click.option("--watch", is_flag=True, help="Follow the batch until it ends.")
@json_option
def submit(
    scripts: tuple[Path, ...],
    chapters: bool,
    form: str | None,
    overrides: Overrides,
    out: Path | None,
    priority: str | None,
    book: str | None,
    preset: str | None,
    wait_for_model: bool,
    watch: bool,
    as_json: bool,
) -> None:
    """Put scripts into the queue and print the batch ids.

    Running workers (`vvbatch up`) start at once; without a worker the lines wait. Nothing is queued for a model that is
    neither on this machine nor served by a worker, unless you give --wait-for-model. A script whose batch is open is
    not queued twice: its batch is resumed, with the given --priority and the pauses of the script. With --watch, Ctrl-C
    stops watching and leaves the batch in the queue.

    With --book (or `book:` in the script) `vvbatch up` makes the finished book when the batch ends.

    \b
    Example:  vvbatch submit book.yaml --model 1.5b --out ~/audio
              vvbatch submit book.yaml --book m4b,vtt --preset audiobook
    """
    from vvbatch.batch.ready import require_models, submitted_views
    from vvbatch.batch.submit import submit as submit_plan
    from vvbatch.report.batch import count_words
    from vvbatch.report.tables import counted
    from vvbatch.transport.queue import BOOKS, has_worker

    with session() as here:
        planned = plan_scripts(scripts, overrides, here.home, chapters=chapters, form=form)
        planned = with_books(planned, book, preset, here.home)
        plans = [each.plan for each in planned]
        if not wait_for_model:
            require_models(plans, here.home, here.ledger)
        show_warnings(plans)
        with here.queue() as queue:
            added = [submit_plan(plan, here.ledger, queue.connection, out or here.home.out, priority) for plan in plans]
            keep_imported(planned, added, out or here.home.out)
            wanted = sorted({profile for plan in plans for profile in plan.profiles})
            later = sorted({profile for plan in plans for profile in plan.escalations} - set(wanted))
            idle, idle_later = (
                [profile for profile in profiles if not has_worker(queue.connection, profile)]
                for profiles in (wanted, later)
            )
            unmade = any(plan.book.asked for plan in plans) and not has_worker(queue.connection, BOOKS)
            if watch:
                from vvbatch.report.watch import follow
                from vvbatch.transport.served import Served

                for each in added:
                    follow(here.ledger, each.id, served=Served(here.home))
        views = submitted_views(here.ledger, added)
    if as_json:
        print_json(views[0] if len(views) == 1 else views)
        return
    print_changes(views)
    for view in views:
        click.echo(view.batch)
        click.echo(f"{counted(view.counts['total'], 'line')}: {count_words(view.counts)}", err=True)
    for profile in idle:
        click.echo(
            f"no worker is running for profile {profile}: start one with  vvbatch up --workers {profile}", err=True
        )
    for profile in idle_later:
        click.echo(f"lines that fail their checks will wait for profile {profile}, which has no worker", err=True)
    if unmade:
        click.echo(
            "no process is running that makes books: start one with  vvbatch up  (it needs the extra `book`)", err=True
        )
