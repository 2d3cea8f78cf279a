"""A proof of the engine on each device of this machine: a small model with random weights renders a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vvbatch.engine.bench.shapes import NoTokens, NoVoice, RandomWeights, tiny
from vvbatch.engine.bench.speed import ForcedEngine, request
from vvbatch.engine.contract import Chunk, EngineFacts
from vvbatch.engine.vibevoice.device import available, exact_placement
from vvbatch.engine.vibevoice.model import VibeVoice
from vvbatch.engine.vibevoice.utterance import Utterance

LINES, SLOTS, FRAMES = 3, 8, 4
PROMPT_TOKENS, VOICE_FRAMES = 40, 8
TOLERANCE = 5e-2
"""Of latents, which reach 9 here. Another order of the sums makes 3e-5 in so many frames, shorter factors in a GPU's
products more."""


@dataclass(frozen=True)
class Proof:
    """One device, in float32."""

    device: str
    step_shape: str  # following or fixed
    alone_equal: bool  # every line has the same bits alone and among the others
    tokens_equal: bool  # as on the CPU
    latents_max_err: float  # from the CPU's

    @property
    def good(self) -> bool:
        """Whether the device can be trusted with lines."""
        return self.tokens_equal and self.latents_max_err < TOLERANCE


@dataclass
class Spoken:
    tokens: list[int]  # that the scores would choose
    latents: NDArray[np.float32]  # (frames, latent)
    audio: NDArray[np.float32]  # (samples,)


class ScoringEngine(ForcedEngine):
    """Every token is a frame; what the scores would choose is noted."""

    chosen: dict[str, list[int]]

    def _choose(self, slot: int, line: Utterance) -> int | None:
        best = int(self._scores[slot].argmax())
        self.chosen.setdefault(line.request.id, []).append(self._choices[best])
        return super()._choose(slot, line)


def devices() -> list[str]:
    """The devices that torch can use here."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *(["mps"] if available("mps") else []), *cuda]


def proofs() -> Iterator[tuple[str, Proof | RuntimeError]]:
    """Each device with its proof, or with the error that ended it."""
    expected = render(build("cpu"), range(LINES))
    for device in devices():
        try:
            yield device, prove(device, expected)
        except RuntimeError as error:
            yield device, error


def prove(device: str, expected: dict[str, Spoken]) -> Proof:
    """Render lines together and alone on a device, and compare them with what the CPU made of them."""
    engine = build(device)
    together = render(engine, range(LINES))
    alone = {name: line for number in range(LINES) for name, line in render(engine, [number]).items()}
    return Proof(
        device=device,
        step_shape=engine.shape.mode,
        alone_equal=all(np.array_equal(alone[name].audio, line.audio) for name, line in together.items()),
        tokens_equal=all(line.tokens == expected[name].tokens for name, line in together.items()),
        latents_max_err=max(
            float(np.abs(line.latents - expected[name].latents).max()) for name, line in together.items()
        ),
    )


def build(device: str) -> ScoringEngine:
    """An engine of few channels on a device. Raises EngineUnavailable."""
    config = tiny()
    tokens = NoTokens(config, PROMPT_TOKENS)
    choices = sorted({tokens.stop, tokens.start, tokens.end, tokens.frame})
    with torch.inference_mode():
        placement = exact_placement(device, "float32")
        model = VibeVoice(RandomWeights(config), config, choices, tokens.start, SLOTS, placement)
    facts = EngineFacts("vibevoice", "proof", "tiny", "random", device, "float32")
    engine = ScoringEngine(model, tokens, NoVoice(model.latent_size, VOICE_FRAMES), facts, voice_seed=0)
    engine.keep_latents = True
    return engine


def render(engine: ScoringEngine, numbers: range | list[int]) -> dict[str, Spoken]:
    """The first frames of these lines, by their names."""
    engine.chosen = {}
    lines = {request(number).id: engine.start(request(number)) for number in numbers}
    audio: dict[str, list[NDArray[np.float32]]] = {name: [] for name in lines}
    while any(len(chunks) < FRAMES for chunks in audio.values()):
        for event in engine.step():
            if isinstance(event, Chunk):
                audio[event.request_id].append(event.samples)
    for name in lines:
        engine.cancel(name)
    return {
        name: Spoken(
            engine.chosen[name][:FRAMES],
            np.array([latent.numpy() for latent in line.latents[:FRAMES]]),
            np.concatenate(audio[name][:FRAMES]),
        )
        for name, line in lines.items()
    }
