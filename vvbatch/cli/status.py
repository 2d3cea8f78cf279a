from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import json_option, print_json, session

if TYPE_CHECKING:
    from vvbatch.home import Home
    from vvbatch.ledger import Ledger


@click.command()
@click.argument("batch", required=False, shell_complete=complete_batch)
@click.option("--watch", is_flag=True, help="Follow the batch, or all open ones, until they end.")
@json_option
def status(batch: str | None, watch: bool, as_json: bool) -> None:
    """Show the queue, the workers and the batches, or one batch: its whole id, a unique beginning of it, or `last`.

    Asks the ledger, so it works while the queue's server is down, and says so.

    \b
    Example:  vvbatch status
              vvbatch status last --watch
              vvbatch status lighthouse-1a2b3c4d --json
    """
    with session() as here:
        if watch:
            from vvbatch import report

            report.watch(here.ledger, batch)
        if batch is not None:
            show_batch(here.home, here.ledger, batch, as_json)
        else:
            show_all(here.home, here.ledger, as_json)


def show_batch(home: Home, ledger: Ledger, batch: str, as_json: bool) -> None:
    from vvbatch.ledger.queries import batch_view

    view = batch_view(ledger, batch)
    view["unserved"] = unserved(home, ledger, view["batch"])
    if as_json:
        print_json(view)
        return
    from vvbatch import report

    report.print_summary(ledger, view["batch"])
    report.print_lines(view)


def unserved(home: Home, ledger: Ledger, batch_id: str) -> dict[str, int]:
    """How many of a batch's lines wait for models that no worker serves; nothing when the server does not say."""
    from vvbatch.ledger.waiting import waiting_by_model

    waiting = waiting_by_model(ledger, [batch_id])
    if not waiting:
        return {}
    import redis

    from vvbatch.transport import queue
    from vvbatch.transport.connection import ServerUnreachable, connect

    try:
        connection = connect(home)
        return {model: count for model, count in waiting.items() if not queue.has_worker(connection, model)}
    except (ServerUnreachable, redis.exceptions.RedisError):
        return {}


def show_all(home: Home, ledger: Ledger, as_json: bool) -> None:
    from vvbatch.ledger.overview import overview
    from vvbatch.processes.supervisor import supervisor_state
    from vvbatch.regress import schedule

    seen = overview(ledger)
    seen["redis"] = ask_server(home, seen)
    seen["supervisor"] = msgspec.to_builtins(supervisor_state(home))
    seen["nights"] = schedule.overview(ledger)
    if as_json:
        print_json(seen)
        return
    from vvbatch import report

    report.print_overview(seen)


def ask_server(home: Home, seen: dict[str, Any]) -> dict[str, Any]:
    """Whether the queue's server answers, and how many jobs wait there; tells the workers in `seen` that live."""
    import redis

    from vvbatch.transport import queue
    from vvbatch.transport.connection import ServerUnreachable, connect, server_url, without_password

    models = {each["model"] for each in (*seen["queues"], *seen["workers"])}
    address = None
    try:
        address = without_password(server_url(home))
        connection = connect(home)
        living = queue.alive(connection, [worker["worker"] for worker in seen["workers"]])
        waiting = {model: queue.waiting(connection, model) for model in sorted(models)}
        served = {model for model in models if queue.has_worker(connection, model)}
    except (ServerUnreachable, redis.exceptions.RedisError) as error:
        for worker in seen["workers"]:
            worker["alive"] = None
        for each in seen["queues"]:
            each["served"] = None
        return {"reachable": False, "address": address, "error": str(error), "waiting": {}, "lost": {}}
    for worker in seen["workers"]:
        worker["alive"] = worker["worker"] in living
    for each in seen["queues"]:
        each["served"] = each["model"] in served
    open_lines = {each["model"]: each["waiting"] for each in seen["queues"]}
    lost = {
        model: open_lines[model] - waiting[model] for model in sorted(open_lines) if open_lines[model] > waiting[model]
    }
    return {"reachable": True, "address": address, "error": None, "waiting": waiting, "lost": lost}
