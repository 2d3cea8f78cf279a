"""`vvbatch models prove` on real workers: audio that is not VibeVoice's is off with causes; the ledger keeps it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.test_vibevoice import PROFILE
from tests.conftest import Shell
from vvbatch.proof.sentences import SENTENCES

pytest.importorskip("torch")
pytest.importorskip("faster_whisper")

from tests.support import tiny_model


def test_random_weights_are_off_until_the_profile_changes(shell: Shell, home: Path, tmp_path: Path) -> None:
    folder = tiny_model.make(tmp_path / "model", seed=2)
    file = tmp_path / "configs" / "tiny.yaml"
    file.write_text(PROFILE.format(folder=folder, dtype="float32"))

    def finding() -> dict[str, object]:
        found: list[dict[str, object]] = shell.json("doctor", code=None)
        return next(each for each in found if each["name"] == "proof of tiny")

    command = "vvbatch models prove tiny"
    assert finding()["value"] == "never proven on this machine" and finding()["remedy"] == command
    proof = shell.json("models", "prove", "tiny", "--voice", "alice", code=1)
    off = {each["name"] for each in proof["measures"] if not each["ok"]}
    assert proof["verdict"] == "off" and {"word_errors", "similarity", "pace"} <= off
    assert "extra_samples" not in off  # the tiny model has VibeVoice's frames
    assert "weights" in proof["causes"][0]["cause"]
    assert len(proof["lines"]) == len(SENTENCES) == 12 and all(line["measures"] for line in proof["lines"])
    (batch,) = shell.json("ledger", "batches", "--kind", "proof")
    assert batch["batch"] == proof["batch"]
    rows = shell.json("ledger", "query", "SELECT batch_id, detail FROM events WHERE kind = 'proof'")
    assert [row["batch_id"] for row in rows] == [proof["batch"]]
    found = finding()
    assert not found["ok"] and "word_errors" in str(found["value"]) and found["remedy"] == command
    file.write_text(file.read_text().replace("golden: 1.3", "golden: 1.4"))
    assert finding()["ok"] and "changed" in str(finding()["value"])


def test_the_draft_voice_speaks_well_and_is_off_as_another_engine(shell: Shell, home: Path) -> None:
    done = shell("models", "prove", "draft", code=1)
    table = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "off, 12 outside" in table["extra_samples"] and "off" not in table["word_errors"]
    assert "engine 'draft'" in done.stdout and "verdict" in table and "12/12" in done.stderr
    again = shell.json("models", "prove", "draft", code=1)
    assert {each["name"]: each["outside"] for each in again["measures"]}["takes"] == 0
    takes = shell.json("ledger", "takes", "--batch", again["batch"])
    assert {take["state"] for take in takes} == {"done"}  # rendered again, not served from the first proof


def test_what_cannot_be_proven_is_refused_before_anything_is_recorded(shell: Shell, home: Path) -> None:
    assert "unknown voice 'nobody'" in shell("models", "prove", "draft", "--voice", "nobody", code=2).stderr
    assert "unknown" in shell("models", "prove", "nothing", code=2).stderr
    assert "vvbatch models pull 1.5b" in shell("models", "prove", "1.5b", code=3).stderr
    assert json.loads(shell("ledger", "batches", "--kind", "proof", "--json").stdout) == []
