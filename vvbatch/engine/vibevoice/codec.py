"""The acoustic decoder (latent to audio) and the semantic encoder (audio to features), one frame of every slot at a
time.

Activations are (slots, time, channels), so that a norm, a feed-forward layer and a convolution read memory in one
order. Every convolution but the depthwise ones is a linear layer over a window of frames. Constants are folded into
weights: the norms' scales and the layer scales. What a causal convolution must remember stands at the beginning of
its own input buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vvbatch.engine.vibevoice.ops import Depthwise, Linear, rms, rms_into

Weights = Callable[[str], Tensor]
"""Gives the tensor of a name, as stored."""


class Context:
    """A causal convolution's input: `memory` frames of the past, then the `time` new ones that are written to
    `fresh`."""

    def __init__(self, slots: int, memory: int, time: int, channels: int, like: Tensor) -> None:
        self.memory = memory
        self.buffer = torch.zeros(slots, memory + time, channels, dtype=like.dtype, device=like.device)
        self.fresh = self.buffer[:, memory:]

    def windows(self, kernel: int, stride: int) -> Tensor:
        """Every window of `kernel` frames, `stride` apart: (slots, windows, kernel * channels)."""
        slots, length, channels = self.buffer.shape
        shape = (slots, (length - kernel) // stride + 1, kernel * channels)
        return self.buffer.as_strided(shape, (length * channels, stride * channels, 1))

    def advance(self, rows: Tensor | None) -> None:
        """Remember the newest frames, of the slots in `rows` only (None: of all)."""
        newest = self.buffer[:, self.buffer.shape[1] - self.memory :]
        if rows is None:
            self.buffer[:, : self.memory] = newest.clone()
        else:
            self.buffer[rows, : self.memory] = newest[rows]

    def clear(self, slot: int) -> None:
        self.buffer[slot, : self.memory] = 0


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

    def __call__(self, x: Tensor, rows: Tensor | None) -> Tensor:
        rms_into(self.context.fresh, x, self.eps)
        x = self.mixer(self.context.buffer).add_(x)
        self.context.advance(rows)
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

    def __call__(self, x: Tensor, rows: Tensor | None) -> Tensor:
        self.context.fresh.copy_(x)
        windows = self.context.windows(self.kernel, self.stride)
        slots, count, size = windows.shape
        out = self.linear(windows.reshape(slots * count, size))
        self.context.advance(rows)
        return out.view(slots, count * self.factor, -1)


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

    def __call__(self, x: Tensor, rows: Tensor | None) -> Tensor:
        """(slots, time, channels) to (slots, time)."""
        self.context.fresh.copy_(x)
        slots, length, channels = self.context.buffer.shape
        products = self.linear(self.context.buffer.view(slots * length, channels))
        self.context.advance(rows)
        strides = (length * self.kernel, self.kernel, self.kernel + 1)
        diagonals = products.as_strided((slots, self.time, self.kernel), strides)
        return diagonals.sum(-1, dtype=torch.float32).add_(self.bias)


Layer = Block | Window


class Chain:
    """Layers in a row, with what they remember of every slot."""

    layers: list[Layer]

    def contexts(self) -> list[Context]:
        return [layer.context for layer in self.layers]

    def clear(self, slot: int) -> None:
        """Forget a slot's past."""
        for context in self.contexts():
            context.clear(slot)

    def _blocks(
        self, weights: Weights, name: str, depth: int, slots: int, time: int, eps: float, like: Tensor
    ) -> Sequence[Block]:
        return [Block(weights, f"{name}.stage.{index}", slots, time, eps, like) for index in range(depth)]


class AcousticDecoder(Chain):
    """One latent frame of every slot (slots, latent) to its audio (slots, 3200), float32."""

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

    def __call__(self, latents: Tensor, rows: Tensor | None) -> Tensor:
        """`rows`: the slots whose frame this is (None: all); the others' past stays as it was."""
        x = latents.to(self.dtype)[:, None]
        for layer in self.layers:
            x = layer(x, rows)
        return self.head(x, rows)


class SemanticEncoder(Chain):
    """One frame of audio of every slot (slots, 3200) to its features (slots, features)."""

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

    def __call__(self, audio: Tensor, rows: Tensor | None) -> Tensor:
        x = audio.to(self.dtype)[:, :, None]
        for layer in self.layers:
            x = layer(x, rows)
        return x[:, 0]
