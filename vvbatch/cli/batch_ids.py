"""Completion of batch ids on the command line."""

from __future__ import annotations

import click


def complete_batch(_context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    """The newest batches whose id starts with `start`; none when there is no ledger yet."""
    from vvbatch.home import Home, HomeError
    from vvbatch.ledger import LedgerError
    from vvbatch.ledger.sql import QueryError, query

    try:
        found = query(Home.from_environment().ledger_url, "SELECT id FROM batches ORDER BY created_at DESC", 500, 2)
    except (HomeError, LedgerError, QueryError):
        return []
    return [batch_id for (batch_id,) in found.rows if batch_id.startswith(start)][:50]
