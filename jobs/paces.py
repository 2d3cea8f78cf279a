"""How fast the lines of a batch are spoken, kept in the worker's memory: no line costs a query."""

from __future__ import annotations

from collections import OrderedDict

from vvbatch.ledger import Claim
from vvbatch.qc import Check
from vvbatch.qc.pace import Pace

VOICES_KNOWN = 256  # of batches: the one that was not asked about for longest is forgotten
TAKES_KNOWN = 500  # of each


class Paces:
    def __init__(self) -> None:
        self.known: OrderedDict[tuple[str, ...], Pace] = OrderedDict()

    def check(self, claim: Claim, speech_s: float | None, limit: float) -> list[Check]:
        """The check of a take against the good ones of its batch, model and voices; none when there are too few."""
        found = None if speech_s is None else self.of(claim).check(speech_s, claim.text, limit)
        return [found] if found else []

    def add(self, claim: Claim, speech_s: float | None) -> None:
        """A take that was kept."""
        if speech_s is not None:
            pace = self.of(claim)
            pace.add(speech_s, claim.text)
            del pace.logs[:-TAKES_KNOWN]

    def of(self, claim: Claim) -> Pace:
        voices = (f"{voice['sha256']} {voice['rate']}" for voice in claim.request["voices"])
        key = (claim.batch_id, claim.model, *voices)
        pace = self.known.setdefault(key, Pace())
        self.known.move_to_end(key)
        if len(self.known) > VOICES_KNOWN:
            self.known.popitem(last=False)
        return pace
