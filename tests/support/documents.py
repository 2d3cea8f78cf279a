"""What the ledger reads, as the documents that `--json` makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from vvbatch.ledger import listings, queries
from vvbatch.ledger import overview as overviews


def as_document(read: Callable[..., object]) -> Callable[..., Any]:
    return lambda *arguments, **named: msgspec.to_builtins(read(*arguments, **named))


batch_view = as_document(queries.batch_view)
batch_heads = as_document(queries.batch_heads)
batch_totals = as_document(queries.batch_totals)
failures = as_document(queries.failures)
list_batches = as_document(listings.list_batches)
list_lines = as_document(listings.list_lines)
list_takes = as_document(listings.list_takes)
metrics = as_document(listings.metrics)
overview = as_document(overviews.overview)
