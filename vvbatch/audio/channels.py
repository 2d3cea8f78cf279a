"""Several channels as one, without what their mean would cancel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.5  # the lowest correlation of two channels that are mixed
OPPOSITE = -0.3  # correlation of a window in which speech cancels
OPPOSITE_PERCENT = 10  # of the audible windows
SILENT_DB = 30.0  # a channel or a window so far below the loudest does not count
WINDOW_S = 0.5
HOP_S = 0.01
SPEECH_HZ = (100.0, 4_000.0)  # a hum or a rumble in phase must not hide speech in opposite phase
FLOOR = 1e-9  # power of -90 dBFS: less is digital silence

Floats = NDArray[np.float64]


def mono(samples: NDArray[np.floating], rate: int) -> tuple[Floats, str | None]:
    """One channel (frames,) of samples (frames,) or (frames, channels) at `rate` Hz; a note if it is not their mean.

    Channels that are SILENT_DB below the loudest are left out. Channels of opposite phase cancel in their mean, those
    of distant microphones sound like a comb filter: where two have a correlation below ALIKE, or are in opposite phase
    for a part of the time, the channel with the largest distance between speech and noise is used alone. Samples that
    are not finite are mixed as they are.
    """
    if samples.ndim == 1 or samples.shape[1] == 1 or not samples.size or not np.isfinite(samples).all():
        signal: Floats = samples.astype(np.float64)
        return (signal.mean(axis=1) if signal.ndim > 1 else signal), None
    channels: Floats = samples.astype(np.float64).T
    count = len(channels)
    spectra = _speech_spectra(channels, rate)
    loudness = (np.abs(spectra) ** 2).sum(axis=(1, 2))  # of each channel
    live = np.flatnonzero(loudness > loudness.max() * 10 ** (-SILENT_DB / 10))
    if len(live) == 0:
        return channels.mean(axis=0), None
    if len(live) == 1:
        return channels[live[0]], f"channel {live[0] + 1} of {count} is used: the others are silent"
    best = max(live, key=lambda channel: (round(_speech_over_noise_db(channels[channel], rate)), loudness[channel]))
    correlation = min(_correlation(spectra[best], spectra[other]) for other in live if other != best)
    if correlation < ALIKE:
        return channels[best], (
            f"channel {best + 1} of {count} is used: their correlation is {correlation:.2f}, their mean would distort"
        )
    left_out = count - len(live)
    return channels[live].mean(axis=0), f"{left_out} of {count} channels are left out: silent" if left_out else None


def _speech_spectra(channels: Floats, rate: int) -> NDArray[np.complex128]:
    """(channels, windows, bins) of SPEECH_HZ; the last window is filled with zeros."""
    length = max(round(WINDOW_S * rate), 16)
    padded = np.pad(channels, ((0, 0), (0, -channels.shape[1] % length)))
    frequencies = np.fft.rfftfreq(length, 1 / rate)
    kept = (frequencies >= SPEECH_HZ[0]) & (frequencies <= SPEECH_HZ[1])
    return np.fft.rfft(padded.reshape(len(channels), -1, length), axis=2)[:, :, kept]


def _correlation(one: NDArray[np.complex128], other: NDArray[np.complex128]) -> float:
    """Correlation of two channels (windows, bins), -1 to 1: of the whole, or of the windows in opposite phase."""
    shared = (one * other.conj()).real.sum(axis=1)
    power, other_power = (np.abs(one) ** 2).sum(axis=1), (np.abs(other) ** 2).sum(axis=1)
    whole = float(shared.sum() / np.sqrt(power.sum() * other_power.sum()))
    audible = power > power.max() * 10 ** (-SILENT_DB / 10)
    windows = shared[audible] / np.sqrt(np.maximum(power * other_power, 1e-30)[audible])
    worst = float(np.percentile(windows, OPPOSITE_PERCENT))
    return min(whole, worst) if worst < OPPOSITE else whole


def _speech_over_noise_db(signal: Floats, rate: int) -> float:
    hop = max(round(HOP_S * rate), 1)
    padded = np.pad(signal - signal.mean(), (0, -len(signal) % hop)).reshape(-1, hop)
    quiet, loud = np.percentile(np.maximum(np.mean(padded**2, axis=1), FLOOR), (10, 95))
    return float(10 * np.log10(loud / quiet))
