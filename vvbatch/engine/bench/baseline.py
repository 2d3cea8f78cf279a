"""What everybody else would run: transformers' own `generate`, one line at a time or in a static batch."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, VibeVoiceForConditionalGeneration
from transformers.generation.streamers import BaseStreamer

from vvbatch.engine.bench.shapes import source
from vvbatch.engine.contract import SAMPLE_RATE

PROMPT_TOKENS = 180
DISTINCT_LAYERS = 7
"""With random weights, language model layers share tensors beyond so many, so that both models fit in memory. All
that a step reads is still far more than any cache holds, so the time is the same."""


class Always(LogitsProcessor):  # type: ignore[misc]
    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        only = torch.full_like(scores, float("-inf"))
        only[:, self.token] = 0
        return only


class Clock(BaseStreamer):  # type: ignore[misc]
    """Notes when each token came."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is held back."""


class Baseline:
    def __init__(self, shape: str, dtype: torch.dtype, device: torch.device) -> None:
        config, weights = source(shape)
        # The original layout's configuration names no tokens; which ones they are is all the same to a forced line.
        names = ("audio_bos_token_id", "audio_eos_token_id", "audio_token_id", "eos_token_id", "pad_token_id")
        for number, name in enumerate(names, start=1):
            setattr(config, name, config.text_config.vocab_size - number)
        with torch.device("meta"):
            model = VibeVoiceForConditionalGeneration(config).eval()
        state, shared = {}, {}
        random = not Path(shape).is_dir()
        layers = config.text_config.num_hidden_layers
        for name in model.state_dict():
            if name == "lm_head.weight" and config.text_config.tie_word_embeddings:
                continue
            stored = name
            if random and "language_model.layers." in name and layers > DISTINCT_LAYERS:
                prefix, number, rest = _layer(name)
                stored = f"{prefix}{number % DISTINCT_LAYERS}{rest}"
            if name.startswith("model.audio_tower.encoder"):
                continue
            if stored not in shared:
                shared[stored] = weights(stored).to(device, dtype, copy=True)
            state[name] = shared[stored]
        del model.model.audio_tower.encoder  # no voice is encoded here
        model.load_state_dict(state, strict=False, assign=True)
        model.tie_weights()
        for module in model.modules():
            for name, buffer in list(module.named_buffers(recurse=False)):
                if buffer.is_meta:
                    setattr(module, name, _rebuilt(module, name).to(device))
        self.model, self.device = model, device
        self.frame_s = config.audio_config.hop_length / SAMPLE_RATE
        self.model.generation_config.guidance_scale = 1.3

    def step_s(self, batch: int, frames: int) -> float:
        """Median seconds between two frames of `batch` lines."""
        ids = torch.arange(batch * PROMPT_TOKENS, device=self.device).view(batch, PROMPT_TOKENS) % 200 + 10
        clock = Clock()
        with torch.inference_mode():
            self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=frames + 1,
                logits_processor=LogitsProcessorList([Always(self.model.config.audio_token_id)]),
                streamer=clock,
                num_diffusion_steps=10,
            )
        gaps = [after - before for before, after in zip(clock.times[1:], clock.times[2:], strict=False)]
        return statistics.median(gaps)


def _layer(name: str) -> tuple[str, int, str]:
    """A parameter's name around its layer's number."""
    before, layers, after = name.partition("language_model.layers.")
    number, dot, rest = after.partition(".")
    return before + layers, int(number), dot + rest


def _rebuilt(module: torch.nn.Module, name: str) -> torch.Tensor:
    """A buffer that is computed from the configuration, not stored."""
    owner: Any = module
    buffer: torch.Tensor
    if hasattr(owner, "compute_default_freq"):
        buffer = owner.compute_default_freq(owner.config)
    else:
        buffer = owner.compute_default_rope_parameters(owner.config)[0]
    return buffer
