"""From any recording to a voice prompt: mono, 24 kHz, no offset, no silence at the ends, one level, whole frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import FRAME, SAMPLE_RATE
from vvbatch.voices.errors import InvalidVoice

LEVEL_DBFS = -25.0  # RMS; the level of the prompts that the models were trained with
PEAK_DBFS = -1.0
SHORTEST_S = 0.4
HOP = 240  # 10 ms
SILENT_BELOW_DB = 35.0  # under the loud parts' level
MARGIN = 1_200  # samples kept around the speech, so that no onset is cut

Samples = NDArray[np.float32]


def prepare(samples: NDArray[np.floating], rate: int) -> Samples:
    """A voice prompt from `samples`, (n,) or (n, channels) at `rate` Hz.

    Returns float32 (k * FRAME,) at SAMPLE_RATE, RMS LEVEL_DBFS (less where the peak would pass PEAK_DBFS). Raises
    InvalidVoice for samples that are not finite, silent, or hold less than SHORTEST_S of sound.
    """
    signal = mono(samples, rate)
    signal = signal - signal.mean()  # before resampling, which would ring at the step that an offset makes at both ends
    if rate != SAMPLE_RATE:
        import soxr

        signal = soxr.resample(signal, rate, SAMPLE_RATE, "VHQ")
    return level(whole_frames(signal - signal.mean()))


def mono(samples: NDArray[np.floating], rate: int) -> NDArray[np.float64]:
    """One channel (n,), as `vvbatch.audio.mono` makes it. Raises as `refuse_unusable`."""
    from vvbatch import audio

    refuse_unusable(samples)
    return audio.mono(samples, rate)[0]


def refuse_unusable(samples: NDArray[np.floating]) -> None:
    """Raise InvalidVoice for no samples, or NaN or infinite ones."""
    if samples.size == 0:
        raise InvalidVoice("it holds no samples")
    if not np.isfinite(samples).all():
        raise InvalidVoice("it holds samples that are not numbers (NaN or infinite)")


def sounding(signal: NDArray[np.float64]) -> tuple[int, int]:
    """The range of samples from the first to the last that is louder than silence. Raises InvalidVoice."""
    levels = hop_levels(signal)
    loud = float(np.percentile(levels, 95))
    if loud < -70.0:
        raise InvalidVoice("it is silent")
    (hops,) = np.nonzero(levels > loud - SILENT_BELOW_DB)
    return int(hops[0]) * HOP, min((int(hops[-1]) + 1) * HOP, len(signal))


def hop_levels(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """RMS in dBFS of each 10 ms, (hops,); a last hop that is not whole counts as one."""
    hops = np.pad(signal, (0, -len(signal) % HOP)).reshape(-1, HOP)
    levels: NDArray[np.float64] = 20.0 * np.log10(np.sqrt(np.mean(hops**2, axis=1)) + 1e-10)
    return levels


def whole_frames(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sounding part and its margins in whole frames, filled from the recording, or with zeros where it ends."""
    first, end = sounding(signal)
    if end - first < SHORTEST_S * SAMPLE_RATE:
        raise InvalidVoice(f"it holds {(end - first) / SAMPLE_RATE:.2f} s of sound; at least {SHORTEST_S} s are needed")
    first, end = max(first - MARGIN, 0), end + MARGIN
    end += -(end - first) % FRAME
    kept = signal[first:end]
    return np.pad(kept, (0, end - first - len(kept)))


def level(signal: NDArray[np.float64]) -> Samples:
    """Without offset, with a gain to LEVEL_DBFS RMS over all of it, or less for a peak of at most PEAK_DBFS."""
    centred = signal - signal.mean()
    to_level = 10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(centred**2))
    to_peak = 10 ** ((PEAK_DBFS - 0.01) / 20) / np.abs(centred).max()
    levelled: Samples = (centred * min(to_level, to_peak)).astype(np.float32)
    return levelled
