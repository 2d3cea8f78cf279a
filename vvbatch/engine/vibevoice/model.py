"""The parts of one VibeVoice model, built for a number of slots from a source of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import VibeVoiceConfig

from vvbatch.engine.vibevoice.codec import AcousticDecoder, SemanticEncoder
from vvbatch.engine.vibevoice.device import Placement
from vvbatch.engine.vibevoice.diffusion import DiffusionHead
from vvbatch.engine.vibevoice.language import LanguageModel
from vvbatch.engine.vibevoice.ops import Linear, rms

Weights = Callable[[str], Tensor]
CONNECTOR_EPS = 1e-6


class Connector:
    """From a tokenizer's latent (rows, latent) to the language model's input (rows, size)."""

    def __init__(self, weights: Weights, name: str, rows: int, like: Tensor) -> None:
        def linear(part: str) -> Linear:
            return Linear(
                weights(f"{name}.{part}.weight"), weights(f"{name}.{part}.bias"), like.dtype, like.device, rows
            )

        self.dtype = like.dtype
        self.enter, self.leave = linear("linear_1"), linear("linear_2")
        self.norm = weights(f"{name}.act.weight").to(like.device, like.dtype, copy=True)

    def __call__(self, x: Tensor) -> Tensor:
        return self.leave(rms(self.enter(x.to(self.dtype)), CONNECTOR_EPS) * self.norm)


class VibeVoice:
    """Language model, diffusion head, acoustic decoder, semantic encoder and connectors for `slots` lines at once.

    The tokenizers remember one slot more, number `slots`: the scratch slot, whose rows fill a fixed shape.
    """

    def __init__(
        self,
        weights: Weights,
        config: VibeVoiceConfig,
        choices: Sequence[int],
        start: int,
        slots: int,
        placement: Placement,
    ) -> None:
        """`choices`: the token ids that may be chosen; `start`: the speech-start token."""
        self.slots, self.placement, self.config = slots, placement, config
        self.latent_size = int(config.audio_config.hidden_size)
        language = torch.empty(0, dtype=placement.language, device=placement.device)
        audio = torch.empty(0, dtype=placement.audio, device=placement.device)
        self.language = LanguageModel(weights, config, slots, language, placement.int8)
        name = "model.language_model.embed_tokens" if config.text_config.tie_word_embeddings else "lm_head"
        rows = weights(f"{name}.weight")[torch.tensor(choices)]
        self.choices = rows.to(placement.device, torch.float32, copy=True)
        self.head = DiffusionHead(weights, config, slots, audio, placement.int8)
        self.acoustic = Connector(weights, "model.multi_modal_projector", slots, audio)
        self.semantic = Connector(weights, "model.semantic_connector", slots, audio)
        self.scaling = float(weights("model.latent_scaling_factor"))
        self.bias = float(weights("model.latent_bias_factor"))
        tokenizer = config.audio_config
        ratios, depths = tokenizer.downsampling_ratios, tokenizer.depths
        self.frame_samples = int(tokenizer.hop_length)
        self.decoder = AcousticDecoder(weights, ratios[::-1], depths[::-1], tokenizer.rms_norm_eps, slots, audio)
        tokenizer = config.semantic_model_config
        ratios, depths = tokenizer.downsampling_ratios, tokenizer.depths
        self.encoder = SemanticEncoder(weights, ratios, depths, tokenizer.rms_norm_eps, slots, audio)
        # The unconditional branch after speech-start alone, where every line begins.
        beginning = self.language.cache()
        self.first_negative = self.language.extend([(self.language.embed([start]), beginning)])[0]
        self.first_negative_cache = beginning.data[:, :, :, :1].clone()
        beginning.release()

    def scores(self, hidden: Tensor) -> Tensor:
        """The scores of the tokens that may be chosen, float32 on the CPU: (rows, choices) of hidden states (rows,
        size)."""
        # Not one product: its sums would depend on the number of rows.
        return (hidden.float()[:, None] * self.choices).sum(-1).cpu()

    def voice_inputs(self, latents: Tensor) -> Tensor:
        """Voice latents (frames, latent) as the language model's input (frames, size)."""
        scaled = (latents.to(self.placement.device) + self.bias) * self.scaling
        return self.acoustic(scaled).to(self.placement.language)

    def decode(self, latents: Tensor, slots: Tensor) -> Tensor:
        """Frames (rows, latent) of `slots` (rows) as audio (rows, samples) float32."""
        return self.decoder(latents / self.scaling - self.bias, slots)

    def frame_inputs(self, latents: Tensor, audio: Tensor, slots: Tensor) -> Tensor:
        """Frames of `slots` (rows) as the language model's next inputs (rows, size)."""
        return (self.acoustic(latents) + self.semantic(self.encoder(audio, slots))).to(self.placement.language)

    def forget(self, slot: int) -> None:
        """Clear what the tokenizers remember of a slot."""
        self.decoder.clear(slot)
        self.encoder.clear(slot)
