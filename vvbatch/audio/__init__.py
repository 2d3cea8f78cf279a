"""Audio as samples: level, loudness, PCM16 and WAV bytes; `files` reads audio of unknown origin.

Samples are float32 with full scale at 1.0; PCM16 scales it to 32768, so that a file read and written again is the same.
"""

from __future__ import annotations

import functools
import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from vvbatch.audio.channels import mono
from vvbatch.audio.files import AudioError, AudioFile, NotAudio, read, read_file

__all__ = [
    "AudioError", "AudioFile", "NotAudio", "bring_to_peak", "decibel", "mono", "read", "read_file", "to_pcm16",
    "wav_bytes",
]  # fmt: skip

FULL_SCALE = 32768
LEVEL = 10 ** (-1 / 20)  # -1 dBFS: the highest peak of a take
SILENCE_DBFS = -120.0  # reported for digital silence, whose level would be minus infinity


def to_pcm16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Round float samples to PCM16 of the same shape; beyond full scale they saturate, never wrap.

    Raises AudioError for NaN or Inf, which a plain cast would silently turn into noise.
    """
    _refuse_non_finite(samples)
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def bring_to_peak(samples: NDArray[np.float32], limit_dbfs: float = -1.0) -> tuple[NDArray[np.float32], float]:
    """Scale down until no sample is above `limit_dbfs` once rounded to PCM16; audio below it is unchanged.

    Returns the samples and the gain in dB (0 or less). Raises AudioError for NaN or Inf.
    """
    _refuse_non_finite(samples)
    allowed = int(FULL_SCALE * 10 ** (limit_dbfs / 20))
    peak = float(np.abs(samples).max(initial=0.0)) * FULL_SCALE
    if np.rint(peak) <= allowed:
        return samples, 0.0
    gain = allowed / peak
    return (samples * np.float32(gain)).astype(np.float32), decibel(gain)


def wav_bytes(pcm: NDArray[np.int16], sample_rate: int) -> bytes:
    """A complete mono PCM16 WAV file of the samples `pcm` (frames,)."""
    file = io.BytesIO()
    soundfile.write(file, pcm, sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def peak_dbfs(samples: NDArray[np.float32]) -> float:
    """The highest sample's level in dBFS; SILENCE_DBFS if there is none above it."""
    return decibel(float(np.abs(samples).max(initial=0.0)))


def rms_dbfs(samples: NDArray[np.float32]) -> float:
    """The root mean square in dB below a full-scale square wave; SILENCE_DBFS for silence or no samples."""
    return decibel(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))) if len(samples) else SILENCE_DBFS


def loudness_lufs(samples: NDArray[np.float32], sample_rate: int) -> float | None:
    """Integrated, gated loudness of mono samples (frames,) in LUFS (ITU-R BS.1770-4).

    None if they are shorter than one block of 0.4 s, or nothing in them is above the absolute gate of -70 LUFS.
    """
    hop = round(0.1 * sample_rate)
    energies = _weighted_energies(samples, sample_rate, hop)
    if len(energies) < 4:
        return None
    blocks = np.convolve(energies, np.full(4, 0.25), "valid")  # 0.4 s long, overlapping by 75 %
    blocks = blocks[_lufs(blocks) > -70.0]
    if not len(blocks):
        return None
    return float(_lufs(blocks[_lufs(blocks) > _lufs(blocks.mean()) - 10.0].mean()))


def _refuse_non_finite(samples: NDArray[np.float32]) -> None:
    bad = samples.size - int(np.isfinite(samples).sum())
    if bad:
        raise AudioError(f"{bad} of {samples.size} samples are NaN or Inf")


def decibel(amplitude: float) -> float:
    """20 log10, at least SILENCE_DBFS."""
    return max(20 * float(np.log10(amplitude)), SILENCE_DBFS) if amplitude > 0 else SILENCE_DBFS


def _lufs(energy: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(-0.691 + 10 * np.log10(np.maximum(energy, 1e-30)))


def _weighted_energies(samples: NDArray[np.float32], sample_rate: int, hop: int) -> NDArray[np.float64]:
    """Mean square of the K-weighted samples in each whole hop; the filters work on the spectrum, by overlap-save.

    Segments of two seconds: a length that transforms quickly. The quarter second before it covers the filters'
    memory (their slowest pole decays by e^-59 in it).
    """
    segment, memory = 20 * hop, sample_rate // 4
    response = _k_weighting(sample_rate, segment + memory)
    padded = np.concatenate([np.zeros(memory, np.float32), samples, np.zeros(-len(samples) % segment, np.float32)])
    energies = [np.zeros(0)]
    for start in range(0, len(samples), segment):
        spectrum = np.fft.rfft(padded[start : start + memory + segment].astype(np.float64))
        weighted = np.fft.irfft(spectrum * response, segment + memory)[memory:]
        energies.append(np.square(weighted).reshape(-1, hop).mean(axis=1))
    return np.concatenate(energies)[: len(samples) // hop]


@functools.lru_cache(maxsize=8)
def _k_weighting(sample_rate: int, length: int) -> NDArray[np.complex128]:
    """Frequency response (length // 2 + 1,) of BS.1770-4's two filters at any rate.

    The standard gives coefficients for 48 kHz only; these are the analogue prototypes behind them (B. De Man,
    "Evaluation of implementations of the EBU R128 loudness measurement", AES 2018).
    """
    z = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
    k, q = np.tan(np.pi * 1681.974450955533 / sample_rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    shelf = (high + band * k / q + k * k) + 2 * (k * k - high) * z + (high - band * k / q + k * k) * z * z
    shelf /= (1 + k / q + k * k) + 2 * (k * k - 1) * z + (1 - k / q + k * k) * z * z
    k, q = np.tan(np.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    norm = 1 + k / q + k * k
    high_pass = (1 - z) ** 2 / (1 + 2 * (k * k - 1) / norm * z + (1 - k / q + k * k) / norm * z * z)
    return np.asarray(shelf * high_pass)
