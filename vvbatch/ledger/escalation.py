"""A line whose takes have all failed goes to another profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import Claim, Outcome


def escalate(
    ledger: Ledger,
    claim: Claim,
    error: str,
    closing: Sequence[tuple[str, Outcome]],
    tried: Sequence[Mapping[str, Any]],
) -> bool:
    """The line waits for the profile that `claim.escalate` names, as it was planned when it was submitted.

    Counts and seeds begin anew, attempts are counted on. False when the claim has been lost.
    """
    other = claim.escalate
    assert other is not None
    planned: dict[str, Any] = {name: other[name] for name in ("model", "key", "control_hash", "takes")}
    planned["request"] = {**claim.request, "seed": other["seed"], "params": other["params"]}
    anew: dict[str, Any] = {"rolls": 0, "crashes": 0, "suspicion": 0, "troubles": None}
    return ledger.release(
        claim, "queued", error, closing, trouble="qc", escalate=None, tried=list(tried), **planned, **anew
    )
