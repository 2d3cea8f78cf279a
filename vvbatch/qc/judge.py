"""Checks of a take that need no model. Each check has a name, the measured value and its limit."""

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
from vvbatch.qc.text import longest, repeated_length, shortest, usual

__all__ = ["Check", "at_least", "at_most", "judge", "score"]

FEWEST_SYLLABLES = 3  # shorter texts ("Hmm") have no pace
SILENCE_S = 1.0  # of silence are not counted: a single short word has that much around it
STRESSED = 1.5  # how much slower a word is spoken where it is stressed
MOST_TIMES = 20  # that the detail of a check lists


def judge(
    samples: NDArray[np.float32], sample_rate: int, text: str | None, limits: QcLimits, *, runaway: bool = False
) -> list[Check]:
    """The checks of a take as it came from the engine: float32 mono (frames,) at `sample_rate` Hz, before any gain.

    Without the expected `text`, the checks of duration are left out. `runaway`: the engine reached its audio budget.
    When samples are missing, NaN or infinite, only the checks that report this are made. Every value is finite.
    """
    bad = len(samples) - int(np.isfinite(samples).sum())
    checks = [
        at_most("finite", bad, 0),
        at_least("not_empty", len(samples), 1),
        Check("sample_rate", sample_rate, SAMPLE_RATE, sample_rate == SAMPLE_RATE),
    ]
    if not bad and len(samples):
        with np.errstate(over="ignore", invalid="ignore"):  # samples that overflow float32 fail `clipping` or `level`
            found = activity(samples, sample_rate, limits.silence_dbfs)
            checks += _level_checks(samples, sample_rate, found, limits)
            checks += _break_checks(samples, sample_rate, text, found, limits)
        checks += _edge_checks(found, limits)
        if text is not None:
            checks += _length_checks(found.speech_s, text, limits)
    return [*checks, at_most("budget", int(runaway), 0)]


def _level_checks(samples: NDArray[np.float32], sample_rate: int, found: Activity, limits: QcLimits) -> Iterator[Check]:
    yield at_most("dc_offset", abs(float(samples.mean(dtype=np.float64))), limits.dc_offset)
    yield at_most("clipping", clipped_share(samples), limits.clipped_share)
    peak = float(np.abs(samples).max())
    levelled = max(peak, audio.LEVEL)  # a higher peak is scaled down to LEVEL
    yield at_most("true_peak", audio.decibel(true_peak(samples) / levelled * audio.LEVEL), limits.true_peak_dbtp)
    yield at_least("level", found.loud_dbfs, limits.silence_dbfs)
    loudness = audio.loudness_lufs(samples, sample_rate)
    if loudness is not None:
        yield at_least("loudness_min", loudness, limits.loudness_min_lufs)
        yield at_most("loudness_max", loudness - audio.decibel(levelled / audio.LEVEL), limits.loudness_max_lufs)
    yield at_most("noise_floor", found.floor_dbfs, limits.noise_floor_dbfs)


def _break_checks(
    samples: NDArray[np.float32], sample_rate: int, text: str | None, found: Activity, limits: QcLimits
) -> Iterator[Check]:
    for name, times, limit in (
        ("clicks", clicks(samples, sample_rate), limits.clicks),
        ("dropouts", dropouts(samples, sample_rate, found.loud_dbfs), limits.dropouts),
    ):
        yield at_most(name, len(times), limit, {"at_s": times[:MOST_TIMES]} if times else None)
    spectra = power(samples, sample_rate)
    yield at_least("bandwidth", bandwidth_hz(spectra, sample_rate), limits.bandwidth_hz)
    twice = repeat(spectra, sample_rate, limits.repeat_likeness)
    allowed = limits.repeated_s
    if text and (length := usual(text).length):  # repetitions of the text itself, at the pace of the take
        allowed += STRESSED * found.speech_s / length * repeated_length(text)
    times_s = {"first_s": twice.first_s, "second_s": twice.second_s} if twice.length_s else None
    yield at_most("repeated", twice.length_s, allowed, times_s)


def _edge_checks(found: Activity, limits: QcLimits) -> Iterator[Check]:
    yield at_most("leading_silence", found.leading_s, limits.leading_silence_s)
    yield at_most("trailing_silence", found.trailing_s, limits.trailing_silence_s)
    yield at_most("inner_silence", found.inner_s, limits.inner_silence_s)
    yield at_least("speech_share", found.speech_share(SILENCE_S), limits.speech_share)
    yield at_most("start_level", found.start_db, limits.start_level_db)
    yield at_most("end_level", found.end_db, limits.end_level_db)


def _length_checks(speech_s: float, text: str, limits: QcLimits) -> Iterator[Check]:
    """The shortest reading of the text sets the lower limits, the longest reading the upper limits.

    The grace is for short texts, whose pace varies most.
    """
    least, most, grace = shortest(text), longest(text), limits.duration_grace_s
    yield at_least("duration_min", speech_s, max(limits.min_s_per_char * least.length - grace, 0))
    yield at_most("duration_max", speech_s, limits.max_s_per_char * most.length + grace)
    if usual(text).syllables >= FEWEST_SYLLABLES:
        slow_s = max(speech_s - grace, 0.0)
        yield at_least("s_per_syllable_min", (speech_s + grace) / max(least.syllables, 1), limits.s_per_syllable_min)
        yield at_most("s_per_syllable_max", slow_s / most.syllables, limits.s_per_syllable_max)
        yield at_most("s_per_word_max", slow_s / max(most.words, 1), limits.s_per_word_max)
