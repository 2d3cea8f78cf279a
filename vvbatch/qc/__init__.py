"""Does a take sound as a take must? Each check is a name, the measured value and the limit it was held against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vvbatch import audio
from vvbatch.engine import SAMPLE_RATE
from vvbatch.profiles import QcLimits
from vvbatch.qc.check import Check, at_least, at_most, score
from vvbatch.qc.signal import activity, clipped_share
from vvbatch.qc.text import spoken_length

__all__ = ["Check", "at_least", "at_most", "file_report", "judge", "score"]


def judge(
    samples: NDArray[np.float32], sample_rate: int, text: str | None, limits: QcLimits, *, runaway: bool = False
) -> list[Check]:
    """Every check of a take as the engine gave it: float32 mono (frames,), before any gain.

    `text` is what should be heard; without it the two duration checks are left out. `runaway` says that the engine
    was stopped by its budget. When samples are missing, NaN or Inf, what would have been measured on them is left out.
    """
    bad = len(samples) - int(np.isfinite(samples).sum())
    checks = [
        at_most("finite", bad, 0),
        at_least("not_empty", len(samples), 1),
        Check("sample_rate", sample_rate, SAMPLE_RATE, sample_rate == SAMPLE_RATE),
    ]
    if not bad and len(samples):
        checks += _signal_checks(samples, sample_rate, text, limits)
    return [*checks, at_most("budget", int(runaway), 0)]


def _signal_checks(
    samples: NDArray[np.float32], sample_rate: int, text: str | None, limits: QcLimits
) -> Iterator[Check]:
    yield at_most("dc_offset", abs(float(samples.mean(dtype=np.float64))), limits.dc_offset)
    yield at_most("clipping", clipped_share(samples), limits.clipped_share)
    heard = activity(samples, sample_rate, limits.silence_dbfs)
    yield at_least("level", heard.loud_dbfs, limits.silence_dbfs)
    if text is not None:
        length = spoken_length(text)
        yield at_least("duration_min", heard.speech_s, max(limits.min_s_per_char * length - limits.duration_grace_s, 0))
        yield at_most("duration_max", heard.speech_s, limits.max_s_per_char * length + limits.duration_grace_s)
    yield at_most("leading_silence", heard.leading_s, limits.leading_silence_s)
    yield at_most("trailing_silence", heard.trailing_s, limits.trailing_silence_s)
    yield at_most("inner_silence", heard.inner_s, limits.inner_silence_s)
    yield at_least("speech_share", heard.share, limits.speech_share)
    yield at_most("end_level", heard.end_db, limits.end_level_db)


def file_report(path: Path, text: str | None, limits: QcLimits) -> dict[str, Any]:
    """The checks of an audio file as `{"file", "ok", "checks": [{"name", "value", "limit", "ok"}]}`.

    Several channels are judged as their mean, and fail a check of their own. A file that cannot be read has the one
    failed check `readable` and an `error`.
    """
    try:
        samples, sample_rate = audio.read(path)
    except audio.AudioError as error:
        return {"file": str(path), "ok": False, "checks": [at_least("readable", 0, 1).as_json()], "error": str(error)}
    channels = samples.shape[1] if samples.ndim > 1 else 1
    mono = samples.mean(axis=1) if channels > 1 else samples
    checks = [at_most("channels", channels, 1), *judge(mono, sample_rate, text, limits)]
    return {"file": str(path), "ok": all(check.ok for check in checks), "checks": [check.as_json() for check in checks]}
