"""The process that makes the books of batches that ask for one: `python -P -m workers.books`.

It looks at the ledger every few seconds. When a chapter is finished, or a batch has ended, it puts a job into the
queue, and runs it with a low priority. Nothing is lost when it ends: the next look finds the same work.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

import redis
from sqlalchemy.exc import DBAPIError

from jobs.assemble import make_book
from vvbatch.batch.finished_chapters import LOOK_S, FinishedChapters
from vvbatch.ledger import Ledger
from vvbatch.transport.queue import BOOKS, MAKE_BOOK
from workers.one_job_worker import OneJobWorker, serve

NICE = 15  # the engine's step goes first

log = logging.getLogger("vvbatch.books")
assert f"{make_book.__module__}.{make_book.__name__}" == MAKE_BOOK


class BookWorker(OneJobWorker):
    function = MAKE_BOOK

    @classmethod
    def takes(cls, args: tuple[Any, ...]) -> bool:
        return len(args) == 1 and isinstance(args[0], str)


def look(ledger: Ledger, connection: redis.Redis, name: str, ended: threading.Event) -> None:
    """Until `ended` is set. Waits out an outage of Redis or the ledger."""
    finished = FinishedChapters(ledger, connection)
    while not ended.wait(LOOK_S):
        try:
            finished.look()
        except (redis.exceptions.RedisError, DBAPIError) as error:
            log.warning("finished chapters cannot be looked for now: %s", error)


if __name__ == "__main__":
    os.nice(NICE)
    sys.exit(serve(BookWorker, BOOKS, look))
