"""The job of a book: what is finished of a batch is encoded, and when the batch has ended its files are made."""

from __future__ import annotations

import logging

from vvbatch.batch.assemble import Order, assemble, encode_finished
from vvbatch.errors import VvbatchError
from vvbatch.home import Home
from vvbatch.ledger.books import awaits_book, batch_is_open, note_no_book
from vvbatch.ledger.journal import ledger_of

log = logging.getLogger("vvbatch.books")


def make_book(batch_id: str, formats: list[str] | None, preset: str | None) -> None:
    """Can be killed at each step, and runs again without harm: what is encoded is found again.

    What keeps the book from being made is an event of the ledger, and the batch's next end is waited for.
    """
    home = Home.from_environment()
    order = Order(tuple(formats) if formats is not None else None, preset)
    ledger = ledger_of(home)
    try:
        if batch_is_open(ledger, batch_id):
            encode_finished(ledger, home, batch_id, order)
        elif awaits_book(ledger, batch_id):
            view = assemble(ledger, home, batch_id, order)
            log.info("book of %s: %s, %d files", batch_id, view.state, len(view.files))
            if view.missing:
                note_no_book(ledger, batch_id, f"{len(view.missing)} lines are missing")
    except Exception as error:
        if not batch_is_open(ledger, batch_id):
            note_no_book(ledger, batch_id, str(error))
        if not isinstance(error, VvbatchError):
            raise
        log.warning("book of %s: %s", batch_id, error)
    finally:
        ledger.close()
