"""What the engine's tests share: a profile for a folder, voices made of noise, requests, and rendering until all is
done."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from vvbatch.engine.contract import Chunk, Failed, Finished, Request, Turn, Voice
from vvbatch.engine.vibevoice import VibeVoiceEngine
from vvbatch.profiles import Generation, Model, Profile, Setting, TextLimits


def profile(
    folder: Path,
    slots: int = 4,
    dtype: str = "float32",
    device: str = "cpu",
    fallback: Sequence[str] = (),
    voice_seed: int | None = None,
) -> Profile:
    return Profile(
        name="tiny",
        title="Tiny model, for tests",
        engine="vibevoice",
        model=Model(repo=str(folder), revision="local"),
        device=device,
        dtype=dtype,
        fallback=list(fallback),
        slots=slots,
        generation=Generation(
            cfg_scale=Setting(golden=1.3, min=1.0, max=3.0),
            steps=Setting(golden=10, min=1, max=50),
            temperature=Setting(golden=0.0, min=0.0, max=2.0),
            voice_seed=voice_seed,
        ),
        text=TextLimits(max_chars=10_000),
    )


def voice(folder: Path, name: str = "noise", frames: int = 4, seed: int = 0, extra: int = 0) -> Voice:
    """A voice of so many whole frames (and `extra` samples) of noise, as a file."""
    file = folder / f"{name}.wav"
    samples = np.random.default_rng(seed).standard_normal(frames * 3200 + extra) * 0.1
    soundfile.write(file, samples.astype(np.float32), 24_000, subtype="FLOAT")
    return Voice(name, file, hashlib.sha256(file.read_bytes()).hexdigest())


def request(name: str, voices: Sequence[Voice], text: str = "Who's there?", seed: int = 5, **more: object) -> Request:
    settings: dict[str, object] = {"cfg_scale": 1.3, "steps": 4, "max_duration_s": 1.0, **more}
    turns = tuple(Turn(speaker, text) for speaker in range(len(voices)))
    return Request(id=name, turns=turns, voices=tuple(voices), seed=seed, **settings)  # type: ignore[arg-type]


class Result:
    def __init__(self) -> None:
        self.chunks: list[np.ndarray] = []
        self.end: Finished | Failed | None = None

    @property
    def audio(self) -> np.ndarray:
        return np.concatenate(self.chunks) if self.chunks else np.zeros(0, np.float32)


def render(engine: VibeVoiceEngine, requests: Sequence[Request], limit: int = 5000) -> dict[str, Result]:
    """Admit as slots come free, until every request has ended."""
    waiting, results, live = list(requests), {one.id: Result() for one in requests}, 0
    for _ in range(limit):
        while waiting and live < engine.slots:
            engine.admit(waiting.pop(0))
            live += 1
        if not live:
            return results
        for event in engine.step():
            result = results[event.request_id]
            if isinstance(event, Chunk):
                result.chunks.append(event.samples)
            else:
                assert result.end is None
                result.end, live = event, live - 1
    raise AssertionError(f"not done after {limit} steps")
