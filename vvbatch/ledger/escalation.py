"""A line whose takes have all failed goes to another profile."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import Claim, Outcome, TriedTake
from vvbatch.ledger.states import LineState, Trouble


def escalate(
    ledger: Ledger,
    claim: Claim,
    error: str,
    closing: Sequence[tuple[str, Outcome]],
    tried: Sequence[TriedTake],
) -> bool:
    """The line waits for the profile that `claim.escalate` names, as it was planned when it was submitted.

    Counts and seeds start again at zero, attempts do not. False when the claim has been lost.
    """
    other = claim.escalate
    assert other is not None
    request = msgspec.structs.replace(claim.request, seed=other.seed, params=other.params)
    return ledger.release(
        claim,
        LineState.QUEUED,
        error,
        closing,
        trouble=Trouble.QC,
        tried=list(tried),
        model=other.model,
        key=other.key,
        control_hash=other.control_hash,
        takes=other.takes,
        request=request,
        escalate=None,
        rolls=0,
        crashes=0,
        suspicion=0,
        troubles=None,
    )
