"""A tiny VibeVoice model, the real architecture, on the whole way: script → Redis → worker → engine → WAV → ledger."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from tests.conftest import Shell
from vvbatch.engine.vibevoice.device import bfloat16_on_cpu

pytest.importorskip("torch")

from tests.support import tiny_model

# Random weights babble: the checks run, but their limits let everything through that is audio at all.
PROFILE = """
title: A tiny model
engine: vibevoice
model: {{repo: "{folder}", revision: local}}
device: cpu
dtype: {dtype}
threads: 1
slots: 4
generation:
  cfg_scale: {{golden: 1.3, min: 1.0, max: 3.0}}
  steps: {{golden: 4, min: 2, max: 20}}
  voice_seed: 0
text: {{max_chars: 5000}}
qc: {{dc_offset: 9, clipped_share: 1, silence_dbfs: -200, speech_share: 0, end_level_db: 200, min_s_per_char: 0,
     max_s_per_char: 9, duration_grace_s: 60, leading_silence_s: 60, trailing_silence_s: 60, inner_silence_s: 60,
     start_level_db: 200, true_peak_dbtp: 200, loudness_min_lufs: -200, loudness_max_lufs: 200, noise_floor_dbfs: 200,
     clicks: 100000, dropouts: 100000, bandwidth_hz: 0, repeated_s: 1000, s_per_syllable_min: 0,
     s_per_syllable_max: 100, s_per_word_max: 100}}
"""


@pytest.fixture
def tiny(home: Path, tmp_path: Path) -> None:
    """Profiles `tiny` and `tiny-bf16` of one model, whose lines end by themselves."""
    folder = tiny_model.make(tmp_path / "model", seed=2)
    for name, dtype in (("tiny", "float32"), ("tiny-bf16", "bfloat16")):
        (tmp_path / "configs" / f"{name}.yaml").write_text(PROFILE.format(folder=folder, dtype=dtype))


def write_script(path: Path, count: int) -> Path:
    lines: list[object] = [f"The lamp went out, and this is line number {number}." for number in range(count)]
    lines.append({"dialogue": [{"mara": "You came back."}, {"narrator": "I said I would."}], "id": "talk"})
    path.write_text(json.dumps({"version": 1, "speakers": {"mara": {"voice": "alice"}}, "lines": lines}))
    return path


@pytest.mark.parametrize("model", ["tiny", "tiny-bf16"])
def test_a_script_renders_through_a_worker_with_everything_in_the_ledger(
    shell: Shell, tiny: None, tmp_path: Path, model: str
) -> None:
    path = write_script(tmp_path / "script.yaml", 6)
    view = shell.json("run", str(path), "--model", model, "--out", str(tmp_path / "out"), code=None)
    assert Counter(line["state"] for line in view["lines"])["done"] >= 5  # random weights may babble on to the budget
    takes = shell.json("ledger", "takes", "--batch", view["batch"], "--state", "done")
    for take in takes:
        info = soundfile.info(take["path"])
        assert (info.samplerate, info.subtype, info.frames % 3200) == (24_000, "PCM_16", 0)
        assert take["first_chunk_s"] <= take["wall_s"]
        half = "bfloat16" if bfloat16_on_cpu() else "float32"  # float32 where the CPU lacks the instructions
        assert take["dtype"] == {"tiny": "float32", "tiny-bf16": half}[model]
        assert take["device"] == "cpu"
    for line in view["lines"]:
        if line["state"] == "failed":
            assert "budget" in line["error"] or "duration_max" in line["error"]


def test_a_line_sounds_the_same_alone_as_in_a_crowd(shell: Shell, tiny: None, tmp_path: Path) -> None:
    crowd = shell.json("run", str(write_script(tmp_path / "crowd.yaml", 6)), "--model", "tiny", code=None)
    alone = tmp_path / "alone.yaml"
    alone.write_text(json.dumps({"version": 1, "lines": ["The lamp went out, and this is line number 3."]}))
    among = next(line for line in crowd["lines"] if line["sha256"] and line["id"] == crowd["lines"][3]["id"])
    shell.json("ledger", "takes", "--batch", crowd["batch"])
    Path(among["path"]).unlink()  # or the line would be served from its file
    again = shell.json("run", str(alone), "--model", "tiny")
    assert again["counts"]["done"] == 1
    assert again["lines"][0]["sha256"] == among["sha256"]


def test_nothing_is_queued_for_an_incomplete_snapshot(shell: Shell, tiny: None, tmp_path: Path) -> None:
    (tmp_path / "model" / "model.safetensors").unlink()
    done = shell("run", str(write_script(tmp_path / "script.yaml", 2)), "--model", "tiny", code=3)
    assert "model.safetensors" in done.stderr or "safetensors" in done.stderr
    assert shell.json("ledger", "batches") == []
