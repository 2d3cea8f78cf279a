"""Differences between the engine's output and the original implementation's, from the same model, prompt and random
numbers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import Chunk, EngineUnavailable, Failed, Finished, Request, Turn, Voice
from vvbatch.engine.vibevoice import VibeVoiceEngine
from vvbatch.engine.vibevoice.device import exact_placement
from vvbatch.engine.vibevoice.prompt import Prompt
from vvbatch.profiles import Generation, Model, Profile, Setting, TextLimits

SEED, CFG_SCALE, STEPS, MAX_TOKENS = 1234, 1.3, 10, 100
"""What the reference outputs were made with."""


@dataclass(frozen=True)
class Expected:
    input_ids: list[int]
    tokens: list[int]
    latents: NDArray[np.float32]
    audio: NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """One case at one number of slots. An error of None: the lengths differ, so nothing can be compared."""

    case: str
    device: str
    slots: int
    together: int  # how many cases were in the batch
    prompt_equal: bool
    tokens_equal: bool
    latents_max_err: float | None
    audio_max_err: float | None


def parity(folder: Path, dtype: str = "float32", device: str = "cpu") -> list[Case]:
    """Run every case of `folder` (model, v1.wav …, expected.npz) at 1 slot and all together. Raises
    EngineUnavailable."""
    expected = read_expected(folder / "expected.npz")
    where = exact_placement(device, dtype)
    with TemporaryDirectory() as cache:
        alone = VibeVoiceEngine.open(profile(folder, 1, dtype), Path(cache), where)
        results = [case for name in expected for case in run(alone, folder, {name: expected[name]})]
        alone.close()
        together = VibeVoiceEngine.open(profile(folder, max(4, len(expected)), dtype), Path(cache), where)
        results += run(together, folder, expected)
        together.close()
    return results


def read_expected(file: Path) -> dict[str, Expected]:
    """By case. Raises EngineUnavailable."""
    if not file.is_file():
        raise EngineUnavailable(f"{file} is missing: it holds what the original made of this model")
    try:
        with np.load(file, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise EngineUnavailable(f"{file} cannot be read: {error}") from error
    names = sorted(name.removesuffix("_input_ids") for name in arrays if name.endswith("_input_ids"))
    if not names:
        raise EngineUnavailable(f"{file} holds no case: no array is called …_input_ids")
    for name in names:
        lacking = [part for part in ("tokens", "latents", "audio") if f"{name}_{part}" not in arrays]
        if lacking:
            raise EngineUnavailable(f"{file} lacks {name}_{lacking[0]}")
    return {
        name: Expected(
            arrays[f"{name}_input_ids"].reshape(-1).tolist(),
            arrays[f"{name}_tokens"].reshape(-1).tolist(),
            arrays[f"{name}_latents"],
            arrays[f"{name}_audio"].reshape(-1),
        )
        for name in names
    }


def profile(folder: Path, slots: int, dtype: str) -> Profile:
    return Profile(
        name="parity",
        title="Parity with the original",
        engine="vibevoice",
        model=Model(repo=str(folder), revision="local"),
        device="cpu",
        dtype=dtype,
        slots=slots,
        generation=Generation(
            cfg_scale=Setting(golden=CFG_SCALE, min=CFG_SCALE, max=CFG_SCALE),
            steps=Setting(golden=STEPS, min=STEPS, max=STEPS),
        ),
        text=TextLimits(max_chars=100_000),
    )


def run(engine: VibeVoiceEngine, folder: Path, cases: dict[str, Expected]) -> Iterator[Case]:
    """Render the cases in one batch and compare each."""
    engine.keep_latents = True
    lines, audio, left = {}, {name: [np.zeros(0, np.float32)] for name in cases}, set(cases)
    for name, expected in cases.items():
        lines[name] = engine.start(request(engine, folder, name, expected.input_ids), max_tokens=MAX_TOKENS)
    while left:
        for event in engine.step():
            if isinstance(event, Chunk):
                audio[event.request_id].append(event.samples)
            elif isinstance(event, Finished | Failed):
                left.discard(event.request_id)
    for name, expected in cases.items():
        line = lines[name]
        latents = np.array([latent.numpy() for latent in line.latents], np.float32).reshape(
            -1, expected.latents.shape[1]
        )
        yield Case(
            case=name,
            device=engine.facts.device,
            slots=engine.slots,
            together=len(cases),
            prompt_equal=ids(line.prompt) == expected.input_ids,
            tokens_equal=line.tokens == expected.tokens,
            latents_max_err=error(latents, expected.latents),
            audio_max_err=error(np.concatenate(audio[name]), expected.audio),
        )


def ids(prompt: Prompt) -> list[int]:
    return prompt.prefix + prompt.text


def error(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float | None:
    if found.shape != expected.shape:
        return None
    return float(np.abs(found - expected).max(initial=0.0))


def request(engine: VibeVoiceEngine, folder: Path, name: str, input_ids: Sequence[int]) -> Request:
    """The request that a prompt was made from: its turns read back from the tokens, its voices v1.wav, v2.wav …"""
    voices = sum(1 for here, after in pairwise(input_ids) if here == engine.tokens.start != after)
    text = engine.tokens.decode(input_ids)
    _, _, said = text.partition(" Text input:\n")
    turns = re.findall(r"^ Speaker (\d+): (.*)$", said, re.MULTILINE)
    if not turns:
        raise EngineUnavailable(f"{folder}: the prompt of case {name!r} cannot be read back: {text!r}")
    files = [folder / f"v{number + 1}.wav" for number in range(voices)]
    return Request(
        id=name,
        turns=tuple(Turn(int(speaker), words) for speaker, words in turns),
        voices=tuple(Voice(file.stem, file, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files),
        seed=SEED,
        cfg_scale=CFG_SCALE,
        steps=STEPS,
    )


def as_json(folder: Path, dtype: str, cases: Sequence[Case]) -> dict[str, object]:
    return {"folder": str(folder), "dtype": dtype, "cases": [asdict(case) for case in cases]}
