"""Which profiles were proven on this machine, by `vvbatch models prove`."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.home import Home
from vvbatch.models.inventory import describe
from vvbatch.models.snapshot import hub_cache
from vvbatch.proof.record import hash_of, newest
from vvbatch.support.doctor.finding import Finding
from vvbatch.support.doctor.holdings import readable
from vvbatch.support.doctor.services import open_ledger


def proofs(home: Home) -> Iterator[Finding]:
    """A finding for each VibeVoice profile whose model is complete and which can run here."""
    try:
        hub_cache()
    except EngineUnavailable:
        return  # reported by `disks`
    ledger = open_ledger(home)
    try:
        for profile in readable():
            row = describe(profile, home.cache / "models")
            if profile.engine != "vibevoice" or row.state != "complete" or not row.device:
                continue
            name, remedy = f"proof of {profile.name}", f"vvbatch models prove {profile.name}"
            proof = newest(ledger, profile.name, platform.node()) if ledger else None
            if proof is None:
                yield Finding(name, True, "never proven on this machine", remedy)
            elif proof.control_hash != hash_of(profile):
                yield Finding(name, True, "the profile has changed since it was proven", remedy)
            elif proof.verdict == "off":
                off = ", ".join(each.name for each in proof.measures if not each.ok)
                yield Finding(name, False, f"off: {off}; likely: {proof.causes[0].cause}", remedy)
            else:
                yield Finding(name, True, f"good, with voice {proof.voice}: batch {proof.batch}")
    finally:
        if ledger:
            ledger.close()
