from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.assemble import assembled, book_options, print_book, with_books
from vvbatch.cli.common import FAILED, INTERRUPTED, json_option, print_json, session
from vvbatch.cli.inputs import (
    keep_imported,
    notify_command,
    notify_option,
    notifying,
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
    from vvbatch.book.document import BookView


@click.command()
@scripts_argument
@override_options
@out_option
@priority_option
@book_options
@notify_option
@json_option
def run(
    scripts: tuple[Path, ...],
    chapters: bool,
    form: str | None,
    overrides: Overrides,
    out: Path | None,
    priority: str | None,
    book: str | None,
    preset: str | None,
    notify: str | None,
    as_json: bool,
) -> None:
    """Render scripts from start to end: own Redis, workers, progress, summary. Leaves nothing running.

    A manuscript (EPUB, DOCX, Markdown, HTML, subtitles) is imported first; its script is kept beside the output.
    With --book (or `book:` in the script) the finished book is made at the end, as by vvbatch assemble.

    Ctrl-C finishes the lines in flight and stops; run the same command again to continue.

    \b
    Example:  vvbatch run examples/lighthouse.yaml --model draft --out out
              pandoc notes.org -t plain | vvbatch run - --format txt
    """
    from msgspec import UNSET

    from vvbatch.batch.assemble import Order, order_in
    from vvbatch.batch.finished_chapters import FinishedChapters
    from vvbatch.batch.ready import require_models, submitted_views
    from vvbatch.batch.submit import submit
    from vvbatch.book.codecs import require_av
    from vvbatch.ledger.books import batch_row
    from vvbatch.processes.session import wait_for, workers_for
    from vvbatch.report.batch import print_summary
    from vvbatch.report.watch import progress

    interrupted = False
    books: list[BookView] = []
    with session() as here:
        planned = plan_scripts(scripts, overrides, here.home, chapters=chapters, form=form)
        planned = with_books(planned, book, preset, here.home)
        plans = [each.plan for each in planned]
        if any(plan.book.asked for plan in plans):
            require_av()
        require_models(plans, here.home, here.ledger)
        command = notify_command(notify, here.home)
        show_warnings(plans)
        with here.queue() as queue:
            added = [submit(plan, here.ledger, queue.connection, out or here.home.out, priority) for plan in plans]
            keep_imported(planned, added, out or here.home.out)
            ids = [each.id for each in added]
            with_book = [batch.id for batch in added if order_in(batch_row(here.ledger, batch.id)).asked]
            try:
                with (
                    notifying(here, command, ids) as tell,
                    progress(here.ledger, ids, quiet=as_json) as show,
                    workers_for(queue.server, queue.connection) as workers,
                ):
                    if with_book:
                        workers.make_books(FinishedChapters(here.ledger, queue.connection, with_book))
                    wait_for(here.ledger, ids, workers, show, tell)
            except KeyboardInterrupt:
                interrupted = True
        if not interrupted:
            books = [assembled(here, batch_id, Order(), quiet=as_json) for batch_id in with_book]
        views = submitted_views(here.ledger, added)
        for view in views:
            view.book = next((made for made in books if made.batch == view.batch), UNSET)
        if as_json:
            print_json(views[0] if len(views) == 1 else views)
        else:
            print_changes(views)
            for view in views:
                print_summary(here.ledger, view)
            for made in books:
                print_book(made)
    if interrupted:
        click.echo("interrupted: finished lines are kept; run the same command again to continue", err=True)
        sys.exit(INTERRUPTED)
    if any(view.counts["done"] + view.counts["cached"] < view.counts["total"] for view in views) or any(
        made.state != "made" for made in books
    ):
        sys.exit(FAILED)
