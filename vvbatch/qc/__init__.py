"""Does a take sound as a take must? Each check is a name, the measured value and the limit it was held against."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vvbatch import audio
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.profiles import QcLimits
from vvbatch.qc.breaks import clicks, dropouts, true_peak
from vvbatch.qc.check import Check, at_least, at_most, score
from vvbatch.qc.signal import Activity, activity, clipped_share
from vvbatch.qc.spectrum import bandwidth_hz, power, repeat
from vvbatch.qc.text import repeated_length, spoken_length, syllables, word_count

__all__ = ["Check", "at_least", "at_most", "judge", "score"]

FEWEST_SYLLABLES = 3  # "Hmm" has no pace
STRESSED = 1.5
MOST_PLACES = 20  # that a check's detail names


def judge(
    samples: NDArray[np.float32], sample_rate: int, text: str | None, limits: QcLimits, *, runaway: bool = False
) -> list[Check]:
    """Every check of a take as the engine gave it that needs no model: float32 mono (frames,), before any gain.

    `text` is what should be heard; without it the checks of its length are left out. `runaway` says that the engine
    was stopped by its budget. When samples are missing, NaN or Inf, what would have been measured on them is left out.
    """
    bad = len(samples) - int(np.isfinite(samples).sum())
    checks = [
        at_most("finite", bad, 0),
        at_least("not_empty", len(samples), 1),
        Check("sample_rate", sample_rate, SAMPLE_RATE, sample_rate == SAMPLE_RATE),
    ]
    if not bad and len(samples):
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows float32 has failed `clipping` or `level`
            heard = activity(samples, sample_rate, limits.silence_dbfs)
            checks += _level_checks(samples, sample_rate, heard, limits)
            checks += _break_checks(samples, sample_rate, text, heard, limits)
        checks += _edge_checks(heard, limits)
        if text is not None:
            checks += _length_checks(heard.speech_s, text, limits)
    return [*checks, at_most("budget", int(runaway), 0)]


def _level_checks(samples: NDArray[np.float32], sample_rate: int, heard: Activity, limits: QcLimits) -> Iterator[Check]:
    yield at_most("dc_offset", abs(float(samples.mean(dtype=np.float64))), limits.dc_offset)
    yield at_most("clipping", clipped_share(samples), limits.clipped_share)
    peak = float(np.abs(samples).max())
    levelled = max(peak, audio.LEVEL)  # what is above is brought down to it
    yield at_most("true_peak", audio.decibel(true_peak(samples) / levelled * audio.LEVEL), limits.true_peak_dbtp)
    yield at_least("level", heard.loud_dbfs, limits.silence_dbfs)
    loudness = audio.loudness_lufs(samples, sample_rate)
    if loudness is not None:
        yield at_least("loudness_min", loudness, limits.loudness_min_lufs)
        yield at_most("loudness_max", loudness - audio.decibel(levelled / audio.LEVEL), limits.loudness_max_lufs)
    yield at_most("noise_floor", heard.floor_dbfs, limits.noise_floor_dbfs)


def _break_checks(
    samples: NDArray[np.float32], sample_rate: int, text: str | None, heard: Activity, limits: QcLimits
) -> Iterator[Check]:
    for name, places, limit in (
        ("clicks", clicks(samples, sample_rate), limits.clicks),
        ("dropouts", dropouts(samples, sample_rate, heard.loud_dbfs), limits.dropouts),
    ):
        yield at_most(name, len(places), limit, {"at_s": places[:MOST_PLACES]} if places else None)
    spectra = power(samples, sample_rate)
    yield at_least("bandwidth", bandwidth_hz(spectra, sample_rate), limits.bandwidth_hz)
    twice = repeat(spectra, sample_rate, limits.repeat_likeness)
    allowed = limits.repeated_s
    if text and (length := spoken_length(text)):  # at its own pace: a word may be said slower where it is stressed
        allowed += STRESSED * heard.speech_s / length * repeated_length(text)
    places_s = {"first_s": twice.first_s, "second_s": twice.second_s} if twice.length_s else None
    yield at_most("repeated", twice.length_s, allowed, places_s)


def _edge_checks(heard: Activity, limits: QcLimits) -> Iterator[Check]:
    yield at_most("leading_silence", heard.leading_s, limits.leading_silence_s)
    yield at_most("trailing_silence", heard.trailing_s, limits.trailing_silence_s)
    yield at_most("inner_silence", heard.inner_s, limits.inner_silence_s)
    yield at_least("speech_share", heard.share, limits.speech_share)
    yield at_most("start_level", heard.start_db, limits.start_level_db)
    yield at_most("end_level", heard.end_db, limits.end_level_db)


def _length_checks(speech_s: float, text: str, limits: QcLimits) -> Iterator[Check]:
    """A short text's pace varies most: the grace is for it."""
    length, grace = spoken_length(text), limits.duration_grace_s
    yield at_least("duration_min", speech_s, max(limits.min_s_per_char * length - grace, 0))
    yield at_most("duration_max", speech_s, limits.max_s_per_char * length + grace)
    count = syllables(text)
    if count >= FEWEST_SYLLABLES:
        yield at_least("s_per_syllable_min", (speech_s + grace) / count, limits.s_per_syllable_min)
        yield at_most("s_per_syllable_max", max(speech_s - grace, 0.0) / count, limits.s_per_syllable_max)
        yield at_most("s_per_word_max", max(speech_s - grace, 0.0) / max(word_count(text), 1), limits.s_per_word_max)
