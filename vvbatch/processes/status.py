"""The whole status: what the ledger says, with what Redis, the supervisor and the schedules say."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import asdict

from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.queues import waiting_by_profile
from vvbatch.ledger.views import Overview, ServerView, StatusView
from vvbatch.transport.connection import ServerUnreachable, connect, server_url, without_password


def status_view(home: Home, ledger: Ledger, kinds: Sequence[str]) -> StatusView:
    """What `vvbatch status --json` prints; batches and failures of these kinds."""
    from vvbatch.ledger.overview import overview
    from vvbatch.processes.supervisor import supervisor_state
    from vvbatch.regress import schedule

    found = overview(ledger, kinds)
    server = ask_server(home, found)
    return StatusView(
        **asdict(found), redis=server, supervisor=supervisor_state(home), nights=schedule.overview(ledger)
    )


def ask_server(home: Home, seen: Overview) -> ServerView:
    """Whether Redis answers, and how many jobs wait there; sets which workers in `seen` are alive."""
    import redis

    from vvbatch.transport import queue

    profiles = {each.profile for each in seen.queues} | {each.profile for each in seen.workers}
    address = None
    try:
        address = without_password(server_url(home))
        with connect(home) as connection:
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


def unserved(home: Home, ledger: Ledger, batch_id: str) -> dict[str, int]:
    """How many of a batch's lines wait for profiles that no worker serves; nothing when the server does not say."""
    waiting = waiting_by_profile(ledger, [batch_id])
    if not waiting:
        return {}
    import redis  # here: the status of a batch that waits for nothing loads neither

    from vvbatch.transport import queue

    try:
        with connect(home) as connection:
            return {profile: count for profile, count in waiting.items() if not queue.has_worker(connection, profile)}
    except (ServerUnreachable, redis.exceptions.RedisError):
        return {}
