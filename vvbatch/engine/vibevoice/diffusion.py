"""The diffusion head: from the language model's two hidden states of a frame to its acoustic latent.

Everything that the ten steps share is computed once: the embedded time steps when a step count is first used, and
all steps' adaLN modulations in one product a frame.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import VibeVoiceConfig

from vvbatch.engine.vibevoice.ops import Int8Linear, Linear, rms, silu

Weights = Callable[[str], Tensor]

TRAINED_STEPS = 1000
MAX_BETA = 0.999


@dataclass(frozen=True)
class Stage:
    """One solver step from sigma_s to sigma_t: x ← ratio x - gain D0 - half (1 / r0) (D0 - D0 before)."""

    timestep: int
    alpha: float  # of the sample that comes in; its denoised estimate is D0 = alpha x - sigma v
    sigma: float
    ratio: float
    gain: float
    slope: float | None  # 1 / r0; None: a first-order step


def _noise_levels() -> Tensor:
    """Sigmas of the trained time steps (TRAINED_STEPS,) float32, noise over signal, from the cosine schedule.

    Source: Nichol and Dhariwal 2021, https://arxiv.org/abs/2102.09672, equation 17.
    """

    def signal(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    times = [index / TRAINED_STEPS for index in range(TRAINED_STEPS + 1)]
    betas = [min(1 - signal(end) / signal(start), MAX_BETA) for start, end in itertools.pairwise(times)]
    kept = torch.cumprod(1 - torch.tensor(betas, dtype=torch.float32), 0)
    return ((1 - kept) / kept) ** 0.5


def schedule(steps: int) -> list[Stage]:
    """DPM-Solver++(2M) on the cosine schedule with v-prediction, time steps spaced evenly.

    Source: Lu et al. 2022, https://arxiv.org/abs/2211.01095, algorithm 2; the last step is of first order and lands
    on the denoised estimate. The numbers are those of diffusers' `DPMSolverMultistepScheduler`, bit for bit: a test
    compares them. It is not used here because importing it takes a second at every start.
    """
    timesteps = np.linspace(0, TRAINED_STEPS - 1, steps + 1).round()[:0:-1].astype(int)
    sigmas = torch.cat([_noise_levels()[timesteps], torch.zeros(1)])
    alphas = 1 / ((sigmas**2 + 1) ** 0.5)
    scaled = sigmas * alphas
    lambdas = torch.log(alphas) - torch.log(scaled)
    stages = []
    for index, timestep in enumerate(timesteps.tolist()):
        step = lambdas[index + 1] - lambdas[index]
        slope = None
        if 0 < index < steps - 1:
            slope = float(1.0 / ((lambdas[index] - lambdas[index - 1]) / step))
        ratio = scaled[index + 1] / scaled[index]
        gain = alphas[index + 1] * (torch.exp(-step) - 1.0)
        stages.append(
            Stage(int(timestep), float(alphas[index]), float(scaled[index]), float(ratio), float(gain), slope)
        )
    return stages


def advance(stage: Stage, x: Tensor, estimate: Tensor, before: Tensor | None) -> Tensor:
    """One solver step of x (…, latent) float32, given its denoised estimate and the one of the step before."""
    x = stage.ratio * x - stage.gain * estimate
    if stage.slope is not None and before is not None:
        x = x - 0.5 * stage.gain * (stage.slope * (estimate - before))
    return x


class DiffusionHead:
    """v-prediction for conditional and unconditional rows, and the loop that makes a latent of it."""

    def __init__(self, weights: Weights, config: VibeVoiceConfig, slots: int, like: Tensor, int8: bool) -> None:
        """`like` gives dtype and device, `int8` whether the layers' weights are held and multiplied as int8."""
        head, name = config.diffusion_head_config, "model.diffusion_head"
        dtype, device = like.dtype, like.device
        self.size, self.eps, self.layers = head.hidden_size, head.rms_norm_eps, head.num_hidden_layers
        self.dtype, self.device = dtype, device
        self.frequencies = head.frequency_embedding_size
        self.period = head.diffusion_max_period

        def linear(part: str, rows: int = 2 * slots) -> Linear:
            return Linear(weights(f"{name}.{part}.weight"), None, dtype, device, rows)

        def large(part: str) -> Linear | Int8Linear:
            return Int8Linear(weights(f"{name}.{part}.weight"), None, dtype, 2 * slots) if int8 else linear(part)

        self.time = (linear("timestep_proj.fc1"), linear("timestep_proj.fc2"))
        self.condition, self.enter = linear("cond_proj"), linear("noisy_images_proj", slots)
        self.norms = [weights(f"{name}.layers.{index}.norm.weight").to(device, dtype) for index in range(self.layers)]
        self.modulate = [large(f"layers.{index}.linear") for index in range(self.layers)]
        self.gate = [large(f"layers.{index}.ffn.gate_proj") for index in range(self.layers)]
        self.up = [large(f"layers.{index}.ffn.up_proj") for index in range(self.layers)]
        self.down = [large(f"layers.{index}.ffn.down_proj") for index in range(self.layers)]
        self.modulate_last, self.leave = linear("final_layer.linear_1"), linear("final_layer.linear_2")
        self._schedules: dict[int, tuple[list[Stage], Tensor]] = {}

    def prepared(self, steps: int) -> tuple[list[Stage], Tensor]:
        """The schedule of so many steps and its embedded time steps (steps, size)."""
        if steps not in self._schedules:
            stages = schedule(steps)
            half = self.frequencies // 2
            exponents = -torch.log(torch.tensor(float(self.period))) * torch.arange(half, dtype=torch.float32) / half
            times = torch.tensor([stage.timestep for stage in stages], dtype=torch.float32)
            angles = times[:, None] * torch.exp(exponents)[None]
            waves = torch.cat([angles.cos(), angles.sin()], -1).to(self.device, self.dtype)
            self._schedules[steps] = (stages, self.time[1](self.time[0].silu(waves)))
        return self._schedules[steps]

    def sample(self, hidden: Tensor, noise: Tensor, scale: Tensor, steps: int) -> Tensor:
        """Latents (lines, latent) float32 from `hidden` (2 * lines, size), conditional rows first.

        `noise` is (lines, latent) float32, `scale` (lines, 1) the classifier-free guidance of each line.
        """
        stages, times = self.prepared(steps)
        return self.solve(stages, self.modulations(hidden, times), noise, scale)

    def modulations(self, hidden: Tensor, times: Tensor) -> list[Tensor]:
        """The adaLN modulations (steps, 2 * lines, …) of each layer and of the last projection.

        `times` are embedded time steps (steps, size).
        """
        condition = self.condition(hidden.to(self.dtype))
        conditions = silu(condition[None] + times[:, None]).view(len(times) * len(hidden), -1)
        return [linear(conditions).view(len(times), len(hidden), -1) for linear in (*self.modulate, self.modulate_last)]

    def solve(self, stages: Sequence[Stage], modulations: list[Tensor], noise: Tensor, scale: Tensor) -> Tensor:
        """The samples (lines, latent) float32 after these stages."""
        lines = len(noise)
        x, before = noise, None
        for index, stage in enumerate(stages):
            velocity = self._velocity(x, [modulation[index] for modulation in modulations])
            conditional, unconditional = velocity[:lines], velocity[lines:]
            guided = unconditional + scale * (conditional - unconditional)
            estimate = stage.alpha * x - stage.sigma * guided
            x, before = advance(stage, x, estimate, before), estimate
        return x

    def _velocity(self, x: Tensor, modulations: list[Tensor]) -> Tensor:
        """(2 * lines, latent) float32."""
        *modulations, last = modulations
        h = self.enter(x.to(self.dtype)).repeat(2, 1)
        for layer, modulation in enumerate(modulations):
            shift, scale, gate = modulation.chunk(3, -1)
            inner = torch.addcmul(shift, rms(h, self.eps) * self.norms[layer], 1 + scale)
            inner = self.up[layer].times(inner, self.gate[layer].silu(inner))
            h = torch.addcmul(h, gate, self.down[layer](inner))
        shift, scale = last.chunk(2, -1)
        return self.leave(torch.addcmul(shift, rms(h, self.eps), 1 + scale)).float()
