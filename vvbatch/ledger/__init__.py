"""The ledger: the durable truth about batches, lines and takes. Redis only carries what it says."""

from vvbatch.ledger.database import LedgerError
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import CachedTake, Claim, NewBatch, Outcome

__all__ = ["CachedTake", "Claim", "Ledger", "LedgerError", "NewBatch", "Outcome"]
