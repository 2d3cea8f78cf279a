"""The process that makes the books of batches whose scripts ask for one: `python -P -m workers.books`.

It looks at the ledger every few seconds. When a chapter is finished, or a batch has ended, it puts a job into the
queue, and runs it with a low priority. Nothing is lost when it ends: the next look finds the same work.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import threading
from contextlib import closing
from typing import Any

import redis
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy.exc import DBAPIError

from jobs.assemble import make_book
from vvbatch.batch.finished_chapters import FinishedChapters
from vvbatch.home import Home, HomeError
from vvbatch.ledger import LedgerError
from vvbatch.ledger.journal import ledger_of
from vvbatch.transport import server
from vvbatch.transport.queue import BOOKS, MAKE_BOOK
from workers.one_job_worker import OneJobWorker

LOOK_S = 3.0
NICE = 15  # the engine's step goes first

log = logging.getLogger("vvbatch.books")
assert f"{make_book.__module__}.{make_book.__name__}" == MAKE_BOOK


class BookWorker(OneJobWorker):
    function = MAKE_BOOK

    @classmethod
    def takes(cls, args: tuple[Any, ...]) -> bool:
        if len(args) != 3 or not isinstance(args[0], str) or not isinstance(args[2], str | None):
            return False
        return args[1] is None or (isinstance(args[1], list) and all(isinstance(name, str) for name in args[1]))


def look(finished: FinishedChapters, ended: threading.Event) -> None:
    """Until `ended` is set. Waits out an outage of Redis or the ledger."""
    while not ended.wait(LOOK_S):
        try:
            finished.look()
        except (redis.exceptions.RedisError, DBAPIError) as error:
            log.warning("finished chapters cannot be looked for now: %s", error)


def serve() -> int:
    """Returns the exit code: 0 after a normal end, 3 when it could not start."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    os.nice(NICE)
    name = f"{BOOKS}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    try:
        home = Home.from_environment()
        connection = server.connect(home, patient=True)
        ledger = ledger_of(home)
    except (HomeError, server.ServerUnreachable, LedgerError) as error:
        log.error("cannot start: %s", error)
        return 3
    ended = threading.Event()
    with closing(ledger):
        finished = FinishedChapters(ledger, connection)
        looker = threading.Thread(target=look, args=(finished, ended), name="finished chapters", daemon=True)
        looker.start()
        try:
            queue = Queue(BOOKS, connection=connection, serializer=JSONSerializer)
            BookWorker([queue], name=name, connection=connection, serializer=JSONSerializer).work(
                logging_level="WARNING"
            )
        finally:
            ended.set()
            looker.join(timeout=LOOK_S)
    return 0


if __name__ == "__main__":
    sys.exit(serve())
