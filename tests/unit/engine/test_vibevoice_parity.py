"""The engine against the original: against its recorded outputs when they are at hand, always against its plain
rewriting."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
import torch
from transformers import VibeVoiceForConditionalGeneration

from tests.conftest import ROOT
from tests.support import plain_engine, tiny_model
from tests.support.vibevoice import profile, request, voice
from vvbatch.engine.bench import parity
from vvbatch.engine.contract import Finished
from vvbatch.engine.vibevoice import VibeVoiceEngine

pytestmark = pytest.mark.slow  # with what it imports, which takes seconds in each process

REFERENCES = sorted((ROOT.parent / "shared" / "reference").glob("tiny-*"))


@pytest.mark.slow
@pytest.mark.skipif(not REFERENCES, reason="the reference models are not here")
@pytest.mark.parametrize("folder", REFERENCES, ids=lambda folder: folder.name)
def test_the_engine_says_what_the_original_said(folder: Path) -> None:
    cases = parity.parity(folder)
    assert {(case.case, case.slots > 1) for case in cases} == {
        (name, many) for name in ("one", "two") for many in (0, 1)
    }
    for case in cases:
        assert case.prompt_equal, case
        assert case.tokens_equal, case
        assert case.latents_max_err is not None, case
        assert case.latents_max_err < 2e-2, case
        assert case.audio_max_err is not None, case
        assert case.audio_max_err < 5e-2, case


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "calm", "tokens", "frames"), [(1, True, 10, 10), (4, True, 14, 4), (1, False, 3, 3), (3, False, 3, 3)]
)
def test_the_engine_says_what_transformers_modules_say_one_line_at_a_time(
    seed: int, calm: bool, tokens: int, frames: int, tmp_path: Path
) -> None:
    """All tokens are compared, and the first `frames` latents: from there on a random model makes 0.2 of a difference
    in the last bit of its weights."""
    folder = tiny_model.make(tmp_path / "model", seed=seed, calm=calm)
    model = VibeVoiceForConditionalGeneration(tiny_model.config()).eval()
    model.load_state_dict(tiny_model.tensors(seed, calm))
    engine = VibeVoiceEngine.open(profile(folder, slots=3), tmp_path / "cache")
    engine.keep_latents = True
    cast = [voice(tmp_path, "alice", 4, seed=1), voice(tmp_path, "bob", 7, seed=2)]
    asked = [
        request("one", cast[:1], seed=11, steps=10, max_duration_s=None),
        request("two", cast, "So it is.", seed=12, steps=10, max_duration_s=None),
    ]
    lines = {one.id: engine.start(one, max_tokens=tokens) for one in asked}
    ended = 0
    while ended < len(asked):
        ended += sum(isinstance(event, Finished) for event in engine.step())
    for one in asked:
        line = lines[one.id]
        prompt = line.prompt.prefix + line.prompt.text
        waves = [soundfile.read(one_voice.path, dtype="float32")[0] for one_voice in one.voices]
        plain = plain_engine.render(model, engine.tokens, prompt, waves, one.seed, tokens)
        assert line.tokens == plain.tokens
        assert line.frames > 0
        found, expected = torch.stack(line.latents), torch.stack(plain.latents)
        assert found.shape == expected.shape
        torch.testing.assert_close(found[:frames], expected[:frames], atol=2e-2, rtol=0)
