"""The acoustic decoder (latent to audio) and the semantic encoder (audio to features), one frame of every line that
speaks at a time.

Activations are (rows, time, channels), a row for each slot named in the call, so that a norm, a feed-forward layer and
a convolution read memory in one order. Every convolution but the depthwise ones is a linear layer over a window of
frames. Constants are folded into weights: the norms' scales and the layer scales.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor

from vvbatch.engine.vibevoice.ops import Depthwise, Linear, rms, rms_into

Weights = Callable[[str], Tensor]
"""Gives the tensor of a name, as stored."""


class Context:
    """What a causal convolution remembers of every slot, and its input buffer: `memory` frames of the past, then the
    `time` new ones."""

    def __init__(self, slots: int, memory: int, time: int, channels: int, like: Tensor) -> None:
        self.memory = memory
        self.past = torch.zeros(slots + 1, memory, channels, dtype=like.dtype, device=like.device)
        self.buffer = torch.zeros(slots, memory + time, channels, dtype=like.dtype, device=like.device)

    def open(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """The input (rows, memory + time, channels) of these slots with their past filled in, and its part for the new
        frames."""
        buffer = self.buffer[: len(slots)]
        if self.memory:
            buffer[:, : self.memory] = self.past[slots]
        return buffer, buffer[:, self.memory :]

    def close(self, slots: Tensor) -> None:
        """Remember the newest frames of these slots."""
        if self.memory:
            self.past[slots] = self.buffer[: len(slots), self.buffer.shape[1] - self.memory :]

    def clear(self, slot: int) -> None:
        self.past[slot] = 0


def windows(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Every window of `kernel` frames, `stride` apart, of x (rows, time, channels): (rows, windows, kernel *
    channels)."""
    rows, length, channels = x.shape
    shape = (rows, (length - kernel) // stride + 1, kernel * channels)
    return x.as_strided(shape, (length * channels, stride * channels, 1))


class Block:
    """norm, depthwise convolution, residual; norm, feed-forward, residual."""

    def __init__(self, weights: Weights, name: str, slots: int, time: int, eps: float, like: Tensor) -> None:
        def full(part: str) -> Tensor:
            return weights(f"{name}.{part}").to(like.device, torch.float32)

        gamma, ffn_gamma = full("gamma"), full("ffn_gamma")
        mixer = full("mixer.conv.weight")
        channels, _, kernel = mixer.shape
        self.eps = eps
        self.context = Context(slots, kernel - 1, time, channels, like)
        scale = (full("norm.weight") * gamma)[:, None, None]
        self.mixer = Depthwise(mixer * scale, full("mixer.conv.bias") * gamma, self.context.buffer)
        rows, dtype, device = slots * time, like.dtype, like.device
        widen, narrow = full("ffn.linear1.weight"), full("ffn.linear2.weight")
        self.widen = Linear(widen * full("ffn_norm.weight"), full("ffn.linear1.bias"), dtype, device, rows)
        bias = full("ffn.linear2.bias") * ffn_gamma
        self.narrow = Linear(narrow * ffn_gamma[:, None], bias, dtype, device, rows)

    def __call__(self, x: Tensor, slots: Tensor) -> Tensor:
        buffer, fresh = self.context.open(slots)
        rms_into(fresh, x, self.eps)
        x = self.mixer(buffer).add_(x)
        self.context.close(slots)
        flat = x.view(-1, x.shape[-1])
        return self.narrow.plus(self.widen.gelu(rms(flat, self.eps)), flat).view(x.shape)


class Window:
    """A convolution as one linear layer over windows of `kernel` frames; `factor` outputs a window are laid out in
    time."""

    def __init__(
        self, weight: Tensor, bias: Tensor, kernel: int, stride: int, factor: int, slots: int, time: int, like: Tensor
    ) -> None:
        """`weight` is (factor * outputs, kernel * inputs), its columns in the order (frame, channel)."""
        self.kernel, self.stride, self.factor = kernel, stride, factor
        self.context = Context(slots, kernel - stride, time, weight.shape[1] // kernel, like)
        self.linear = Linear(weight, bias, like.dtype, like.device, slots * time // stride)

    def __call__(self, x: Tensor, slots: Tensor) -> Tensor:
        buffer, fresh = self.context.open(slots)
        fresh.copy_(x)
        seen = windows(buffer, self.kernel, self.stride)
        rows, count, size = seen.shape
        out = self.linear(seen.reshape(rows * count, size))
        self.context.close(slots)
        return out.view(rows, count * self.factor, -1)


def convolution(weights: Weights, name: str, stride: int, slots: int, time: int, like: Tensor) -> Window:
    """A strided causal convolution: `weight` is (outputs, inputs, kernel)."""
    weight = weights(f"{name}.weight").to(like.device)
    kernel = weight.shape[2]
    flat = weight.permute(0, 2, 1).reshape(weight.shape[0], -1)
    return Window(flat, weights(f"{name}.bias"), kernel, stride, 1, slots, time, like)


def transposed(weights: Weights, name: str, stride: int, slots: int, time: int, like: Tensor) -> Window:
    """A causal transposed convolution whose kernel is twice its stride: `weight` is (inputs, outputs, 2 * stride).

    Output t * stride + j is x[t] · weight[:, :, j] + x[t - 1] · weight[:, :, j + stride] + bias.
    """
    weight = weights(f"{name}.weight").to(like.device)
    inputs, outputs, _ = weight.shape
    now, before = weight[:, :, :stride], weight[:, :, stride:]
    flat = torch.cat([before, now]).permute(2, 1, 0).reshape(stride * outputs, 2 * inputs)
    bias = weights(f"{name}.bias").repeat(stride)
    return Window(flat, bias, 2, 1, stride, slots, time, like)


class Taps:
    """A convolution to one channel: each frame's product with every tap at once, then a sum along the diagonals."""

    def __init__(self, weights: Weights, name: str, slots: int, time: int, like: Tensor) -> None:
        weight = weights(f"{name}.weight").to(like.device)  # (1, channels, kernel)
        self.kernel, self.time = weight.shape[2], time
        self.context = Context(slots, self.kernel - 1, time, weight.shape[1], like)
        rows = slots * (time + self.kernel - 1)
        self.linear = Linear(weight[0].t(), None, like.dtype, like.device, rows)
        self.bias = weights(f"{name}.bias").to(like.device, torch.float32)

    def __call__(self, x: Tensor, slots: Tensor) -> Tensor:
        """(rows, time, channels) to (rows, time)."""
        buffer, fresh = self.context.open(slots)
        fresh.copy_(x)
        rows, length, channels = buffer.shape
        products = self.linear(buffer.view(rows * length, channels))
        self.context.close(slots)
        strides = (length * self.kernel, self.kernel, self.kernel + 1)
        diagonals = products.as_strided((rows, self.time, self.kernel), strides)
        # Not one sum over the taps: its order would depend on where an output stands in a thread's share.
        out = self.bias + diagonals[..., 0]
        for tap in range(1, self.kernel):
            out.add_(diagonals[..., tap])
        return out


Layer = Block | Window


class Chain:
    """Layers in a row, with what they remember of every slot."""

    layers: list[Layer]

    def contexts(self) -> list[Context]:
        return [layer.context for layer in self.layers]

    def clear(self, slot: int) -> None:
        """Set a slot's past to zero."""
        for context in self.contexts():
            context.clear(slot)

    def first_blocks(self) -> Self:
        """A chain with the first block of each stage alone, on the same weights."""
        short = copy(self)
        first, *_ = self.layers
        short.layers = [first]
        for before, layer in pairwise(self.layers):
            if not (isinstance(before, Block) and isinstance(layer, Block)):
                short.layers.append(layer)
        return short

    def _blocks(
        self, weights: Weights, name: str, depth: int, slots: int, time: int, eps: float, like: Tensor
    ) -> Sequence[Block]:
        return [Block(weights, f"{name}.stage.{index}", slots, time, eps, like) for index in range(depth)]


class AcousticDecoder(Chain):
    """One latent frame (rows, latent) of some slots to its audio (rows, 3200), float32."""

    def __init__(
        self, weights: Weights, ratios: Sequence[int], depths: Sequence[int], eps: float, slots: int, like: Tensor
    ):
        """`ratios` and `depths` in the decoder's order, deepest first; `like` gives dtype and device."""
        name, time = "model.audio_tower.decoder", 1
        self.dtype = like.dtype
        self.layers = [convolution(weights, f"{name}.stem.conv.conv", 1, slots, time, like)]
        self.layers += self._blocks(weights, f"{name}.stem", depths[0], slots, time, eps, like)
        for index, (ratio, depth) in enumerate(zip(ratios, depths[1:], strict=True)):
            part = f"{name}.conv_layers.{index}"
            self.layers.append(transposed(weights, f"{part}.convtr.convtr", ratio, slots, time, like))
            time *= ratio
            self.layers += self._blocks(weights, part, depth, slots, time, eps, like)
        self.head = Taps(weights, f"{name}.head.conv", slots, time, like)

    def contexts(self) -> list[Context]:
        return [*super().contexts(), self.head.context]

    def __call__(self, latents: Tensor, slots: Tensor) -> Tensor:
        """`slots` (rows): whose frames these are; the others' past stays as it was."""
        x = latents.to(self.dtype)[:, None]
        for layer in self.layers:
            x = layer(x, slots)
        return self.head(x, slots)


class SemanticEncoder(Chain):
    """One frame of audio (rows, 3200) of some slots to its features (rows, features)."""

    def __init__(
        self, weights: Weights, ratios: Sequence[int], depths: Sequence[int], eps: float, slots: int, like: Tensor
    ):
        """`ratios` and `depths` in the encoder's order, shallowest first."""
        name, time = "model.semantic_tokenizer_encoder", 1
        for ratio in ratios:
            time *= ratio
        self.dtype = like.dtype
        self.layers = [convolution(weights, f"{name}.stem.conv.conv", 1, slots, time, like)]
        self.layers += self._blocks(weights, f"{name}.stem", depths[0], slots, time, eps, like)
        for index, (ratio, depth) in enumerate(zip(ratios, depths[1:], strict=True)):
            part = f"{name}.conv_layers.{index}"
            self.layers.append(convolution(weights, f"{part}.conv.conv", ratio, slots, time, like))
            time //= ratio
            self.layers += self._blocks(weights, part, depth, slots, time, eps, like)
        self.layers.append(convolution(weights, f"{name}.head.conv", 1, slots, time, like))

    def __call__(self, audio: Tensor, slots: Tensor) -> Tensor:
        x = audio.to(self.dtype)[:, :, None]
        for layer in self.layers:
            x = layer(x, slots)
        return x[:, 0]
