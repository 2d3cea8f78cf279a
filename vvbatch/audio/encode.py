"""A finished WAV file in another format, by libsndfile."""

from __future__ import annotations

import io
from pathlib import Path

import soundfile

FORMATS = {
    "": "WAV",
    ".wav": "WAV",
    ".wave": "WAV",
    ".flac": "FLAC",
    ".mp3": "MP3",
    ".ogg": "OGG",
}
"""By the end of a file's name; Ogg holds Vorbis."""
COMPRESSION = {"MP3": 0.2, "OGG": 0.3}  # 0 is the best quality, 1 the smallest file; at 24 kHz about 60 kbit/s


def encoded(wav: Path, suffix: str) -> bytes:
    """The bytes of a WAV file in the format of FORMATS. MP3 and Ogg have the same length, to the sample."""
    form = FORMATS[suffix]
    if form == "WAV":
        return wav.read_bytes()
    samples, rate = soundfile.read(wav, dtype="int16")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, compression_level=COMPRESSION.get(form))
    return file.getvalue()
