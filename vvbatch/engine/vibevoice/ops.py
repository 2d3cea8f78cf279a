"""The few products that a step is made of, in the fastest form that keeps one row's bits free of its neighbours.

On the CPU, oneDNN takes weights that are laid out for it once. Elsewhere the plain operators do the same work. In both
a row's bits do not depend on what the other rows hold. Whether they depend on how many other rows there are is checked
when a model is loaded: `shape.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

_mkldnn, _onednn = torch.ops.mkldnn, torch.ops.onednn
SMALLEST = 1e-30
"""Takes the place of a scale of 0."""


def packs(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN's packed products exist for this device and dtype."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and bool(_mkldnn._is_mkldnn_bf16_supported()))


def two_rows_or_more(product: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A product of one row is computed as two equal rows.

    For a single row oneDNN and other libraries use a kernel of their own, which sums in another order; from two rows on
    the order is the same.
    """

    @wraps(product)
    def call(self: Linear, *factors: Tensor) -> Tensor:
        if len(factors[0]) > 1:
            return product(self, *factors)
        return product(self, *(factor.expand(2, -1).contiguous() for factor in factors))[:1]

    return call


class Linear:
    """y = x Wᵀ + b for x (rows, inputs), with W (outputs, inputs) kept in the layout that is fastest for about
    `rows` rows."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, device: torch.device, rows: int
    ) -> None:
        weight = weight.to(device, dtype).contiguous()
        self.bias = None if bias is None else bias.to(device, dtype).contiguous()
        self.packed = packs(device, dtype)
        self.weight = _mkldnn._reorder_linear_weight(weight, rows) if self.packed else weight.clone()

    @two_rows_or_more
    def __call__(self, x: Tensor) -> Tensor:
        if self.packed:
            return cast(Tensor, _mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], ""))
        return functional.linear(x, self.weight, self.bias)

    @two_rows_or_more
    def gelu(self, x: Tensor) -> Tensor:
        """gelu(x Wᵀ + b), by the error function."""
        if self.packed:
            return cast(Tensor, _mkldnn._linear_pointwise(x, self.weight, self.bias, "gelu", [], "none"))
        return functional.gelu(functional.linear(x, self.weight, self.bias))

    @two_rows_or_more
    def silu(self, x: Tensor) -> Tensor:
        if self.packed:
            return cast(Tensor, _mkldnn._linear_pointwise(x, self.weight, self.bias, "swish", [], ""))
        return silu(functional.linear(x, self.weight, self.bias))

    @two_rows_or_more
    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """x Wᵀ + b + other."""
        if self.packed:
            return cast(Tensor, _mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "add"))
        return functional.linear(x, self.weight, self.bias).add_(other)

    @two_rows_or_more
    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """(x Wᵀ + b) * other, element by element."""
        if self.packed:
            return cast(Tensor, _mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "mul"))
        return functional.linear(x, self.weight, self.bias).mul_(other)


def int8_products() -> bool:
    """Whether this CPU multiplies int8 in hardware. Without VNNI oneDNN's sums of pairs saturate, elsewhere its plain
    reference is a thousand times slower."""
    found = torch.cpu.get_capabilities() if torch.backends.mkldnn.is_available() else {}  # type: ignore[no-untyped-call]
    return bool(found.get("avx512_vnni", False))


class Int8Linear:
    """y = x Wᵀ + b with both factors in int8: W by one scale for each output, x by one for each row, found as it
    comes. Their sums are whole numbers, so a row's bits cannot depend on the other rows."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, rows: int) -> None:
        weight = weight.to(torch.float32, copy=True)
        self.scale = torch.linalg.vector_norm(weight, torch.inf, dim=1).clamp_(min=SMALLEST).div_(127)
        whole = weight.div_(self.scale[:, None]).round_().to(torch.int8)
        self.weight = _onednn.qlinear_prepack(whole, [rows, whole.shape[1]])
        self.zeros = torch.zeros(whole.shape[0], dtype=torch.int32)
        self.bias = None if bias is None else bias.to(dtype)

    def _product(self, x: Tensor) -> Tensor:
        # oneDNN is fast for unsigned inputs alone: 128 stands for 0. The largest becomes 126, so that no rounding in
        # between leaves the range. NaN and Inf come back through the scale.
        scale = x.abs().amax(1, keepdim=True).float().clamp_(min=SMALLEST).div_(126).to(x.dtype)
        whole = (x / scale).round_().add_(128).to(torch.uint8)
        y: Tensor = _onednn.qlinear_pointwise(
            whole, 1.0, 128, self.weight, self.scale, self.zeros, None, 1.0, 0, x.dtype, "none", [], ""
        )
        return y.mul_(scale)

    def __call__(self, x: Tensor) -> Tensor:
        y = self._product(x)
        return y if self.bias is None else y.add_(self.bias)

    def silu(self, x: Tensor) -> Tensor:
        return silu(self(x))

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """x Wᵀ + b + other."""
        return self(x).add_(other)

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """(x Wᵀ + b) * other, element by element."""
        return self(x).mul_(other)


class Depthwise:
    """A valid (unpadded) depthwise convolution along time: (rows, context + time, channels) to (rows, time,
    channels)."""

    def __init__(self, weight: Tensor, bias: Tensor, like: Tensor) -> None:
        """`weight` is (channels, 1, kernel); `like` an input, for its shape, dtype and device."""
        channels, kernel = weight.shape[0], weight.shape[2]
        weight = weight.to(like.device, like.dtype).view(channels, 1, 1, kernel)
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.bias = bias.to(like.device, like.dtype).contiguous()
        self.packed = packs(like.device, like.dtype)
        if self.packed:
            shape = [like.shape[0], channels, 1, like.shape[1]]
            self.weight = _mkldnn._reorder_convolution_weight(self.weight, [0, 0], [1, 1], [1, 1], channels, shape)

    def __call__(self, x: Tensor) -> Tensor:
        rows, length, channels = x.shape
        image = x.view(rows, 1, length, channels).permute(0, 3, 1, 2)
        if self.packed:
            out = _mkldnn._convolution_pointwise(
                image, self.weight, self.bias, [0, 0], [1, 1], [1, 1], channels, "none", [], ""
            )
        else:
            out = functional.conv2d(image, self.weight, self.bias, groups=channels)
        return cast(Tensor, out.permute(0, 2, 3, 1).reshape(rows, -1, channels))


def silu(x: Tensor) -> Tensor:
    """x / (1 + exp(-x)), computed in float32.

    torch's own float32 SiLU takes another exponential for the last elements of a thread's share, so an element's bits
    would depend on where it stands.
    """
    wide = x.float()
    return (wide / wide.neg().exp_().add_(1)).to(x.dtype)


def rms(x: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x²) + eps) over the last dimension, the mean in float32 (RMSNorm without its weight)."""
    return x * _inverse_rms(x, eps)


def rms_into(out: Tensor, x: Tensor, eps: float) -> None:
    """`rms` of x, written into `out`."""
    torch.mul(x, _inverse_rms(x, eps), out=out)


def _inverse_rms(x: Tensor, eps: float) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return norm.square_().mul_(1 / x.shape[-1]).add_(eps).rsqrt_().to(x.dtype)
