from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import json_option, kind_options, print_json, session, utc_option

if TYPE_CHECKING:
    from vvbatch.home import Home
    from vvbatch.ledger import Ledger


@click.command()
@click.argument("batch", required=False, shell_complete=complete_batch)
@click.option("--watch", is_flag=True, help="Follow the batch, or all open ones, until they end.")
@kind_options
@utc_option
@json_option
def status(batch: str | None, watch: bool, kinds: Sequence[str], as_json: bool) -> None:
    """Show the queue, the workers and the batches, or one batch: its whole id, a unique beginning of it, or `last`.

    `last` and the list mean scripts; --kind speech means lines spoken by `vvbatch synth`, --kind night those of
    regression suites. Reads the ledger, so it also works while Redis is down, and says so.

    \b
    Example:  vvbatch status
              vvbatch status last --watch
              vvbatch status lighthouse-1a2b3c4d --json
    """
    with session() as here:
        if watch:
            from vvbatch.report.watch import follow
            from vvbatch.transport.served import Served

            follow(here.ledger, batch, kinds=kinds, served=Served(here.home))
        if batch is not None:
            show_batch(here.home, here.ledger, batch, kinds, as_json)
        else:
            show_all(here.home, here.ledger, kinds, as_json)


def show_batch(home: Home, ledger: Ledger, batch: str, kinds: Sequence[str], as_json: bool) -> None:
    from vvbatch.ledger.ahead import ahead_of
    from vvbatch.ledger.queries import batch_view
    from vvbatch.transport.served import Served

    view = batch_view(ledger, batch, kinds)
    ahead, served = ahead_of(ledger, [view.batch])[view.batch], Served(home)
    idle = {} if view.state == "paused" else ahead.waiting
    view.unserved = {profile: count for profile, count in idle.items() if served(profile) == "no worker"}
    if as_json:
        print_json(view)
        return
    from vvbatch.report.batch import print_summary
    from vvbatch.report.overview import print_lines
    from vvbatch.report.reasons import waiting_words

    if view.counts["rendering"]:  # what is before it no longer matters
        ahead = ahead._replace(batches=[])
    waiting = () if view.state == "paused" else waiting_words(ahead, served)
    print_summary(ledger, view, waiting=waiting)
    print_lines(view)


def show_all(home: Home, ledger: Ledger, kinds: Sequence[str], as_json: bool) -> None:
    from vvbatch.processes.status import status_view

    seen = status_view(home, ledger, kinds)
    if as_json:
        print_json(seen)
        return
    from vvbatch.report.overview import print_overview

    print_overview(seen)
