"""Make the next worker's first line quick: read the model's files once, and encode every voice into the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from vvbatch.batch.speeds import measured
from vvbatch.engine import open_engine
from vvbatch.engine.contract import Chunk, Engine, EngineUnavailable, Request, Turn, Voice
from vvbatch.engine.measure import Speed
from vvbatch.profiles import Profile

TEXT = "Hello."
LONGEST_WAIT = 10_000  # steps until the first chunk


class FirstLine(msgspec.Struct, frozen=True, kw_only=True):
    load_s: float
    first_chunk_s: float  # from the line's admission to its first audio


class Warmup(msgspec.Struct, frozen=True, kw_only=True):
    profile: str
    device: str
    dtype: str
    voices: list[str]  # those that were encoded
    voices_s: float
    before: FirstLine
    after: FirstLine
    speed: Speed


def warmup(
    profile: Profile,
    cache: Path,
    voices: Sequence[Voice],
    open_it: Callable[[Profile, Path], Engine] = open_engine,
) -> Warmup:
    """Time a first line, encode the voices, and time a first line again with a new engine, as a worker will have.

    Then that engine's speed is measured. The lines are spoken with the first voice. Raises EngineUnavailable,
    RequestRefused.
    """
    engine, before = first_line(profile, cache, voices[0], open_it)
    begun = time.perf_counter()
    try:
        if profile.engine == "vibevoice":
            read_voices(engine, voices)
    finally:
        engine.close()
    voices_s = time.perf_counter() - begun
    engine, after = first_line(profile, cache, voices[0], open_it)
    try:
        speed = measured(engine, profile, voices[0])
    finally:
        engine.close()
    return Warmup(
        profile=profile.name,
        device=engine.facts.device,
        dtype=engine.facts.dtype,
        voices=[voice.name for voice in voices] if profile.engine == "vibevoice" else [],
        voices_s=round(voices_s, 3),
        before=before,
        after=after,
        speed=speed,
    )


def read_voices(engine: Engine, voices: Sequence[Voice]) -> None:
    from vvbatch.engine.vibevoice import VibeVoiceEngine

    assert isinstance(engine, VibeVoiceEngine)
    engine.read_voices(voices)


def first_line(
    profile: Profile, cache: Path, voice: Voice, open_it: Callable[[Profile, Path], Engine]
) -> tuple[Engine, FirstLine]:
    begun = time.perf_counter()
    engine = open_it(profile, cache)
    loaded = time.perf_counter()
    golden = profile.generation
    engine.admit(Request("warmup", (Turn(0, TEXT),), (voice,), 0, golden.cfg_scale.golden, int(golden.steps.golden)))
    for _ in range(LONGEST_WAIT):
        events = engine.step()
        if any(isinstance(event, Chunk) for event in events):
            engine.cancel("warmup")
            first_chunk = time.perf_counter()
            return engine, FirstLine(load_s=round(loaded - begun, 3), first_chunk_s=round(first_chunk - loaded, 3))
        if events:
            break
    engine.close()
    raise EngineUnavailable(f"the engine of profile {profile.name!r} gave no audio for {TEXT!r}")
