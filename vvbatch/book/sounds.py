"""Audio files that stand between the lines of a script, such as a jingle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vvbatch import audio
from vvbatch.book.contents import RATE, BookError

LONGEST_S = 600.0


class BadSound(BookError):
    """A file cannot be a sound: `found` says what is wrong, `allowed` what to name instead."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(f"{found}; {allowed}")
        self.found, self.allowed = found, allowed


def check_sound(path: Path) -> None:
    """Raises BadSound for what is no audio, is too long, or is silent."""
    _decoded(path)


def read_sound(path: Path) -> NDArray[np.float32]:
    """Its samples (frames,), mono at RATE. Raises BadSound."""
    import soxr

    samples, rate = _decoded(path)
    return np.asarray(soxr.resample(samples, rate, RATE, quality="VHQ"), np.float32)


def _decoded(path: Path) -> tuple[NDArray[np.float32], int]:
    """The samples (frames,) at their own rate, and the rate."""
    try:
        samples, rate = audio.read(path, max_duration_s=LONGEST_S)
    except audio.AudioError as error:
        raise BadSound(f"sound {error}", "name a WAV, FLAC, MP3, Ogg or AIFF file of at most 10 minutes") from error
    mixed = np.asarray(audio.mono(samples, rate)[0], np.float32)
    if len(mixed) * RATE < rate or not np.isfinite(mixed).all() or not mixed.any():
        raise BadSound(f"sound {path}: it is silent, or its samples are no numbers", "name another file")
    return mixed, rate
