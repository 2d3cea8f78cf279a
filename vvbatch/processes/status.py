"""The whole status: what the ledger says, with what Redis, the supervisor and the schedules say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.views import Overview, ServerView, StatusView
from vvbatch.transport.connection import ServerUnreachable, connect, server_url, without_password

if TYPE_CHECKING:
    from vvbatch.regress.schedule import ScheduleStatus


def status_view(home: Home, ledger: Ledger, kinds: Sequence[str]) -> StatusView:
    """What `vvbatch status --json` prints; batches and failures of these kinds."""
    from vvbatch.ledger.overview import overview
    from vvbatch.processes.supervisor import supervisor_state

    found = overview(ledger, kinds)
    server = ask_server(home, found)
    return StatusView(**asdict(found), redis=server, supervisor=supervisor_state(home), nights=missed_nights(ledger))


def missed_nights(ledger: Ledger) -> Sequence[ScheduleStatus]:
    from vvbatch.ledger.overview import has_schedules

    if not has_schedules(ledger):
        return []
    from vvbatch.regress import schedule  # loads what suites need

    return schedule.overview(ledger)


def ask_server(home: Home, seen: Overview) -> ServerView:
    """Whether Redis answers, and how many jobs wait there; sets which workers in `seen` are alive."""
    profiles = {each.profile for each in seen.queues} | {each.profile for each in seen.workers}
    address = None
    try:
        address = without_password(server_url(home))
        connection = connect(home)
    except ServerUnreachable as error:
        return away(seen, address, error)
    from redis.exceptions import RedisError  # here: importing it and rq takes time that is wasted without a server

    from vvbatch.transport import queue

    try:
        with connection:
            living = queue.alive(connection, [worker.worker for worker in seen.workers])
            waiting = {profile: queue.waiting(connection, profile) for profile in sorted(profiles)}
            served = {profile for profile in profiles if queue.has_worker(connection, profile)}
    except RedisError as error:
        return away(seen, address, error)
    for worker in seen.workers:
        worker.alive = worker.worker in living
    for each in seen.queues:
        each.served = each.profile in served
    open_lines = {each.profile: each.waiting for each in seen.queues}
    lost = {name: count - waiting[name] for name, count in sorted(open_lines.items()) if count > waiting[name]}
    return ServerView(True, address, None, waiting, lost)


def away(seen: Overview, address: str | None, error: Exception) -> ServerView:
    """What is known when the queue's server does not answer."""
    for worker in seen.workers:
        worker.alive = None
    for each in seen.queues:
        each.served = None
    return ServerView(False, address, str(error))
