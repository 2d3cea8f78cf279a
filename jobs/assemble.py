"""The job of a book: what is finished of a batch is encoded, and when the batch has ended its files are made."""

from __future__ import annotations

import logging

from sqlalchemy.exc import DBAPIError

from vvbatch.batch.assemble import assemble_awaited, encode_finished
from vvbatch.errors import VvbatchError
from vvbatch.home import Home
from vvbatch.ledger.books import awaits_book, batch_is_open, note_no_book
from vvbatch.ledger.journal import ledger_of

log = logging.getLogger("vvbatch.books")


def make_book(batch_id: str) -> None:
    """Can be killed at each step, and runs again without harm: what is encoded is found again.

    What keeps the book of a batch that has ended from being made is an event of the ledger, and the book is not tried
    again before a line is rendered again. An outage of the ledger is no such reason: a batch that has ended still
    awaits its book, and gets another job. Of an open one the chapters are encoded later, at the latest when it ends.
    """
    home = Home.from_environment()
    ledger = ledger_of(home)
    begun = ledger.now()
    try:
        if batch_is_open(ledger, batch_id):
            encode_finished(ledger, home, batch_id)
        elif awaits_book(ledger, batch_id) and (view := assemble_awaited(ledger, home, batch_id)):
            log.info("book of %s: %s, %d files", batch_id, view.state, len(view.files))
            for warning in view.warnings:
                log.warning("book of %s: %s", batch_id, warning)
            if view.missing:
                note_no_book(ledger, batch_id, f"{len(view.missing)} lines are missing", begun)
    except DBAPIError as error:
        log.warning("book of %s: the ledger does not answer: %s", batch_id, error.orig)
    except Exception as error:
        note_no_book(ledger, batch_id, str(error), begun)
        if not isinstance(error, VvbatchError):
            raise
        log.warning("book of %s: %s", batch_id, error)
    finally:
        ledger.close()
