from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import VibeVoiceForConditionalGeneration

from tests.support import tiny_model
from tests.support.vibevoice import profile, render, request, voice
from vvbatch.engine.bench import shapes
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.engine.vibevoice import VibeVoiceEngine
from vvbatch.engine.vibevoice.checkpoint import Checkpoint, read_config
from vvbatch.engine.vibevoice.tensors import expected_shapes
from vvbatch.models.layout import transformers_name
from vvbatch.models.snapshot import snapshot

pytestmark = pytest.mark.slow  # with what it imports, which takes seconds in each process


def test_every_original_name_is_found_under_its_transformers_name() -> None:
    for name in expected_shapes(tiny_model.config()):
        assert transformers_name(tiny_model.original_name(name)) == name


@pytest.mark.slow
def test_both_layouts_sharded_or_not_render_the_same_bits(tmp_path: Path) -> None:
    alice = voice(tmp_path)
    audio = []
    for number, (layout, shards) in enumerate(
        [("original", 1), ("original", 3), ("transformers", 1), ("transformers", 2)]
    ):
        folder = tiny_model.make(tmp_path / str(number), layout, shards)
        engine = VibeVoiceEngine.open(profile(folder), tmp_path / "cache")
        audio.append(render(engine, [request("a", [alice])])["a"].audio)
    assert len(audio[0]) > 0
    assert all((other == audio[0]).all() for other in audio[1:])


def test_missing_extra_and_misshaped_tensors_are_all_listed(tmp_path: Path) -> None:
    folder = tiny_model.make(tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    del weights["model.language_model.norm.weight"]
    weights["model.surprise"] = torch.zeros(2)
    weights["model.semantic_connector.fc1.weight"] = torch.zeros(3, 3)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(EngineUnavailable) as error:
        Checkpoint(folder)
    message = str(error.value)
    assert "missing model.language_model.norm.weight [32]" in message
    assert "unexpected model.surprise [2]" in message
    assert "model.semantic_connector.linear_1.weight is [3, 3], should be [32, 12]" in message


def test_a_pickled_checkpoint_is_not_read(tmp_path: Path) -> None:
    folder = tiny_model.make(tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EngineUnavailable, match=r"no model\.safetensors"):
        Checkpoint(folder)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    folder = tiny_model.make(tmp_path / "cut")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(EngineUnavailable, match=r"model\.safetensors cannot be read"):
        Checkpoint(folder)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = tiny_model.make(tmp_path / "shards", shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(EngineUnavailable, match=r"model-00002-of-00002\.safetensors is missing"):
        Checkpoint(folder)


def test_an_index_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    folder = tiny_model.make(tmp_path / "index", shards=2)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../model.safetensors"}}))
    with pytest.raises(EngineUnavailable, match="not in this folder"):
        Checkpoint(folder)


def test_a_snapshot_is_found_in_the_cache_by_repo_and_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "a" * 40
    folder = tiny_model.make(tmp_path / "models--owner--name" / "snapshots" / commit)
    (folder.parent.parent / "refs").mkdir()
    (folder.parent.parent / "refs" / "main").write_text(commit)
    assert snapshot("owner/name", commit).samefile(folder)
    assert snapshot("owner/name", "main").samefile(folder)
    with pytest.raises(EngineUnavailable, match="owner/other at revision main is not on this machine"):
        snapshot("owner/other", "main")


def test_a_tokenizer_may_live_in_a_repo_of_its_own(tmp_path: Path) -> None:
    model, tokenizer = tiny_model.make(tmp_path / "model"), tmp_path / "tokenizer"
    tokenizer.mkdir()
    (model / "tokenizer.json").rename(tokenizer / "tokenizer.json")
    asked = profile(model)
    with pytest.raises(EngineUnavailable, match=r"tokenizer\.json is missing"):
        VibeVoiceEngine.open(asked, tmp_path)
    import msgspec

    elsewhere = msgspec.structs.replace(asked.model, tokenizer_repo=str(tokenizer), tokenizer_revision="main")
    VibeVoiceEngine.open(msgspec.structs.replace(asked, model=elsewhere), tmp_path).close()


@pytest.mark.parametrize(
    "change",
    [
        {"decoder_config": {}},
        {"diffusion_head_config": {"prediction_type": "epsilon"}},
        {"acoustic_tokenizer_config": 3},
    ],
)
def test_a_config_that_is_not_a_vibevoice_models_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    folder = tiny_model.make(tmp_path / "odd")
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(EngineUnavailable, match=r"config\.json"):
        Checkpoint(folder)


@pytest.mark.parametrize("shape", ["1.5b", "7b"])
def test_the_published_configurations_are_the_shapes_that_benchmarks_build(tmp_path: Path, shape: str) -> None:
    """microsoft/VibeVoice-1.5B ties its embeddings in `decoder_config`; WestZhang's and aoi-ot's Large says at the top
    level that it does not."""
    small = shape == "1.5b"
    size, width, heads, shared = (1536, 8960, 12, 2) if small else (3584, 18944, 28, 4)
    data = tiny_model.original_config()
    tokenizer: dict[str, object] = {
        "encoder_ratios": [8, 5, 5, 4, 2, 2],
        "encoder_depths": "3-3-3-3-3-3-8",
        "encoder_n_filters": 32,
    }
    tokenizer |= {"decoder_ratios": [8, 5, 5, 4, 2, 2], "decoder_n_filters": 32, "layer_scale_init_value": 1e-6}
    data["acoustic_tokenizer_config"] |= {**tokenizer, "vae_dim": 64}
    data["semantic_tokenizer_config"] |= {**tokenizer, "vae_dim": 128}
    del data["semantic_tokenizer_config"]["decoder_ratios"], data["semantic_tokenizer_config"]["decoder_n_filters"]
    data["diffusion_head_config"] |= {"hidden_size": size, "head_layers": 4, "head_ffn_ratio": 3.0, "latent_size": 64}
    text = {"hidden_size": size, "intermediate_size": width, "num_attention_heads": heads, "num_hidden_layers": 28}
    text |= {"num_key_value_heads": shared, "vocab_size": 151936 if small else 152064}
    data["decoder_config"] |= text
    del data["decoder_config"]["tie_word_embeddings"]
    if small:
        data["decoder_config"]["tie_word_embeddings"] = True
    else:
        data["tie_word_embeddings"] = False
    (tmp_path / "config.json").write_text(json.dumps(data))
    assert expected_shapes(read_config(tmp_path)) == expected_shapes(shapes.config(shape))


@pytest.mark.parametrize("shape", ["tiny", "1.5b", "7b"])
def test_the_expected_tensors_are_those_of_transformers_model(shape: str) -> None:
    config = shapes.config(shape)
    with torch.device("meta"):
        state = VibeVoiceForConditionalGeneration(config).state_dict()
    if config.text_config.tie_word_embeddings:
        del state["lm_head.weight"]
    assert expected_shapes(config) == {name: tuple(tensor.shape) for name, tensor in state.items()}
