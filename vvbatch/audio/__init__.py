"""Audio as samples: levels, PCM16 and WAV bytes, and reading files of unknown origin."""

from vvbatch.audio.channels import mono
from vvbatch.audio.content import AudioError
from vvbatch.audio.files import MAX_BYTES, MAX_DURATION_S, MAX_SAMPLES, Sound, UnknownFormat, read, read_sound
from vvbatch.audio.levels import (
    BYTES_PER_SECOND,
    FULL_SCALE,
    LEVEL,
    SILENCE_DBFS,
    bring_to_peak,
    decibel,
    loudness_lufs,
    peak_dbfs,
    rms_dbfs,
    to_pcm16,
    wav_bytes,
)

__all__ = [
    "BYTES_PER_SECOND",
    "FULL_SCALE",
    "LEVEL",
    "MAX_BYTES",
    "MAX_DURATION_S",
    "MAX_SAMPLES",
    "SILENCE_DBFS",
    "AudioError",
    "Sound",
    "UnknownFormat",
    "bring_to_peak",
    "decibel",
    "loudness_lufs",
    "mono",
    "peak_dbfs",
    "read",
    "read_sound",
    "rms_dbfs",
    "to_pcm16",
    "wav_bytes",
]
