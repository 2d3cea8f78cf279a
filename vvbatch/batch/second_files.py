"""A take that was rejected or preferred has a second file, among the takes: its line's own is put back from that."""

from __future__ import annotations

from vvbatch.batch.output import line_name, open_store
from vvbatch.ledger import Ledger
from vvbatch.ledger.lines import kept_elsewhere
from vvbatch.ledger.recovery import file_location
from vvbatch.store import StoreError


def put_back(ledger: Ledger, line_id: str) -> bool:
    """Whether the line has its file again, from the other file of its take."""
    other, where = kept_elsewhere(ledger, line_id), file_location(ledger, line_id)
    if other is None or other.sha256 is None or where is None:
        return False
    name = line_name(where.batch_id, where.chapter, where.number, where.line)
    try:
        with open_store(where.out).stage_copy(other.path, name, other.sha256) as staged:
            staged.publish()
    except (OSError, StoreError):
        return False
    return True
