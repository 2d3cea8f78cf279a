"""The language model: prompts in pieces, then one token of both branches of several lines at a time.

All rows of a pass share its products. Attention goes over the positions that a row has: `key_values.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from copy import copy

import torch
from torch import Tensor
from torch.nn import functional
from transformers import VibeVoiceConfig

from vvbatch.engine.vibevoice.key_values import Bank, BankedKeyValues, Banks, KeyValues
from vvbatch.engine.vibevoice.ops import Int8Linear, Linear, rms

Weights = Callable[[str], Tensor]
Attention = Callable[[int, Tensor, Tensor, Tensor], None]
"""Attention of a step, from a layer's number, queries (rows, key heads, heads that share one, head size) and new keys
with values (rows, 2, key heads, head size); the result is written into the last argument (rows, heads x head size)."""


class Span:
    """A piece of prompt in a pass: its rows, and the positions of its cache from `start` to `end` that they become."""

    def __init__(self, rows: slice, cache: KeyValues, device: torch.device) -> None:
        self.rows, self.cache = rows, cache
        self.start, self.end = cache.length, cache.length + rows.stop - rows.start
        self.positions = torch.arange(self.start, self.end, device=device)
        self.visible = torch.arange(self.end, device=device) <= self.positions[:, None]  # causal


class Layer:
    def __init__(
        self, weights: Weights, name: str, dtype: torch.dtype, device: torch.device, rows: int, int8: bool
    ) -> None:
        def linear(weight: Tensor, bias: Tensor | None = None) -> Linear | Int8Linear:
            return Int8Linear(weight, bias, dtype, rows) if int8 else Linear(weight, bias, dtype, device, rows)

        def get(part: str) -> Tensor:
            return weights(f"{name}.{part}")

        qkv = [f"self_attn.{part}_proj" for part in "qkv"]
        self.norm = get("input_layernorm.weight").to(device, dtype, copy=True)
        self.qkv = linear(
            torch.cat([get(f"{part}.weight") for part in qkv]), torch.cat([get(f"{part}.bias") for part in qkv])
        )
        self.out = linear(get("self_attn.o_proj.weight"))
        self.norm_ffn = get("post_attention_layernorm.weight").to(device, dtype, copy=True)
        self.gate, self.up = linear(get("mlp.gate_proj.weight")), linear(get("mlp.up_proj.weight"))
        self.down = linear(get("mlp.down_proj.weight"))


class LanguageModel:
    """Qwen2 with its weights packed for `2 * slots` rows."""

    def __init__(self, weights: Weights, config: VibeVoiceConfig, slots: int, like: Tensor, int8: bool) -> None:
        """`like` gives dtype and device, `int8` whether the products' weights are held and multiplied as int8."""
        text, name = config.text_config, "model.language_model"
        self.dtype, self.device = like.dtype, like.device
        self.size, self.eps = text.hidden_size, text.rms_norm_eps
        self.heads, self.kv_heads = text.num_attention_heads, text.num_key_value_heads
        self.head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        self.embedding = weights(f"{name}.embed_tokens.weight").to(like.device, like.dtype, copy=True)
        self.layers = [
            Layer(weights, f"{name}.layers.{index}", like.dtype, like.device, 2 * slots, int8)
            for index in range(text.num_hidden_layers)
        ]
        self.norm = weights(f"{name}.norm.weight").to(like.device, like.dtype, copy=True)
        exponents = torch.arange(0, self.head_size, 2, dtype=torch.float32) / self.head_size
        self.banks = None if like.device.type == "cpu" else Banks()
        self.frequencies = (1.0 / text.rope_parameters["rope_theta"] ** exponents).to(like.device)

    def embed(self, tokens: Sequence[int]) -> Tensor:
        """(tokens, size)."""
        return self.embedding[torch.tensor(tokens, dtype=torch.long, device=self.device)]

    def cache(self) -> KeyValues:
        shape = (len(self.layers), 2, self.kv_heads, 0, self.head_size)
        like = torch.empty(shape, dtype=self.dtype, device=self.device)
        return KeyValues(like) if self.banks is None else BankedKeyValues(like, self.banks)

    def first_layer(self) -> LanguageModel:
        """A model that ends after the first layer, on the same weights."""
        short = copy(self)
        short.layers = self.layers[:1]
        short.banks = self.banks and Banks()
        return short

    def step(self, x: Tensor, caches: Sequence[KeyValues | None]) -> Tensor:
        """Hidden states (rows, size) of one token a row, x (rows, size).

        A row's keys and values are written at its cache's `length`, which the caller raises when the token is to stay.
        A row without a cache only fills the shape; its result means nothing.
        """
        rows = [(row, cache) for row, cache in enumerate(caches) if cache]
        positions = [0] * len(x)
        for row, cache in rows:
            cache.reserve(cache.length + 1)
            positions[row] = cache.length
        newest = torch.tensor(positions, device=self.device)
        cos, sin = self._rotation(newest)
        attend = self._alone(rows) if self.banks is None else self._in_banks(rows, newest)
        attended = torch.zeros(len(x), self.heads * self.head_size, dtype=self.dtype, device=self.device)
        for index, layer in enumerate(self.layers):
            queries, pairs = self._project(layer, x, cos, sin)
            # The query heads that share a key head stand where a sequence would: nothing is hidden from any of them.
            attend(index, queries.view(len(x), self.kv_heads, -1, self.head_size), pairs, attended)
            x = self._feed_forward(layer, layer.out.plus(attended, x))
        return rms(x, self.eps) * self.norm

    def _alone(self, rows: Sequence[tuple[int, KeyValues]]) -> Attention:
        """Each row in a call of its own, over exactly its positions."""

        def attend(index: int, queries: Tensor, pairs: Tensor, out: Tensor) -> None:
            for row, cache in rows:
                store, end = cache.data[index], cache.length + 1
                store[:, :, cache.length] = pairs[row]
                seen = functional.scaled_dot_product_attention(
                    queries[row : row + 1], store[:1, :, :end], store[1:, :, :end]
                )
                out[row] = seen.view(-1)

        return attend

    def _in_banks(self, rows: Sequence[tuple[int, KeyValues]], newest: Tensor) -> Attention:
        """All rows of a bank in one call."""
        banks: defaultdict[Bank, list[tuple[int, int]]] = defaultdict(list)
        for row, cache in rows:
            assert isinstance(cache, BankedKeyValues)
            assert cache.bank is not None
            banks[cache.bank].append((row, cache.place))
        groups = []
        for bank, members in banks.items():
            chosen, places = torch.tensor(members, device=self.device).unbind(1)
            groups.append((bank, chosen, places, bank.visible(places, newest[chosen])))

        def attend(index: int, queries: Tensor, pairs: Tensor, out: Tensor) -> None:
            for bank, chosen, places, visible in groups:
                store = bank.data[index]
                store[:, places, :, newest[chosen]] = pairs[chosen]
                batch = queries.new_zeros(bank.rows, *queries.shape[1:])
                batch[places] = queries[chosen]
                seen = functional.scaled_dot_product_attention(batch, store[0], store[1], attn_mask=visible)
                out[chosen] = seen[places].flatten(1)

        return attend

    def extend(self, pieces: Sequence[tuple[Tensor, KeyValues]]) -> Tensor:
        """Append each piece of prompt (tokens, size) to its own cache, all in one pass over the weights; the hidden
        states (pieces, size) of their last tokens."""
        spans, first = [], 0
        for piece, cache in pieces:
            cache.reserve(cache.length + len(piece))
            spans.append(Span(slice(first, first + len(piece)), cache, self.device))
            first += len(piece)
        x = torch.cat([piece for piece, _ in pieces])
        cos, sin = self._rotation(torch.cat([span.positions for span in spans]))
        attended = torch.empty(len(x), self.heads * self.head_size, dtype=self.dtype, device=self.device)
        for index, layer in enumerate(self.layers):
            queries, pairs = self._project(layer, x, cos, sin)
            for span in spans:
                store = span.cache.data[index]
                store[:, :, span.start : span.end] = pairs[span.rows].permute(1, 2, 0, 3)
                out = functional.scaled_dot_product_attention(
                    queries[span.rows].transpose(0, 1)[None],
                    store[:1, :, : span.end],
                    store[1:, :, : span.end],
                    attn_mask=span.visible,
                    enable_gqa=True,
                )
                attended[span.rows] = out[0].transpose(0, 1).flatten(1)
            x = self._feed_forward(layer, layer.out.plus(attended, x))
        for span in spans:
            span.cache.length = span.end
        return rms(x[[span.rows.stop - 1 for span in spans]], self.eps) * self.norm

    def _rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin, (rows, 1, head size), of rotary position embedding in the half-split form."""
        angles = positions[:, None].float() * self.frequencies
        angles = torch.cat([angles, angles], -1)[:, None]
        return angles.cos().to(self.dtype), angles.sin().to(self.dtype)

    def _project(self, layer: Layer, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (rows, heads, head size) and keys with values (rows, 2, key heads, head size), positions applied."""
        packed = layer.qkv(rms(x, self.eps) * layer.norm).view(x.shape[0], -1, self.head_size)
        turned = packed[:, : self.heads + self.kv_heads]
        first, second = turned.chunk(2, -1)
        turned = turned * cos + torch.cat([-second, first], -1) * sin
        pairs = torch.stack([turned[:, self.heads :], packed[:, self.heads + self.kv_heads :]], 1)
        return turned[:, : self.heads], pairs

    def _feed_forward(self, layer: Layer, x: Tensor) -> Tensor:
        inner = rms(x, self.eps) * layer.norm_ffn
        return layer.down.plus(layer.up.times(inner, layer.gate.silu(inner)), x)
