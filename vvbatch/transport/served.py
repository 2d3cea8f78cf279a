"""Which profiles a live worker serves, asked again and again while somebody watches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from vvbatch.home import Home
from vvbatch.transport.connection import ServerUnreachable, connect

if TYPE_CHECKING:
    from redis import Redis

ASK_S = 2.0

Serving = Literal["served", "no worker", "no server"]


class Served:
    """Asks the queue's server at most every ASK_S for each profile."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.connection: Redis | None = None
        self.known: dict[str, tuple[float, Serving]] = {}

    def __call__(self, profile: str) -> Serving:
        asked_at, answer = self.known.get(profile, (float("-inf"), "no server"))
        if time.monotonic() - asked_at > ASK_S:
            answer = self.ask(profile)
            self.known[profile] = time.monotonic(), answer
        return answer

    def ask(self, profile: str) -> Serving:
        try:
            self.connection = self.connection or connect(self.home)
            # Only now: the import of rq takes time that is wasted without a server.
            from redis.exceptions import RedisError

            from vvbatch.transport.queue import has_worker
        except ServerUnreachable:
            return "no server"
        try:
            return "served" if has_worker(self.connection, profile) else "no worker"
        except RedisError:
            self.connection = None
            return "no server"
