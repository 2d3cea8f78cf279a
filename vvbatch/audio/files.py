"""Audio files of unknown origin, read whole or refused with the reason."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
from numpy.typing import NDArray

from vvbatch.audio.containers import W64, checked
from vvbatch.audio.mpeg import mpeg_start
from vvbatch.audio.whole import Cut

MAX_BYTES = 512 << 20
MAX_DURATION_S = 4 * 3600.0
MAX_SAMPLES = 1 << 28  # decoded, all channels: 1 GiB of float32
MAGIC = (b"RIFF", b"RIFX", b"RF64", W64, b"FORM", b"fLaC", b"OggS", b"ID3", b".snd", b"dns.", b"caff")


class AudioError(Exception):
    """Samples or a file that cannot be used as audio; the message names the file, the value and the limit."""


class NotAudio(AudioError):
    """The file begins as no audio file does."""


@dataclass(frozen=True)
class AudioFile:
    """What a file holds: float32 samples, (frames,) if mono, else (frames, channels), and their rate in Hz."""

    samples: NDArray[np.float32]
    rate: int
    notes: tuple[str, ...] = ()  # what its header got wrong, and was read nevertheless


def read(
    path: Path, max_bytes: int = MAX_BYTES, max_duration_s: float = MAX_DURATION_S
) -> tuple[NDArray[np.float32], int]:
    """The samples of a file and their rate. Raises as `read_file` does."""
    file = read_file(path, max_bytes, max_duration_s)
    return file.samples, file.rate


def read_file(path: Path, max_bytes: int = MAX_BYTES, max_duration_s: float = MAX_DURATION_S) -> AudioFile:
    """A WAV, Wave64, AIFF, AU, CAF, FLAC, Ogg or MP3 file.

    Raises AudioError for anything else, and for a file that is too large, too long or shorter than its header says.
    """
    try:
        # O_NONBLOCK: opening a named pipe must not wait for its other end.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
            data = _bytes(path, file, max_bytes)
            whole = checked(data)
            if whole.data is data:
                return AudioFile(*_decode(path, file, max_duration_s), whole.notes)
        del data
        with tempfile.TemporaryFile() as copy:
            copy.write(whole.data)
            copy.flush()
            return AudioFile(*_decode(path, copy, max_duration_s), whole.notes)
    except Cut as error:
        raise AudioError(f"{path}: {error}: cut, copy it again") from error
    except (OSError, ValueError) as error:  # ValueError: NUL in the path
        raise AudioError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _bytes(path: Path, file: io.FileIO, max_bytes: int) -> bytes:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path}: not a regular file")
    if status.st_size > max_bytes:
        raise AudioError(f"{path}: {status.st_size} bytes is too large (limit {max_bytes})")
    data = file.read(status.st_size)
    if not data:
        raise AudioError(f"{path}: it is empty")
    if not data.startswith(MAGIC) and mpeg_start(data) is None:
        raise NotAudio(f"{path}: not a WAV, AIFF, AU, CAF, FLAC, Ogg or MP3 file")
    return data


def _decode(path: Path, file: IO[bytes], max_duration_s: float) -> tuple[NDArray[np.float32], int]:
    file.seek(0)
    try:
        # By descriptor: libsndfile then identifies the format by content and ignores the file's extension.
        with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
            declared, rate, channels = sound.frames, sound.samplerate, sound.channels
            if declared > max_duration_s * rate or declared * channels > MAX_SAMPLES:
                raise AudioError(
                    f"{path}: {declared / rate:.0f} s in {channels} channels is too long (limit {max_duration_s:.0f} s)"
                )
            samples = sound.read(dtype="float32")
    except soundfile.SoundFileError as error:
        raise AudioError(f"{path}: cannot be read as audio: {getattr(error, 'error_string', error)}") from error
    if len(samples) != declared:
        raise AudioError(
            f"{path}: its header declares {declared} frames, it holds {len(samples)}: cut or damaged, copy it again"
        )
    return samples, rate
