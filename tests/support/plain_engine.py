"""The original's way to render one line, written plainly on transformers' own modules: what the engine is compared
with.

Semantics: one line at a time, argmax over four tokens from the conditional branch, an unconditional branch that only
frames advance and speech-start empties, tokenizer state that speech-end clears.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import diffusers
import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, VibeVoiceForConditionalGeneration
from transformers.models.vibevoice_acoustic_tokenizer.modeling_vibevoice_acoustic_tokenizer import (
    VibeVoiceAcousticTokenizerConv1dPaddingCache as PaddingCache,
)

from vvbatch.engine.vibevoice.prompt import Tokens
from vvbatch.engine.vibevoice.voice_latents import normalise


@dataclass
class Rendered:
    tokens: list[int] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)
    audio: list[Tensor] = field(default_factory=list)


@torch.no_grad()
def render(
    model: VibeVoiceForConditionalGeneration,
    tokens: Tokens,
    input_ids: list[int],
    voices: list[np.ndarray],
    seed: int,
    max_tokens: int,
    cfg_scale: float = 1.3,
    steps: int = 10,
) -> Rendered:
    inner, generator, out = model.model, torch.Generator().manual_seed(seed), Rendered()
    language = inner.language_model
    embed = language.get_input_embeddings()
    allowed = torch.tensor(sorted([tokens.stop, tokens.start, tokens.end, tokens.frame]))

    inputs = embed(torch.tensor([input_ids]))
    inputs[torch.tensor([input_ids]) == tokens.frame] = voice_embeddings(model, voices, generator)
    cache = DynamicCache(config=model.config.text_config)
    hidden = language(inputs_embeds=inputs, past_key_values=cache, use_cache=True).last_hidden_state[:, -1:]
    negative = DynamicCache(config=model.config.text_config)
    acoustic, semantic = PaddingCache(), PaddingCache()
    fed: Tensor | None = None
    for _ in range(max_tokens):
        scores = (hidden[0, 0] @ model.lm_head.weight.T)[allowed]
        token = int(allowed[scores.argmax()])
        out.tokens.append(token)
        if token == tokens.stop:
            break
        following = embed(torch.tensor([[token]]))
        if token == tokens.start:
            negative = DynamicCache(config=model.config.text_config)
        elif token == tokens.end:
            acoustic, semantic = PaddingCache(), PaddingCache()
        elif token == tokens.frame:
            unconditional = embed(torch.tensor([[tokens.start]])) if fed is None else fed
            other = language(inputs_embeds=unconditional, past_key_values=negative, use_cache=True).last_hidden_state
            latent = diffuse(model, hidden[0], other[0], generator, cfg_scale, steps)[None]
            scaled = latent / inner.latent_scaling_factor - inner.latent_bias_factor
            audio = inner.audio_tower.decode(scaled, padding_cache=acoustic, use_cache=True).audio
            features = inner.semantic_tokenizer_encoder(audio, padding_cache=semantic, use_cache=True).latents
            following = inner.multi_modal_projector(latent) + inner.semantic_connector(features)
            out.latents.append(latent[0, 0])
            out.audio.append(audio[0, 0])
        fed = following
        hidden = language(inputs_embeds=following, past_key_values=cache, use_cache=True).last_hidden_state
    return out


def voice_embeddings(
    model: VibeVoiceForConditionalGeneration, voices: list[np.ndarray], generator: torch.Generator
) -> Tensor:
    inner = model.model
    longest = max(map(len, voices))
    waves = torch.zeros(len(voices), 1, longest)
    for row, samples in enumerate(voices):
        waves[row, 0, : len(samples)] = torch.from_numpy(normalise(samples))
    latents = inner.audio_tower.encode(waves, sample=False).latents
    spread = torch.randn(len(voices), generator=generator) * model.config.audio_config.vae_std
    noise = torch.empty(len(voices), latents.shape[2], latents.shape[1]).permute(0, 2, 1).normal_(generator=generator)
    latents = latents + spread[:, None, None] * noise
    embedded = inner.multi_modal_projector((latents + inner.latent_bias_factor) * inner.latent_scaling_factor)
    return torch.cat([embedded[row, : len(samples) // 3200] for row, samples in enumerate(voices)])


def diffuse(
    model: VibeVoiceForConditionalGeneration,
    conditional: Tensor,
    unconditional: Tensor,
    generator: torch.Generator,
    cfg_scale: float,
    steps: int,
) -> Tensor:
    scheduler = diffusers.DPMSolverMultistepScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    scheduler.set_timesteps(steps)
    condition = torch.cat([conditional, unconditional])
    x = torch.randn(2, model.config.audio_config.hidden_size, generator=generator)
    for timestep in scheduler.timesteps:
        velocity = model.model.diffusion_head(x[:1].repeat(2, 1), timestep.repeat(2).to(x), condition=condition)
        guided = velocity[1:] + cfg_scale * (velocity[:1] - velocity[1:])
        x = scheduler.step(guided.repeat(2, 1), timestep, x).prev_sample
    return x[:1]
