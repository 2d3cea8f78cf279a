"""What is measured of a proof's takes, each against its text and its voice prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from vvbatch import audio
from vvbatch.engine.contract import FRAME, SAMPLE_RATE
from vvbatch.listening.contract import Clip, Model
from vvbatch.listening.wording import spoken_words
from vvbatch.profiles import QcLimits
from vvbatch.qc.signal import activity
from vvbatch.qc.spectrum import bandwidth_hz, power

BATCH = 4  # takes that the listening models check at once


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one take as the engine gave it, before any gain. None: too little sound to measure."""

    level_dbfs: float  # RMS of the whole take
    peak_dbfs: float
    floor_dbfs: float  # the quietest twentieth of its 10 ms frames
    leading_s: float  # silence before the first sound
    trailing_s: float  # silence after the last
    s_per_char: float | None  # seconds from the first to the last sound, per character of the text
    extra_samples: int  # beyond whole frames of the model
    bandwidth: float | None  # of the prompt's, as a ratio
    words: int  # of the text
    word_errors: int  # missing, added or wrong
    similarity: float | None  # cosine of the voice embeddings of take and prompt


@dataclass(frozen=True)
class RenderedTake:
    """The file of a take, and the gain in dB (0 or less) that was applied before it was written."""

    path: Path
    text: str
    gain_db: float


def measure_all(
    takes: Sequence[RenderedTake], prompt: Path, listener: Model, count: Callable[[int, int], None]
) -> list[Measures]:
    """The measures of each take. `listener` has the models `words` and `voice`. Raises AudioError."""
    prompt_hz = bandwidth(mono(prompt))
    found: list[Measures] = []
    for start in range(0, len(takes), BATCH):
        count(start, len(takes))
        batch = takes[start : start + BATCH]
        samples = [mono(take.path) * np.float32(10 ** (-take.gain_db / 20)) for take in batch]
        clips = [Clip(each, SAMPLE_RATE, take.text, prompt) for take, each in zip(batch, samples, strict=True)]
        for clip, checks in zip(clips, listener.check(clips), strict=True):
            made = {check.name: check.value for check in checks if "not_checked" not in (check.detail or {})}
            found.append(measure(clip.samples, clip.text or "", prompt_hz, made.get("wer", 1.0), made.get("voice")))
    count(len(takes), len(takes))
    return found


def measure(
    samples: NDArray[np.float32], text: str, prompt_hz: float, error_rate: float, similarity: float | None
) -> Measures:
    """The measures of mono samples (frames,) at 24 kHz, which are finite and not empty.

    `prompt_hz` is the bandwidth of the voice prompt; `error_rate` and `similarity` are what the listening models found.
    """
    found = activity(samples, SAMPLE_RATE, QcLimits().silence_dbfs)
    words = len(spoken_words(text))
    sounds = found.speech_s > 0
    return Measures(
        level_dbfs=round(audio.rms_dbfs(samples), 2),
        peak_dbfs=round(audio.peak_dbfs(samples), 2),
        floor_dbfs=round(found.floor_dbfs, 2),
        leading_s=round(found.leading_s, 2),
        trailing_s=round(found.trailing_s, 2),
        s_per_char=round(found.speech_s / len(text), 4) if sounds else None,
        extra_samples=len(samples) % FRAME,
        bandwidth=round(bandwidth(samples) / prompt_hz, 3) if sounds else None,
        words=words,
        word_errors=round(error_rate * words),
        similarity=None if similarity is None else round(similarity, 3),
    )


def mono(path: Path) -> NDArray[np.float32]:
    """The samples (frames,) of a file at 24 kHz. Raises AudioError."""
    samples, rate = audio.read(path)
    if rate != SAMPLE_RATE or samples.ndim > 1:
        raise audio.AudioError(f"{path}: it is not mono at {SAMPLE_RATE} Hz")
    return samples


def bandwidth(samples: NDArray[np.float32]) -> float:
    return bandwidth_hz(power(samples, SAMPLE_RATE), SAMPLE_RATE)
