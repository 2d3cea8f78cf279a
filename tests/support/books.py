"""Takes with a known shape, and small books of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from vvbatch.book.build import Work
from vvbatch.book.contents import RATE, About, Break, Chapter, Speech
from vvbatch.book.pauses import Pauses
from vvbatch.book.presets import PRESETS, Preset

Samples = NDArray[np.float32]


def speech_like(seconds: float, seed: int = 0, rms_dbfs: float = -26.0) -> Samples:
    """Noise with the spectrum and the syllables of speech, loud from its first sample to its last."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    low = signal.lfilter([1.0], [1.0, -0.95], random.standard_normal(count))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4.0 * np.arange(count) / RATE + random.uniform(0, 6))
    voiced = low * syllables
    voiced *= 10 ** (rms_dbfs / 20) / np.sqrt(np.mean(np.square(voiced)))
    return np.asarray(np.clip(voiced, -0.85, 0.85), np.float32)


def take_samples(
    seconds: float, seed: int = 0, before_s: float = 0.2, after_s: float = 0.2, rms_dbfs: float = -26.0,
    floor_dbfs: float | None = None,
) -> Samples:  # fmt: skip
    """Silence, speech, silence; with a floor of noise if one is given."""
    speech = speech_like(seconds, seed, rms_dbfs)
    whole = np.pad(speech, (round(before_s * RATE), round(after_s * RATE)))
    if floor_dbfs is not None:
        noise = np.random.default_rng(seed + 99).standard_normal(len(whole)) * 10 ** (floor_dbfs / 20)
        whole = (whole + noise).astype(np.float32)
    return whole


def write_take(folder: Path, name: str, samples: Samples) -> tuple[Path, str]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.wav"
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def speech(
    folder: Path, line: str, samples: Samples, voice: str = "emma", *, text: str = "Some words.", title: bool = False,
    break_after: Break = Break.LINE, pause_after_s: float | None = None,
) -> Speech:  # fmt: skip
    path, sha256 = write_take(folder, line, samples)
    return Speech(line, path, sha256, voice, text, title, break_after, pause_after_s)


def chapter(folder: Path, number: int, lines: int = 3, seconds: float = 1.5, title: str = "") -> Chapter:
    """Lines of two voices that take turns."""
    items = []
    for index in range(lines):
        seed = 100 * number + index
        voice, level = ("emma", -26.0) if index % 2 == 0 else ("carter", -22.0)
        samples = take_samples(seconds, seed, rms_dbfs=level)
        text = f"This is line {index + 1} of chapter {number}."
        items.append(speech(folder, f"c{number:03d}-l{index}", samples, voice, text=text))
    return Chapter(number, title or f"The {number}. chapter", tuple(items))


def work(
    chapters: Sequence[Chapter], preset: Preset = PRESETS["audiobook"], about: About | None = None,
    pauses: Pauses | None = None,
) -> Work:  # fmt: skip
    stated = about or About("The Lamp", author="Jane Author", narrator="Nora Narrator", language="en", date="2026")
    return Work(stated, tuple(chapters), pauses or Pauses(), preset)
