"""How fast an engine renders, alone and with every slot occupied: for estimates before the ledger has takes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import (
    SAMPLE_RATE,
    Chunk,
    Engine,
    EngineUnavailable,
    Failed,
    Finished,
    Request,
    Turn,
    Voice,
)
from vvbatch.profiles import Profile
from vvbatch.script.model import SECONDS_PER_CHARACTER

TEXT = "The keeper climbed the stairs with a lantern, and counted every step."
FIRST = "Hello."
BUDGET_S = 10.0  # for each of the two measurements


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds a character of each line: `shared_s + own_s * lines` while so many lines are rendered at once."""

    engine: str
    model: str
    revision: str
    device: str
    dtype: str
    slots: int
    shared_s: float
    own_s: float
    audio_s_per_character: float

    def is_of(self, engine: Engine) -> bool:
        """Whether it was measured with this engine: the same model on the same device with as many slots."""
        facts = engine.facts
        known = self.engine, self.model, self.revision, self.device, self.dtype, self.slots
        return known == (
            f"{facts.engine} {facts.version}", facts.model, facts.revision, facts.device, facts.dtype, engine.slots,
        )  # fmt: skip


class Rendered(NamedTuple):
    took_s: float
    audio_s: float  # of one line, on average
    complete: bool


def measure(
    engine: Engine,
    profile: Profile,
    voice: Voice,
    check: Callable[[NDArray[np.float32], str], object] = lambda _samples, _text: None,
    budget_s: float = BUDGET_S,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Render one line alone, then one in every slot. `check` is what a worker does with the samples of each.

    Raises RequestRefused, EngineUnavailable.
    """
    golden = profile.generation

    def request(number: int, text: str) -> Request:
        parameters = golden.cfg_scale.golden, int(golden.steps.golden)
        return Request(f"measure-{number}", (Turn(0, text),), (voice,), number, *parameters)

    render(engine, [request(0, FIRST)], check, budget_s, clock)
    alone = render(engine, [request(0, TEXT)], check, budget_s, clock)
    full = render(engine, [request(number, TEXT) for number in range(engine.slots)], check, budget_s, clock)
    per_character = alone.audio_s / len(TEXT) if alone.complete else SECONDS_PER_CHARACTER
    one_s, many_s = (each.took_s / (each.audio_s / per_character) for each in (alone, full))
    others = engine.slots - 1
    own_s = min(max(0.0, (many_s - one_s) / others), many_s / engine.slots) if others else 0.0
    return Speed(
        engine=f"{engine.facts.engine} {engine.facts.version}",
        model=engine.facts.model,
        revision=engine.facts.revision,
        device=engine.facts.device,
        dtype=engine.facts.dtype,
        slots=engine.slots,
        shared_s=max(0.0, many_s - own_s * engine.slots),
        own_s=own_s,
        audio_s_per_character=per_character,
    )


def render(
    engine: Engine,
    requests: list[Request],
    check: Callable[[NDArray[np.float32], str], object],
    budget_s: float,
    clock: Callable[[], float],
) -> Rendered:
    """Until all are complete, or for `budget_s` when that is not enough."""
    begun = clock()
    texts: Mapping[str, str] = {request.id: request.turns[0].text for request in requests}
    samples: dict[str, list[NDArray[np.float32]]] = {request.id: [] for request in requests}
    for request in requests:
        engine.admit(request)
    left = set(samples)
    while left:
        for event in engine.step():
            if isinstance(event, Chunk):
                samples[event.request_id].append(event.samples)
            elif isinstance(event, Failed):
                cancel(engine, left)
                raise EngineUnavailable(f"the engine gave no audio for {texts[event.request_id]!r}: {event.error}")
            elif isinstance(event, Finished):
                left.discard(event.request_id)
                check(np.concatenate(samples[event.request_id]), texts[event.request_id])
        if clock() - begun > budget_s and all(samples.values()):
            break
    cancel(engine, left)
    count = sum(len(chunk) for chunks in samples.values() for chunk in chunks)
    return Rendered(clock() - begun, count / SAMPLE_RATE / len(requests), not left)


def cancel(engine: Engine, ids: set[str]) -> None:
    for each in ids:
        engine.cancel(each)
