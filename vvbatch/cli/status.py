from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import json_option, print_json, session

if TYPE_CHECKING:
    from vvbatch.home import Home
    from vvbatch.ledger import Ledger
    from vvbatch.ledger.views import Overview, ServerView

KINDS = ("script", "speech", "night", "proof")


@click.command()
@click.argument("batch", required=False, shell_complete=complete_batch)
@click.option("--watch", is_flag=True, help="Follow the batch, or all open ones, until they end.")
@click.option("--kind", type=click.Choice(KINDS), help="Batches of this kind [default: script].")
@click.option("--all", "of_all", is_flag=True, help="Batches of every kind.")
@json_option
def status(batch: str | None, watch: bool, kind: str | None, of_all: bool, as_json: bool) -> None:
    """Show the queue, the workers and the batches, or one batch: its whole id, a unique beginning of it, or `last`.

    `last` and the list mean scripts; --kind speech means lines spoken by `vvbatch synth`, --kind night those of
    regression suites. Reads the ledger, so it also works while Redis is down, and says so.

    \b
    Example:  vvbatch status
              vvbatch status last --watch
              vvbatch status lighthouse-1a2b3c4d --json
    """
    if kind and of_all:
        raise click.UsageError("--all and --kind exclude each other: choose one")
    kinds = KINDS if of_all else (kind or "script",)
    with session() as here:
        if watch:
            from vvbatch import report

            report.watch(here.ledger, batch, kinds=kinds)
        if batch is not None:
            show_batch(here.home, here.ledger, batch, kinds, as_json)
        else:
            show_all(here.home, here.ledger, kinds, as_json)


def show_batch(home: Home, ledger: Ledger, batch: str, kinds: Sequence[str], as_json: bool) -> None:
    from vvbatch.ledger.queries import batch_view

    view = batch_view(ledger, batch, kinds)
    view.unserved = unserved(home, ledger, view.batch)
    if as_json:
        print_json(view)
        return
    from vvbatch import report

    report.print_summary(ledger, view.batch)
    report.print_lines(view)


def unserved(home: Home, ledger: Ledger, batch_id: str) -> dict[str, int]:
    """How many of a batch's lines wait for profiles that no worker serves; nothing when the server does not say."""
    from vvbatch.ledger.queues import waiting_by_profile

    waiting = waiting_by_profile(ledger, [batch_id])
    if not waiting:
        return {}
    import redis

    from vvbatch.transport import queue
    from vvbatch.transport.connection import ServerUnreachable, connect

    try:
        connection = connect(home)
        return {profile: count for profile, count in waiting.items() if not queue.has_worker(connection, profile)}
    except (ServerUnreachable, redis.exceptions.RedisError):
        return {}


def show_all(home: Home, ledger: Ledger, kinds: Sequence[str], as_json: bool) -> None:

    from msgspec.structs import asdict

    from vvbatch.ledger.overview import overview
    from vvbatch.ledger.views import StatusView
    from vvbatch.processes.supervisor import supervisor_state
    from vvbatch.regress import schedule

    found = overview(ledger, kinds)
    server = ask_server(home, found)
    seen = StatusView(
        **asdict(found), redis=server, supervisor=supervisor_state(home), nights=schedule.overview(ledger)
    )
    if as_json:
        print_json(seen)
        return
    from vvbatch import report

    report.print_overview(seen)


def ask_server(home: Home, seen: Overview) -> ServerView:
    """Whether Redis answers, and how many jobs wait there; sets which workers in `seen` are alive."""
    import redis

    from vvbatch.ledger.views import ServerView
    from vvbatch.transport import queue
    from vvbatch.transport.connection import ServerUnreachable, connect, server_url, without_password

    profiles = {each.profile for each in seen.queues} | {each.profile for each in seen.workers}
    address = None
    try:
        address = without_password(server_url(home))
        connection = connect(home)
        living = queue.alive(connection, [worker.worker for worker in seen.workers])
        waiting = {profile: queue.waiting(connection, profile) for profile in sorted(profiles)}
        served = {profile for profile in profiles if queue.has_worker(connection, profile)}
    except (ServerUnreachable, redis.exceptions.RedisError) as error:
        for worker in seen.workers:
            worker.alive = None
        for each in seen.queues:
            each.served = None
        return ServerView(False, address, str(error))
    for worker in seen.workers:
        worker.alive = worker.worker in living
    for each in seen.queues:
        each.served = each.profile in served
    open_lines = {each.profile: each.waiting for each in seen.queues}
    lost = {name: count - waiting[name] for name, count in sorted(open_lines.items()) if count > waiting[name]}
    return ServerView(True, address, None, waiting, lost)
