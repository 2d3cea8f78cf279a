"""Measure how two takes of the same text differ."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from vvbatch import audio
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.profiles import QcLimits
from vvbatch.qc.signal import activity
from vvbatch.regress.compare.alignment import align
from vvbatch.regress.compare.spectrum import log_mel
from vvbatch.voices.measure import pitch

SHORT = 2400  # samples: of takes shorter than 0.1 s only length and level are compared
QUIETEST_DBFS = -90.0  # a quieter background counts as silence

Samples = NDArray[np.float32]


class Difference(msgspec.Struct, frozen=True):
    """The second take against the first; None where one of them has nothing to measure (no sound, no voice)."""

    bits: bool  # all samples are equal
    duration_s: float
    duration_ratio: float | None
    missing_s: float | None  # speech of the first take that is cut from the end of the second
    added_s: float | None  # sound of the second take after the end of the first
    rate: float | None  # speaking rate, second over first, in the part that both have: 1.03 is 3 % faster
    pause_s: float | None  # longest inner silence, second minus first
    loudness_db: float | None
    peak_db: float | None
    floor_db: float | None  # level of the quietest tenth
    pitch_semitones: float | None
    pitch_range_semitones: float | None
    mel_db: float | None  # mean difference of a mel band after alignment

    def rounded(self) -> Difference:
        """The same with four decimals."""
        values = msgspec.structs.asdict(self).items()
        return msgspec.structs.replace(
            self, **{name: round(value, 4) for name, value in values if isinstance(value, float)}
        )


def compare(first: Samples, second: Samples) -> Difference:
    """Compare two takes: mono float32 (frames,) at SAMPLE_RATE, finite. Lengths may differ."""
    lengths = len(first) / SAMPLE_RATE, len(second) / SAMPLE_RATE
    bits = bool(np.array_equal(first, second))
    measured = both(first, second) if min(len(first), len(second)) >= SHORT else {}
    return Difference(
        bits=bits,
        duration_s=lengths[1] - lengths[0],
        duration_ratio=lengths[1] / lengths[0] if lengths[0] else None,
        loudness_db=minus(*(audio.loudness_lufs(each, SAMPLE_RATE) for each in (first, second))),
        peak_db=minus(*(audio.peak_dbfs(each) for each in (first, second))),
        missing_s=measured.get("missing_s"),
        added_s=measured.get("added_s"),
        rate=measured.get("rate"),
        pause_s=measured.get("pause_s"),
        floor_db=measured.get("floor_db"),
        pitch_semitones=measured.get("pitch_semitones"),
        pitch_range_semitones=measured.get("pitch_range_semitones"),
        mel_db=measured.get("mel_db"),
    )


def both(first: Samples, second: Samples) -> dict[str, float | None]:
    """The measures that need sound in both takes, by their names in Difference; empty if one of them is silent."""
    silence = QcLimits().silence_dbfs
    spoken = [activity(each, SAMPLE_RATE, silence) for each in (first, second)]
    if not all(each.speech_s for each in spoken):
        return {}
    begins = [each.leading_s for each in spoken]
    ends = [each.leading_s + each.speech_s for each in spoken]
    takes = zip((first, second), begins, ends, strict=True)
    sounding = [samples[sample_index(begin) : sample_index(end)] for samples, begin, end in takes]
    alignment = align(*(log_mel(each) for each in sounding))
    voices = [pitch(each.astype(np.float64)) for each in sounding]
    voiced = all(voice.median_hz for voice in voices)
    return {
        "missing_s": alignment.before_left_s,
        "added_s": alignment.after_left_s,
        "rate": alignment.before_s / alignment.after_s,
        "pause_s": spoken[1].inner_s - spoken[0].inner_s,
        "floor_db": floor_dbfs(second) - floor_dbfs(first),
        "pitch_semitones": 12 * float(np.log2(voices[1].median_hz / voices[0].median_hz)) if voiced else None,
        "pitch_range_semitones": voices[1].range_semitones - voices[0].range_semitones if voiced else None,
        "mel_db": alignment.distance_db,
    }


def sample_index(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def floor_dbfs(samples: Samples) -> float:
    """The 10th percentile of the levels of 10 ms frames, in dBFS, at least QUIETEST_DBFS."""
    size = SAMPLE_RATE // 100
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    levels = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-12)
    return max(float(np.percentile(levels, 10)), QUIETEST_DBFS)


def minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else second - first
