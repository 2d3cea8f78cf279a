from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support import hub_cache, tiny_model
from tests.support.vibevoice import profile as profile_of
from vvbatch import profiles
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.engine.vibevoice import convert as converting
from vvbatch.engine.vibevoice.checkpoint import Checkpoint
from vvbatch.engine.vibevoice.convert import convert
from vvbatch.models import memory
from vvbatch.models.integrity import profile_problems
from vvbatch.profiles import Profile

pytestmark = pytest.mark.slow  # with what it imports, which takes seconds in each process


@pytest.fixture
def profile(tmp_path: Path, cache: Path) -> Profile:
    return profiles.read(hub_cache.write_profile(tmp_path / "configs"))


@pytest.mark.slow
def test_transformers_loads_a_converted_model(profile: Profile, cache: Path, tmp_path: Path) -> None:
    from transformers import VibeVoiceForConditionalGeneration

    folder = convert(profile, tmp_path / "hf")
    model, report = VibeVoiceForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    original = Checkpoint(hub_cache.snapshot_of(cache))
    assert all(tensor.equal(original.tensor(name)) for name, tensor in model.state_dict().items())
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_converted_model_is_complete_for_the_engine(profile: Profile, tmp_path: Path) -> None:
    folder = convert(profile, tmp_path / "hf")
    mine = profile_of(folder)
    assert profile_problems(mine, tmp_path / "manifests") == []
    with pytest.raises(EngineUnavailable, match="has transformers' layout already"):
        convert(mine, tmp_path / "again")
    with pytest.raises(EngineUnavailable, match="exists already"):
        convert(profile, folder)


def test_a_conversion_that_differs_is_not_kept(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = converting.rename_tensors

    def lossy(source: Path, target: Path) -> None:
        honest(source, target)
        data = bytearray(target.read_bytes())
        data[-1] ^= 1
        target.write_bytes(data)

    monkeypatch.setattr(converting, "rename_tensors", lossy)
    with pytest.raises(EngineUnavailable, match="the converted model differs"):
        convert(profile, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()
    assert not list(tmp_path.glob(".tmp-*"))


def test_the_memory_computed_without_torch_equals_the_engines(tmp_path: Path) -> None:
    from vvbatch.engine.vibevoice import device

    for layout in ("original", "transformers"):
        folder = tiny_model.make(tmp_path / layout, layout)
        cpu, checkpoint = torch.device("cpu"), Checkpoint(folder)
        for dtype, where in (
            ("float16", device.Placement(cpu, torch.float16, torch.float32)),
            ("int8", device.Placement(cpu, torch.bfloat16, torch.bfloat16, int8=True)),
        ):
            assert memory.of_snapshot(folder, dtype, 3) == device.needed_bytes(checkpoint, where, 3)
        assert memory.of_snapshot(folder, "int8", 3) < memory.of_snapshot(folder, "bfloat16", 3)


def test_bfloat16_and_int8_of_this_cpu_are_detected_without_torch() -> None:
    from vvbatch import machine
    from vvbatch.engine.vibevoice import device
    from vvbatch.engine.vibevoice.ops import int8_products

    assert machine.bfloat16_on_cpu() == device.bfloat16_on_cpu()
    assert machine.int8_on_cpu() == int8_products()
