"""The tensors of a VibeVoice model by transformers' names, and their shapes, from its configuration alone.

transformers would give the same list from an empty model, but loading its model classes takes seconds at every start.
"""

from __future__ import annotations

from collections.abc import Iterator

from transformers import VibeVoiceConfig

Shape = tuple[int, ...]


def expected_shapes(config: VibeVoiceConfig) -> dict[str, Shape]:
    """Every tensor that a model of this configuration has. A head tied to the embeddings is not listed."""
    text, audio, size = config.text_config, config.audio_config, config.text_config.hidden_size
    shapes: dict[str, Shape] = {"model.latent_scaling_factor": (), "model.latent_bias_factor": ()}
    shapes |= _encoder("model.audio_tower.encoder", audio.encoder_config)
    shapes |= _decoder("model.audio_tower.decoder", audio.decoder_config)
    shapes |= _language("model.language_model", text)
    shapes |= _connector("model.multi_modal_projector", audio.hidden_size, size)
    shapes |= _encoder("model.semantic_tokenizer_encoder", config.semantic_model_config)
    shapes |= _connector("model.semantic_connector", config.semantic_model_config.hidden_size, size)
    shapes |= _head("model.diffusion_head", config)
    if not text.tie_word_embeddings:
        shapes["lm_head.weight"] = (text.vocab_size, size)
    return shapes


def _affine(name: str, *shape: int, bias: int | None = None) -> Iterator[tuple[str, Shape]]:
    """A product or convolution with a bias, which has as many numbers as the outputs: the first axis unless given."""
    yield f"{name}.weight", shape
    yield f"{name}.bias", (shape[0] if bias is None else bias,)


def _blocks(name: str, depth: int, width: int, tokenizer: VibeVoiceConfig) -> Iterator[tuple[str, Shape]]:
    inner = tokenizer.ffn_expansion * width
    for block in (f"{name}.stage.{index}" for index in range(depth)):
        for norm in ("gamma", "ffn_gamma", "norm.weight", "ffn_norm.weight"):
            yield f"{block}.{norm}", (width,)
        yield from _affine(f"{block}.ffn.linear1", inner, width)
        yield from _affine(f"{block}.ffn.linear2", width, inner)
        yield from _affine(f"{block}.mixer.conv", width, 1, tokenizer.kernel_size)


def _encoder(name: str, tokenizer: VibeVoiceConfig) -> Iterator[tuple[str, Shape]]:
    width, kernel = tokenizer.num_filters, tokenizer.kernel_size
    yield from _affine(f"{name}.stem.conv.conv", width, tokenizer.channels, kernel)
    yield from _blocks(f"{name}.stem", tokenizer.depths[0], width, tokenizer)
    for index, ratio in enumerate(tokenizer.downsampling_ratios):
        layer = f"{name}.conv_layers.{index}"
        yield from _affine(f"{layer}.conv.conv", 2 * width, width, 2 * ratio)
        width *= 2
        yield from _blocks(layer, tokenizer.depths[index + 1], width, tokenizer)
    yield from _affine(f"{name}.head.conv", tokenizer.hidden_size, width, kernel)


def _decoder(name: str, tokenizer: VibeVoiceConfig) -> Iterator[tuple[str, Shape]]:
    ratios, kernel = tokenizer.downsampling_ratios, tokenizer.kernel_size
    width = tokenizer.num_filters << len(ratios)
    yield from _affine(f"{name}.stem.conv.conv", width, tokenizer.hidden_size, kernel)
    yield from _blocks(f"{name}.stem", tokenizer.depths[0], width, tokenizer)
    for index, ratio in enumerate(reversed(ratios)):
        layer = f"{name}.conv_layers.{index}"
        yield from _affine(f"{layer}.convtr.convtr", width, width // 2, 2 * ratio, bias=width // 2)
        width //= 2
        yield from _blocks(layer, tokenizer.depths[index + 1], width, tokenizer)
    yield from _affine(f"{name}.head.conv", tokenizer.channels, width, kernel)


def _language(name: str, text: VibeVoiceConfig) -> Iterator[tuple[str, Shape]]:
    size, inner = text.hidden_size, text.intermediate_size
    one = getattr(text, "head_dim", None) or size // text.num_attention_heads
    queries, keys = text.num_attention_heads * one, text.num_key_value_heads * one
    yield f"{name}.embed_tokens.weight", (text.vocab_size, size)
    for layer in (f"{name}.layers.{index}" for index in range(text.num_hidden_layers)):
        yield from _affine(f"{layer}.self_attn.q_proj", queries, size)
        yield from _affine(f"{layer}.self_attn.k_proj", keys, size)
        yield from _affine(f"{layer}.self_attn.v_proj", keys, size)
        yield f"{layer}.self_attn.o_proj.weight", (size, queries)
        yield f"{layer}.mlp.gate_proj.weight", (inner, size)
        yield f"{layer}.mlp.up_proj.weight", (inner, size)
        yield f"{layer}.mlp.down_proj.weight", (size, inner)
        yield f"{layer}.input_layernorm.weight", (size,)
        yield f"{layer}.post_attention_layernorm.weight", (size,)
    yield f"{name}.norm.weight", (size,)


def _connector(name: str, latent: int, size: int) -> Iterator[tuple[str, Shape]]:
    yield from _affine(f"{name}.linear_1", size, latent)
    yield f"{name}.act.weight", (size,)
    yield from _affine(f"{name}.linear_2", size, size)


def _head(name: str, config: VibeVoiceConfig) -> Iterator[tuple[str, Shape]]:
    head, latent = config.diffusion_head_config, config.audio_config.hidden_size
    size, inner = head.hidden_size, head.intermediate_size
    yield f"{name}.noisy_images_proj.weight", (size, latent)
    yield f"{name}.cond_proj.weight", (size, config.text_config.hidden_size)
    yield f"{name}.timestep_proj.fc1.weight", (size, head.frequency_embedding_size)
    yield f"{name}.timestep_proj.fc2.weight", (size, size)
    for layer in (f"{name}.layers.{index}" for index in range(head.num_hidden_layers)):
        yield f"{layer}.ffn.gate_proj.weight", (inner, size)
        yield f"{layer}.ffn.up_proj.weight", (inner, size)
        yield f"{layer}.ffn.down_proj.weight", (size, inner)
        yield f"{layer}.norm.weight", (size,)
        yield f"{layer}.linear.weight", (3 * size, size)
    yield f"{name}.final_layer.linear_1.weight", (2 * size, size)
    yield f"{name}.final_layer.linear_2.weight", (latent, size)
