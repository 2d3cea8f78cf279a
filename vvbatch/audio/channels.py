"""Several channels as one, without losing what cancels in their mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 0.5
SPEECH_HZ = (100.0, 4_000.0)  # a hum or a rumble below must not decide about the phase of speech
AUDIBLE_DB = 30.0  # under the loudest window of the best channel; a channel that is always quieter is dead
OPPOSITE = -0.3  # correlation of two channels in a window; of unlike sounds it is near 0
OPPOSITE_SHARE = 0.1  # of the audible windows
LOWEST_DB = -90.0  # where a channel's noise floor ends: less is digital silence

Floats = NDArray[np.float64]


def mono(samples: NDArray[np.floating], rate: int) -> tuple[Floats, str]:
    """One channel (frames,) of samples (frames,) or (frames, channels) at `rate` Hz, and a note on how it was made.

    The mean of all channels, with an empty note. Channels with nothing audible are left out of it. If a channel is in
    opposite phase to the best one in a tenth of the audible windows or more, the best one alone is returned. The best
    one has the largest distance from its noise floor to its speech; of equal ones, the loudest.
    """
    channels: Floats = samples.astype(np.float64).reshape(len(samples), -1).T
    if len(channels) == 1 or not samples.size or not np.isfinite(channels).all():
        return channels.mean(axis=0) if len(channels) else np.zeros(0), ""
    spectra = _speech_spectra(channels, rate)
    power = 10 * np.log10((np.abs(spectra) ** 2).sum(axis=2) + 1e-20)  # (channels, windows)
    loudest = power.max(axis=1)
    live = np.flatnonzero(loudest > loudest.max() - AUDIBLE_DB)
    best = max(live, key=lambda channel: (round(_range_db(power[channel]) / 3), loudest[channel]))
    audible = power[best] > loudest[best] - AUDIBLE_DB
    for other in live[live != best]:
        correlation = _correlation(spectra[best][audible], spectra[other][audible])
        if np.mean(correlation < OPPOSITE) >= OPPOSITE_SHARE:
            lowest = float(np.percentile(correlation, 10))
            return channels[best], (
                f"channels {best + 1} and {other + 1} are in opposite phase (correlation {lowest:.2f}) and would "
                f"cancel in their mean: only channel {best + 1} is used"
            )
    if len(live) == len(channels):
        return channels.mean(axis=0), ""
    dead = ", ".join(str(number + 1) for number in range(len(channels)) if number not in live)
    return channels[live].mean(axis=0), (
        f"{'channels' if ',' in dead else 'channel'} {dead} of {len(channels)} holds next to nothing and is left out"
    )


def _speech_spectra(channels: Floats, rate: int) -> NDArray[np.complex128]:
    """(channels, windows, bins) of SPEECH_HZ; a last part of a window is filled with zeros."""
    length = max(round(WINDOW_S * rate), 16)
    padded = np.pad(channels, ((0, 0), (0, -channels.shape[1] % length)))
    spectra = np.fft.rfft(padded.reshape(len(channels), -1, length), axis=2)
    frequencies = np.fft.rfftfreq(length, 1 / rate)
    kept = (frequencies >= SPEECH_HZ[0]) & (frequencies <= SPEECH_HZ[1])
    found: NDArray[np.complex128] = spectra[:, :, kept] / length
    return found


def _range_db(power: Floats) -> float:
    loud, quiet = np.percentile(power, (95, 5))
    return float(loud - max(quiet, LOWEST_DB))


def _correlation(one: NDArray[np.complex128], other: NDArray[np.complex128]) -> Floats:
    """Of each window (windows, bins), from -1 to 1; 0 where one of them is silent."""
    shared = (one * other.conj()).real.sum(axis=1)
    energies = (np.abs(one) ** 2).sum(axis=1) * (np.abs(other) ** 2).sum(axis=1)
    found: Floats = shared / np.sqrt(np.maximum(energies, 1e-30))
    return found
