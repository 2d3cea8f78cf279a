"""From any recording to a voice prompt: mono, 24 kHz, no offset, no silence at the ends, one level, whole frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import FRAME, SAMPLE_RATE
from vvbatch.voices.errors import InvalidVoice

LEVEL_DBFS = -25.0  # RMS; what the models were trained to be prompted with
PEAK_DBFS = -1.0
SHORTEST_S = 0.4
HOP = 240  # 10 ms
ALIKE = 0.5  # the lowest correlation of two channels that are mixed
SILENT_CHANNEL_DB = 30.0
SILENT_BELOW_DB = 35.0  # under the loud parts' level
MARGIN = 1_200  # samples kept around the speech, so that no onset is cut

Samples = NDArray[np.float32]


def prepare(samples: NDArray[np.floating], rate: int) -> Samples:
    """A voice prompt from `samples`, (n,) or (n, channels) at `rate` Hz.

    Returns float32 (k * FRAME,) at SAMPLE_RATE, RMS LEVEL_DBFS (less where the peak would pass PEAK_DBFS). Raises
    InvalidVoice for samples that are not finite, silent, or hold less than SHORTEST_S of sound.
    """
    signal = mono(samples)
    signal = signal - signal.mean()  # before resampling, which would ring at the step that an offset makes at both ends
    if rate != SAMPLE_RATE:
        import soxr

        signal = soxr.resample(signal, rate, SAMPLE_RATE, "VHQ")
    return level(whole_frames(signal - signal.mean()))


def mono(samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """One channel, (n,), as `mixed` makes it. Raises InvalidVoice."""
    return mixed(samples)[0]


def mixed(samples: NDArray[np.floating]) -> tuple[NDArray[np.float64], str | None]:
    """The mean of the channels, (n,), and None; or one channel and why, where their mean would spoil the speech.

    Channels of opposite phase cancel each other, those of distant microphones sound like a comb filter: below a
    correlation of ALIKE the better channel is taken, that with the largest distance between speech and noise. A
    channel that is SILENT_CHANNEL_DB below the loudest is left out. Raises InvalidVoice.
    """
    if samples.size == 0:
        raise InvalidVoice("it holds no samples")
    channels = samples.astype(np.float64).reshape(len(samples), -1)
    if not np.isfinite(channels).all():
        raise InvalidVoice("it holds samples that are not numbers (NaN or infinite)")
    centred = channels - channels.mean(axis=0)
    powers = np.mean(centred**2, axis=0)
    live = np.flatnonzero(powers > powers.max() * 10 ** (-SILENT_CHANNEL_DB / 10))
    count = channels.shape[1]
    if len(live) == 0 or count == 1:  # silent, or one channel
        return channels.mean(axis=1), None
    if len(live) == 1:
        return channels[:, live[0]], f"channel {live[0] + 1} of {count} is used: the others are silent"
    correlation = float(np.corrcoef(centred[:, live].T).min())
    if correlation < ALIKE:
        best = live[int(np.argmax([speech_over_noise(channels[:, channel]) for channel in live]))]
        note = (
            f"channel {best + 1} of {count} is used: their correlation is {correlation:.2f}, their mean would distort"
        )
        return channels[:, best], note
    left_out = count - len(live)
    return channels[:, live].mean(axis=1), f"{left_out} of {count} channels are left out: silent" if left_out else None


def speech_over_noise(signal: NDArray[np.float64]) -> float:
    """Decibels between the loud and the quiet hops of a signal."""
    low, high = np.percentile(hop_levels(signal), (10, 95))
    return float(high - low)


def sounding(signal: NDArray[np.float64]) -> tuple[int, int]:
    """First and last sample + 1 of what is louder than silence. Raises InvalidVoice."""
    levels = hop_levels(signal)
    loud = float(np.percentile(levels, 95))
    if loud < -70.0:
        raise InvalidVoice("it is silent")
    (hops,) = np.nonzero(levels > loud - SILENT_BELOW_DB)
    return int(hops[0]) * HOP, min((int(hops[-1]) + 1) * HOP, len(signal))


def hop_levels(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """RMS in dBFS of each 10 ms, (hops,); a last part of a hop counts as one."""
    hops = np.pad(signal, (0, -len(signal) % HOP)).reshape(-1, HOP)
    levels: NDArray[np.float64] = 20.0 * np.log10(np.sqrt(np.mean(hops**2, axis=1)) + 1e-10)
    return levels


def whole_frames(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sounding part with its margins in whole frames: of the recording where there is more of it, else of zeros."""
    first, end = sounding(signal)
    if end - first < SHORTEST_S * SAMPLE_RATE:
        raise InvalidVoice(f"it holds {(end - first) / SAMPLE_RATE:.2f} s of sound; at least {SHORTEST_S} s are needed")
    first, end = max(first - MARGIN, 0), end + MARGIN
    end += -(end - first) % FRAME
    kept = signal[first:end]
    return np.pad(kept, (0, end - first - len(kept)))


def level(signal: NDArray[np.float64]) -> Samples:
    """Offset taken out, gain to LEVEL_DBFS RMS over all of it, peak at most PEAK_DBFS."""
    centred = signal - signal.mean()
    wanted = 10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(centred**2))
    allowed = 10 ** ((PEAK_DBFS - 0.01) / 20) / np.abs(centred).max()
    levelled: Samples = (centred * min(wanted, allowed)).astype(np.float32)
    return levelled
