"""A real VibeVoice model of about 0.6 MB, made on the spot: true architecture and frame length, random weights, in
either layout, with a byte-level tokenizer. It speaks a second or two and stops by itself.

    python -m tests.support.tiny_model FOLDER [original|transformers]
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import VibeVoiceConfig, VibeVoiceForConditionalGeneration

CONTROL = ("<|endoftext|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>")
VOCABULARY = 264
SIZE, LATENT, FEATURES = 32, 8, 12
RATIOS = [2, 2, 4, 5, 5, 8]
DEPTHS = [1, 1, 1, 1, 1, 1, 2]

# transformers' name to the original's, the way back of vvbatch.models.layout.RENAMES
BACK: tuple[tuple[str, str], ...] = (
    (r"\.mixer\.conv\.", ".mixer.conv.conv.conv."),
    (r"(encoder|decoder)\.head\.conv\.", r"\1.head.conv.conv."),
    (r"encoder\.stem\.conv\.conv\.", "encoder.downsample_layers.0.0.conv.conv."),
    (r"decoder\.stem\.conv\.conv\.", "decoder.upsample_layers.0.0.conv.conv."),
    (r"\.stem\.stage\.", ".stages.0."),
    (r"\.conv_layers\.(\d+)\.conv\.conv\.", r".downsample_layers.+\1.0.conv.conv."),
    (r"\.conv_layers\.(\d+)\.convtr\.convtr\.", r".upsample_layers.+\1.0.convtr.convtr."),
    (r"\.conv_layers\.(\d+)\.stage\.", r".stages.+\1."),
    (r"^model\.audio_tower\.", "model.acoustic_tokenizer."),
    (r"^model\.semantic_tokenizer_encoder\.", "model.semantic_tokenizer.encoder."),
    (r"(multi_modal_projector|semantic_connector)\.linear_(\d)\.", r"\1.fc\2."),
    (r"(multi_modal_projector|semantic_connector)\.act\.", r"\1.norm."),
    (r"^model\.multi_modal_projector\.", "model.acoustic_connector."),
    (r"^model\.latent_(scaling|bias)_factor$", r"model.speech_\1_factor"),
    (r"diffusion_head\.timestep_proj\.fc1\.", "diffusion_head.t_embedder.mlp.0."),
    (r"diffusion_head\.timestep_proj\.fc2\.", "diffusion_head.t_embedder.mlp.2."),
    (r"(diffusion_head\.layers\.\d+)\.linear\.", r"\1.adaLN_modulation.1."),
    (r"diffusion_head\.final_layer\.linear_1\.", "diffusion_head.final_layer.adaLN_modulation.1."),
    (r"diffusion_head\.final_layer\.linear_2\.", "diffusion_head.final_layer.linear."),
    (r"^model\.diffusion_head\.", "model.prediction_head."),
)


def original_name(name: str) -> str:
    for pattern, replacement in BACK:
        name = re.sub(pattern, replacement, name)
    return re.sub(r"\.\+(\d+)\.", lambda found: f".{int(found[1]) + 1}.", name)


def config() -> VibeVoiceConfig:
    tokenizer = {
        "num_filters": 1,
        "depths": DEPTHS,
        "downsampling_ratios": RATIOS,
        "layer_scale_init_value": 0.5,
        "rms_norm_eps": 1e-5,
    }
    return VibeVoiceConfig(
        text_config={
            "model_type": "qwen2",
            "hidden_size": SIZE,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 65536,
            "rope_theta": 1e6,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": False,
        },
        audio_config={
            "model_type": "vibevoice_acoustic_tokenizer",
            "hidden_size": LATENT,
            "vae_std": 0.625,
            **tokenizer,
        },
        semantic_model_config={
            "model_type": "vibevoice_acoustic_tokenizer_encoder",
            "hidden_size": FEATURES,
            **tokenizer,
        },
        diffusion_head_config={"num_hidden_layers": 2, "intermediate_size": 64, "rms_norm_eps": 1e-5},
        audio_bos_token_id=257,
        audio_eos_token_id=258,
        audio_token_id=259,
        eos_token_id=256,
        pad_token_id=256,
    )


def original_config() -> dict[str, Any]:
    tokenizer = {
        "causal": True,
        "channels": 1,
        "conv_bias": True,
        "conv_norm": "none",
        "decoder_depths": None,
        "decoder_n_filters": 1,
        "decoder_ratios": RATIOS[::-1],
        "disable_last_norm": True,
        "encoder_depths": "-".join(map(str, DEPTHS)),
        "encoder_n_filters": 1,
        "encoder_ratios": RATIOS[::-1],
        "layer_scale_init_value": 0.5,
        "layernorm": "RMSNorm",
        "layernorm_eps": 1e-5,
        "mixer_layer": "depthwise_conv",
        "pad_mode": "constant",
    }
    text = config().text_config.to_dict()
    names = ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"]
    names += ("vocab_size", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings", "model_type")
    return {
        "model_type": "vibevoice",
        "acoustic_tokenizer_config": {
            **tokenizer,
            "model_type": "vibevoice_acoustic_tokenizer",
            "vae_dim": LATENT,
            "fix_std": 0.5,
        },
        "semantic_tokenizer_config": {
            **tokenizer,
            "model_type": "vibevoice_semantic_tokenizer",
            "vae_dim": FEATURES,
            "fix_std": 0,
        },
        "decoder_config": {**{name: text[name] for name in names}, "rope_theta": 1e6, "torch_dtype": "float32"},
        "diffusion_head_config": {
            "model_type": "vibevoice_diffusion_head",
            "hidden_size": SIZE,
            "head_layers": 2,
            "head_ffn_ratio": 2.0,
            "latent_size": LATENT,
            "prediction_type": "v_prediction",
            "ddpm_beta_schedule": "cosine",
            "rms_norm_eps": 1e-5,
        },
    }


def tensors(seed: int, calm: bool = False) -> dict[str, Tensor]:
    """Random weights by transformers' names; the first hidden dimension is a constant, with which the output layer
    prefers frames over the other tokens. Random nets amplify: a difference in the last bit fills the audio within 8
    frames. In a calm model one frame moves the next less, so that two implementations can be compared for longer; it
    may not end by itself."""
    torch.manual_seed(seed)
    with torch.no_grad():
        model = VibeVoiceForConditionalGeneration(config()).eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=(parameter[0].numel()) ** -0.5)
            elif name.endswith("bias"):
                parameter.normal_(std=0.05)
        inner = model.model
        inner.language_model.embed_tokens.weight[:, 0] = 2.0
        for layer in inner.language_model.layers:
            layer.self_attn.o_proj.weight[0] = 0
            layer.mlp.down_proj.weight[0] = 0
        for connector in (inner.multi_modal_projector, inner.semantic_connector):
            connector.linear_2.weight.mul_(0.1 if calm else 1.0)
            connector.linear_2.weight[0] = 0
            connector.linear_2.bias[0] = 1.0
        for part in inner.audio_tower.decoder.head.conv.parameters():
            part.mul_(0.05)
        inner.latent_scaling_factor.fill_(0.2)
        inner.latent_bias_factor.fill_(-0.05)
        model.lm_head.weight[256:260].mul_(4.0 if calm else 1.0)
        model.lm_head.weight[256:260, 0] = torch.tensor([-0.05, -0.6, -0.6, 1.0])
    return {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}


def write_tokenizer(folder: Path) -> None:
    """One token a byte, then the control tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in CONTROL])
    tokenizer.save(str(folder / "tokenizer.json"))


def make(folder: Path, layout: str = "original", shards: int = 1, seed: int = 1, calm: bool = False) -> Path:
    """Write a snapshot; `layout` is original or transformers. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = tensors(seed, calm)
    described: object = original_config()
    if layout == "original":
        weights = {original_name(name): tensor for name, tensor in weights.items()}
    else:
        described = config().to_dict()
    (folder / "config.json").write_text(json.dumps(described, indent=1))
    write_tokenizer(folder)
    write_weights(folder, weights, shards)
    return folder


def write_weights(folder: Path, weights: dict[str, Tensor], shards: int = 1) -> None:
    if shards == 1:
        save_file(weights, folder / "model.safetensors")
        return
    names, where = sorted(weights), {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        save_file({name: weights[name] for name in names[shard::shards]}, folder / file)
        where.update(dict.fromkeys(names[shard::shards], file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "original"))
