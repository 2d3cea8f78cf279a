"""Audio files that stand between the lines of a script, such as a jingle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vvbatch import audio
from vvbatch.book.contents import RATE, BookError

LONGEST_S = 600.0


def read_sound(path: Path) -> NDArray[np.float32]:
    """Its samples (frames,), mono at RATE. Raises BookError for what is no audio, is too long, or is silent."""
    import soxr

    try:
        samples, rate = audio.read(path, max_duration_s=LONGEST_S)
    except audio.AudioError as error:
        raise BookError(f"sound {error}; name a WAV, FLAC, MP3, Ogg or AIFF file of at most 10 minutes") from error
    mixed, _ = audio.mono(samples, rate)
    resampled = np.asarray(soxr.resample(np.asarray(mixed, np.float32), rate, RATE, quality="VHQ"), np.float32)
    if not len(resampled) or not np.isfinite(resampled).all() or not resampled.any():
        raise BookError(f"sound {path}: it is silent, or its samples are no numbers; name another file")
    return resampled
