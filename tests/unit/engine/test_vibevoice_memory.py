"""What loading costs, measured in a fresh process on a model large enough to see it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import VibeVoiceConfig

from tests.conftest import ROOT
from tests.support import tiny_model
from vvbatch.engine.bench.shapes import RandomWeights

pytestmark = pytest.mark.slow

LIMIT = 1.15
ALLOWANCE = 40 << 20  # libraries that are first touched while loading

LOAD = """
import json, sys
from pathlib import Path
import psutil, torch
from tests.support.vibevoice import profile
from vvbatch.engine.vibevoice import VibeVoiceEngine
from vvbatch.engine.vibevoice.device import peak_bytes
from vvbatch.engine.vibevoice.ops import Linear
torch.set_num_threads(1)
Linear(torch.ones(64, 64), None, torch.float32, torch.device("cpu"), 2)(torch.ones(2, 64))
before = psutil.Process().memory_info().rss
engine = VibeVoiceEngine.open(profile(Path(sys.argv[1]), slots=1, dtype=sys.argv[2]), Path(sys.argv[1]))
print(json.dumps([before, peak_bytes(), engine.facts.dtype]))
"""


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 100 million parameters, 0.4 GB in float32."""
    folder = tmp_path_factory.mktemp("medium")
    data = tiny_model.config().to_dict()
    larger = {"hidden_size": 512, "intermediate_size": 5000, "num_hidden_layers": 8, "vocab_size": 32_000}
    data["text_config"] = {**data["text_config"], **larger, "layer_types": None, "max_window_layers": 8}
    config = VibeVoiceConfig(**data)
    random = RandomWeights(config)
    save_file({name: random(name).clone().contiguous() for name in random.shapes}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    tiny_model.write_tokenizer(folder)
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_takes_little_more_memory_than_the_weights(medium: Path, dtype: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(medium), dtype], capture_output=True, text=True, cwd=ROOT, check=True
    )
    before, peak, used = json.loads(done.stdout.splitlines()[-1])
    assert used in (dtype, "float32")  # a CPU without bfloat16 falls back to float32
    weights = (medium / "model.safetensors").stat().st_size * torch.empty(0, dtype=getattr(torch, used)).itemsize / 4
    assert peak - before < LIMIT * weights + ALLOWANCE, (peak - before) / weights
