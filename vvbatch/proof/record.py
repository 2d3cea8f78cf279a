"""The result of a proof, and how the ledger keeps it: as the detail of an event."""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import select

from vvbatch.batch.line_request import Params
from vvbatch.batch.plan import control_hash
from vvbatch.ledger import Ledger
from vvbatch.ledger.schema import events
from vvbatch.profiles import Profile
from vvbatch.proof.measure import Measures
from vvbatch.proof.verdict import Cause, Judged

EVENT = "proof"
"""The kind of the event."""


class ProofLine(msgspec.Struct, frozen=True):
    """A sentence's first take; without audio, `error` says why."""

    line: str
    take: str
    path: str | None
    error: str | None
    measures: Measures | None


class Proof(msgspec.Struct, frozen=True):
    """The result of a proof. `lines` are not recorded: they are in the batch."""

    profile: str
    verdict: Literal["good", "off"]
    voice: str
    batch: str
    machine: str
    control_hash: str  # of the profile with its own parameters: another one was not proven
    engine: str
    model: str
    revision: str
    device: str
    dtype: str
    measures: list[Judged]
    causes: list[Cause]
    lines: list[ProofLine] = []


def hash_of(profile: Profile) -> str:
    """The control hash of the profile with its own parameters."""
    own = profile.generation
    params = Params(own.cfg_scale.golden, int(own.steps.golden), own.temperature.golden, None, golden=True)
    return control_hash(profile, params)


def record(ledger: Ledger, proof: Proof) -> None:
    """Write the proof to the ledger and the journal."""
    detail = msgspec.to_builtins(msgspec.structs.replace(proof, lines=[]))
    with ledger.transaction() as connection:
        ledger.note(connection, EVENT, batch_id=proof.batch, detail=detail)


def newest(ledger: Ledger, profile: str, machine: str) -> Proof | None:
    """The newest proof of a profile on a machine; None if there is none."""
    query = select(events.c.detail).where(events.c.kind == EVENT).order_by(events.c.at.desc())
    with ledger.engine.connect() as connection:
        for detail in connection.execute(query).scalars():
            proof = msgspec.convert(detail, Proof)
            if (proof.profile, proof.machine) == (profile, machine):
                return proof
    return None
