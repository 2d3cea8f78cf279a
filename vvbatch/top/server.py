"""What the queue's server says, asked again and again over one connection."""

from __future__ import annotations

from collections.abc import Collection

import redis

from vvbatch.home import Home
from vvbatch.top.snapshot import Server
from vvbatch.transport import queue
from vvbatch.transport.connection import ServerUnreachable, connect


class ServerReader:
    """Connects again after an error."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.connection: redis.Redis | None = None

    def poll(self, workers: Collection[str], profiles: Collection[str]) -> Server:
        """Which of these workers are alive, and how many jobs wait for these profiles."""
        try:
            if self.connection is None:
                self.connection = connect(self.home)
            return Server(
                alive=frozenset(queue.alive(self.connection, workers)) if workers else frozenset(),
                jobs={profile: queue.waiting(self.connection, profile) for profile in sorted(profiles)},
                asked=bool(self.connection.ping()),
            )
        except (ServerUnreachable, redis.exceptions.RedisError) as error:
            self.close()
            return Server(error=str(error), asked=True)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None
