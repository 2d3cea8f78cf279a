"""Models of a true shape with random weights, for measuring where none are installed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import VibeVoiceConfig

from vvbatch.engine.contract import EngineUnavailable, Turn
from vvbatch.engine.vibevoice.checkpoint import Checkpoint
from vvbatch.engine.vibevoice.model import Weights
from vvbatch.engine.vibevoice.prompt import Prompt, Tokens
from vvbatch.engine.vibevoice.tensors import expected_shapes
from vvbatch.engine.vibevoice.voice_latents import VoiceLatents

QWEN = {
    "1.5b": {"hidden_size": 1536, "intermediate_size": 8960, "num_attention_heads": 12, "num_key_value_heads": 2},
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28, "num_key_value_heads": 4},
}
POOL = 1 << 24
"""Random numbers are drawn once and used again from another place for each tensor: drawing 3 billion takes minutes."""


def config(shape: str) -> VibeVoiceConfig:
    """The configuration of a published model's shape, 1.5b or 7b, or of a tiny model. Raises EngineUnavailable."""
    if shape == "tiny":
        return tiny()
    if shape not in QWEN:
        raise EngineUnavailable(f"unknown shape {shape!r}: there is {', '.join(QWEN)}, tiny, or a model's folder")
    small = shape == "1.5b"
    text = {
        "model_type": "qwen2",
        "num_hidden_layers": 28,
        "vocab_size": 151936 if small else 152064,
        "max_position_embeddings": 65536 if small else 32768,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": small,
    }
    head = {"num_hidden_layers": 4, "intermediate_size": 3 * QWEN[shape]["hidden_size"]}
    return VibeVoiceConfig(text_config={**text, **QWEN[shape]}, diffusion_head_config=head)


def tiny() -> VibeVoiceConfig:
    """All parts of a published model, each with few channels: a step takes a hundredth of the time."""
    text = {
        "model_type": "qwen2",
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 1024,
        "max_position_embeddings": 65536,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
    }
    tokenizer = {"num_filters": 4, "depths": [1, 1, 1, 1, 1, 1, 2]}
    return VibeVoiceConfig(
        text_config=text,
        audio_config={"model_type": "vibevoice_acoustic_tokenizer", **tokenizer},
        semantic_model_config={"model_type": "vibevoice_acoustic_tokenizer_encoder", **tokenizer},
        diffusion_head_config={"num_hidden_layers": 2, "intermediate_size": 384},
    )


class RandomWeights:
    """Small random numbers in the shapes of a configuration; norms' scales near 1."""

    def __init__(self, config: VibeVoiceConfig) -> None:
        self.shapes = expected_shapes(config)
        self.pool = torch.randn(POOL, generator=torch.Generator().manual_seed(0))

    def __call__(self, name: str) -> Tensor:
        shape = self.shapes[name]
        if not shape:
            return torch.tensor(0.2 if name.endswith("scaling_factor") else -0.05)
        size = torch.Size(shape).numel()
        start = zlib.crc32(name.encode()) % POOL
        repeats = -(-(start + size) // POOL)
        values = self.pool.repeat(repeats)[start : start + size] if repeats > 1 else self.pool[start : start + size]
        if len(shape) == 1:
            vector: Tensor = values * 0.02 + (0.0 if name.endswith("bias") else 0.5 if "gamma" in name else 1.0)
            return vector
        matrix: Tensor = values.view(shape) * (size // shape[0]) ** -0.5
        return matrix


def source(shape: str) -> tuple[VibeVoiceConfig, Weights]:
    """Configuration and tensors: of the model in a folder, or random ones of a known shape. Raises
    EngineUnavailable."""
    if Path(shape).is_dir():
        checkpoint = Checkpoint(Path(shape))
        return checkpoint.config, checkpoint.tensor
    known = config(shape.lower())
    return known, RandomWeights(known)


class NoTokens(Tokens):
    """Prompts of a given length where there is no tokenizer: ordinary tokens 10, 11, …"""

    def __init__(self, config: VibeVoiceConfig, length: int) -> None:
        self.start, self.end, self.frame, self.stop = (
            config.text_config.vocab_size - number for number in (1, 2, 3, 4)
        )
        self.length = length

    def prompt(self, turns: Sequence[Turn], frames: Sequence[int]) -> Prompt:
        ordinary = [10 + number % 40 for number in range(self.length)]
        half = self.length // 2
        return Prompt(
            [*ordinary[:half], self.start, *[self.frame] * frames[0], self.end], [*ordinary[half:], self.start]
        )


class NoVoice(VoiceLatents):
    """One random voice of a given length."""

    def __init__(self, size: int, frames: int) -> None:
        self.latents = torch.randn(frames, size, generator=torch.Generator().manual_seed(1))

    def get(self, voices: object) -> list[Tensor]:
        return [self.latents]
