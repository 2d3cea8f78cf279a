"""When a chapter of a book is finished, or its batch has ended, the queue gets a job for the book."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import timedelta

import msgspec
import redis

from vvbatch.batch.book_order import BookOrder
from vvbatch.ledger import Ledger
from vvbatch.ledger.books import batches_without_book, finished_chapters
from vvbatch.ledger.records import earlier
from vvbatch.ledger.schema import BATCH_OPEN
from vvbatch.transport.queue import enqueue_book

OLDEST = timedelta(days=30)  # of a batch whose book is still made by itself
LOOK_S = 3.0


class FinishedChapters:
    """Of the batches of these ids; None: of all that ask for a book."""

    def __init__(self, ledger: Ledger, connection: redis.Redis, ids: Collection[str] | None = None) -> None:
        self.ledger, self.connection, self.ids = ledger, connection, ids
        self.queued_for: dict[str, frozenset[int]] = {}  # chapters of open batches
        self.next_look = 0.0

    def look(self) -> None:
        """Raises RedisError, and the database's error."""
        if self.ids is None:
            since = earlier(self.ledger.now(), OLDEST.total_seconds())
            for row in batches_without_book(self.ledger, since):
                if not msgspec.convert(row["book"] or {}, BookOrder).asked:
                    continue
                if row["state"] in BATCH_OPEN:
                    self.look_at(row["id"])
                else:  # queued until it is made: Redis may lose a job
                    enqueue_book(self.connection, row["id"])
        else:
            for batch_id in self.ids:
                self.look_at(batch_id)

    def look_at(self, batch_id: str) -> None:
        chapters = finished_chapters(self.ledger, batch_id)
        if chapters - self.queued_for.get(batch_id, frozenset()):
            enqueue_book(self.connection, batch_id)
        self.queued_for[batch_id] = chapters

    def look_sometimes(self) -> None:
        """At most every LOOK_S."""
        if time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + LOOK_S
            self.look()
