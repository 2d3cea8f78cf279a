"""The ledger keeps proofs; the newest of a profile on a machine is found."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from vvbatch import profiles
from vvbatch.ledger.journal import Journal, journalled
from vvbatch.proof.measure import Measures
from vvbatch.proof.record import Proof, ProofLine, hash_of, newest, record
from vvbatch.proof.verdict import Cause, judge

TAKE = Measures(
    level_dbfs=-25.0,
    peak_dbfs=-7.5,
    floor_dbfs=-80.0,
    leading_s=0.2,
    trailing_s=0.04,
    s_per_char=None,
    extra_samples=0,
    bandwidth=1.0,
    words=18,
    word_errors=0,
    similarity=0.82,
)
PROOF = Proof(
    profile="1.5b",
    verdict="off",
    voice="alice",
    batch="proof-of-1-5b-1",
    machine="studio",
    control_hash="1",
    engine="vibevoice 1",
    model="microsoft/VibeVoice-1.5B",
    revision="2",
    device="cpu",
    dtype="float32",
    measures=judge([TAKE, None]),
    causes=[Cause("c", "r")],
    lines=[ProofLine("l", "t", "/out/l.wav", None, TAKE)],
)


def test_the_newest_proof_of_a_profile_and_a_machine_is_found(tmp_path: Path) -> None:
    ledger = journalled(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", Journal(tmp_path / "journal.jsonl"))
    assert newest(ledger, "1.5b", "studio") is None
    replace = msgspec.structs.replace
    for proof in (
        replace(PROOF, batch="older"),
        PROOF,
        replace(PROOF, machine="laptop"),
        replace(PROOF, profile="7b", verdict="good"),
    ):
        record(ledger, proof)
    assert newest(ledger, "1.5b", "studio") == replace(PROOF, lines=[])
    assert newest(ledger, "7b", "laptop") is None
    ledger.close()
    written = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [(entry["kind"], entry["batch"]) for entry in written][:2] == [("proof", "older"), ("proof", PROOF.batch)]


def test_the_hash_of_a_profile_follows_what_its_sound_depends_on() -> None:
    profile = profiles.load("1.5b")
    replace = msgspec.structs.replace
    assert hash_of(profile) == hash_of(replace(profile, title="another", takes=3))
    assert hash_of(profile) != hash_of(replace(profile, dtype="bfloat16"))
    assert hash_of(profile) != hash_of(replace(profile, model=replace(profile.model, revision="main")))
