"""The shape of a step, and the check that decides it.

In a following shape a step computes the rows of the lines that speak. That is allowed only if a row's bits are the same
however many rows are computed with it, which depends on the library behind the products, the CPU or GPU, the dtype and
the number of threads. So a loaded model is checked. Where bits differ, every step computes as many rows as a full
engine has: rows of the scratch slot fill it up. So it does with the CPU's plain products: in float16 they differ in one
element of ten thousand, too rarely for a check.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vvbatch.engine.vibevoice.codec import Chain
from vvbatch.engine.vibevoice.model import VibeVoice
from vvbatch.engine.vibevoice.ops import packs

DIFFUSION_STEPS = 10
"""Of the check: as many as profiles use, because the modulations of all steps come from one product."""
PIECES = (1, 7, 40, 112)
"""Tokens of the prompts that are checked together: as many rows as a pass over several prompts has."""
CONTEXT = 24
"""Positions that the rows of the check have behind them."""


@dataclass(frozen=True)
class StepShape:
    slots: int
    following: bool  # a step computes the lines that speak, else always `slots` lines
    independent: bool  # no line's bits depend on the other lines

    @property
    def mode(self) -> str:
        return "following" if self.following else "fixed"

    def filled(self, rows: Sequence[int], scratch: int) -> list[int]:
        """`rows`, in a fixed shape filled up with `scratch`."""
        return [*rows, *[scratch] * (0 if self.following else self.slots - len(rows))]


Part = Callable[[Sequence[int]], Tensor]
"""A part of a step on the check's own inputs: the results (lines, …) of some of its lines."""


@torch.inference_mode()
def checked(model: VibeVoice) -> StepShape:
    """Run each part of a step for few lines and for all, and compare bit for bit.

    The first lines of a smaller pass are the last ones of the full pass, so a row's place changes as well. Of layers
    that have the same products the first is checked: one of the language model, one block of each of the tokenizers'
    stages, and two of the diffusion's steps.
    """
    everyone = range(model.slots)
    generator = torch.Generator().manual_seed(0)
    parts = [make(model, generator) for make in (language, scores, diffusion, decoder, encoder)]
    full = [part(everyone) for part in parts]

    def same(lines: Sequence[int]) -> bool:
        return all(torch.equal(part(lines), whole[list(lines)]) for part, whole in zip(parts, full, strict=True))

    counts = sorted({1, 2, model.slots // 2 + 1} & set(range(1, model.slots)))
    trusted = model.placement.device.type != "cpu" or packs(model.placement.device, model.language.dtype)
    following = trusted and all(same(everyone[-count:]) for count in counts) and prompts_alike(model, generator)
    independent = following or same(everyone[::-1])
    for context in (*model.decoder.contexts(), *model.encoder.contexts()):
        context.past.zero_()
    return StepShape(model.slots, following, independent)


def random(model: VibeVoice, generator: torch.Generator, *shape: int) -> Tensor:
    """Float32 on the model's device, the same numbers on every device."""
    return torch.randn(*shape, generator=generator).to(model.placement.device)


def language(model: VibeVoice, generator: torch.Generator) -> Part:
    first = model.language.first_layer()
    x = random(model, generator, 2, model.slots, first.size).to(first.dtype)
    caches = [first.cache() for _ in range(2 * model.slots)]
    for number, cache in enumerate(caches):
        cache.reserve(CONTEXT + 1)
        cache.length = CONTEXT - number % CONTEXT
        cache.data.copy_(random(model, generator, *cache.data.shape))

    def part(lines: Sequence[int]) -> Tensor:
        branches = [*lines, *(model.slots + line for line in lines)]
        hidden = first.step(x[:, list(lines)].flatten(0, 1), [caches[branch] for branch in branches])
        return hidden.view(2, len(lines), -1).transpose(0, 1)

    return part


def scores(model: VibeVoice, generator: torch.Generator) -> Part:
    hidden = random(model, generator, model.slots, model.language.size).to(model.language.dtype)
    return lambda lines: model.scores(hidden[list(lines)])


def diffusion(model: VibeVoice, generator: torch.Generator) -> Part:
    hidden = random(model, generator, 2, model.slots, model.language.size).to(model.language.dtype)
    noise = random(model, generator, model.slots, model.latent_size)
    scale = 1.3 + random(model, generator, model.slots, 1).abs()

    stages, times = model.head.prepared(DIFFUSION_STEPS)

    def part(lines: Sequence[int]) -> Tensor:
        chosen = list(lines)
        modulations = model.head.modulations(hidden[:, chosen].flatten(0, 1), times)
        solved = model.head.solve(stages[:2], modulations, noise[chosen], scale[chosen])
        steps = [each.view(DIFFUSION_STEPS, 2, len(chosen), -1).permute(2, 0, 1, 3).flatten(1) for each in modulations]
        return torch.cat([solved, *(each.float() for each in steps)], 1)

    return part


def decoder(model: VibeVoice, generator: torch.Generator) -> Part:
    latents = random(model, generator, model.slots, model.latent_size)
    chain = model.decoder.first_blocks()
    return remembering(model, chain, generator, lambda slots: chain(latents[slots], slots))


def encoder(model: VibeVoice, generator: torch.Generator) -> Part:
    """With both connectors."""
    latents = random(model, generator, model.slots, model.latent_size)
    audio = 0.1 * random(model, generator, model.slots, model.frame_samples)
    chain = model.encoder.first_blocks()

    def run(slots: Tensor) -> Tensor:
        return model.acoustic(latents[slots]) + model.semantic(chain(audio[slots], slots))

    return remembering(model, chain, generator, run)


def remembering(
    model: VibeVoice, tokenizer: Chain, generator: torch.Generator, run: Callable[[Tensor], Tensor]
) -> Part:
    """A part in which the tokenizer begins with the same random past whenever it is run."""
    pasts = [(context, random(model, generator, *context.past.shape)) for context in tokenizer.contexts()]

    def part(lines: Sequence[int]) -> Tensor:
        for context, past in pasts:
            context.past.copy_(past)
        return run(torch.tensor(list(lines), device=model.placement.device))

    return part


def prompts_alike(model: VibeVoice, generator: torch.Generator) -> bool:
    """Whether prompts that are read in one pass have the bits of prompts that are read alone."""
    first = model.language.first_layer()
    pieces = [random(model, generator, tokens, first.size).to(first.dtype) for tokens in PIECES]
    together, alone = [[(piece, first.cache()) for piece in pieces] for _ in range(2)]
    hidden = first.extend(together)
    return all(
        torch.equal(hidden[row], first.extend([alone[row]])[0])
        and torch.equal(together[row][1].data[..., :tokens, :], alone[row][1].data[..., :tokens, :])
        for row, tokens in enumerate(PIECES)
    )
