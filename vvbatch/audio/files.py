"""Reading audio files of unknown origin: each is read whole, or refused with the reason."""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from vvbatch.audio import chunks, flac, mpeg, ogg
from vvbatch.audio.content import CUT, AudioError, Content

MAX_BYTES = 512 << 20
MAX_DURATION_S = 4 * 3600.0
MAX_SAMPLES = 1 << 28  # decoded, all channels: 1 GiB of float32
SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}  # in others no sample can be cut


class UnknownFormat(AudioError):
    """The file's first bytes are of no format that is read."""


@dataclass(frozen=True)
class Sound:
    samples: NDArray[np.float32]  # (frames,) if mono, else (frames, channels)
    rate: int  # Hz
    note: str = ""  # what the user should know about the file; empty if nothing


def read(
    path: Path, max_bytes: int = MAX_BYTES, max_duration_s: float = MAX_DURATION_S
) -> tuple[NDArray[np.float32], int]:
    """The samples and the rate of `read_sound`, for files whose note is of no use: those that vvbatch wrote."""
    sound = read_sound(path, max_bytes, max_duration_s)
    return sound.samples, sound.rate


def read_sound(path: Path, max_bytes: int = MAX_BYTES, max_duration_s: float = MAX_DURATION_S) -> Sound:
    """A WAV, RF64, Wave64, AIFF, CAF, AU, FLAC, Ogg or MP3 file as float32 samples.

    Raises UnknownFormat for another format, and AudioError for a file that is too large, too long, or not whole.
    """
    try:
        # O_NONBLOCK: opening a named pipe must not wait for its other end.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
            _refuse_unfit(file, max_bytes)
            content = whole(file.read())
            file.seek(0)
            samples, rate = _decode(file, content, max_duration_s)
            return Sound(samples, rate, content.note)
    except UnknownFormat as error:
        raise UnknownFormat(f"{path}: {error}") from error
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:  # ValueError: NUL in the path
        raise AudioError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def whole(data: bytes) -> Content:
    """What is to be decoded of a file with these bytes. Raises AudioError if the file is cut, or its format unknown."""
    magic = data[:4]
    if magic in chunks.FORMATS or magic == chunks.AU:
        return chunks.whole(data)
    if magic == b"OggS":
        return ogg.whole(data)
    if magic == b"fLaC":
        return flac.whole(data)
    if mpeg.is_start(data):
        return mpeg.whole(data)
    raise UnknownFormat("not a WAV, AIFF, FLAC, Ogg, MP3, AU, CAF or Wave64 file")


def _refuse_unfit(file: io.FileIO, max_bytes: int) -> None:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("not a regular file")
    if status.st_size > max_bytes:
        raise AudioError(f"{status.st_size} bytes is too large (limit {max_bytes})")
    if not status.st_size:
        raise AudioError("it is empty")


def _decode(file: io.FileIO, content: Content, max_duration_s: float) -> tuple[NDArray[np.float32], int]:
    # By descriptor: libsndfile then identifies the format by content and ignores the file's extension.
    source = file.fileno() if content.data is None else io.BytesIO(content.data)
    try:
        with soundfile.SoundFile(source, closefd=False) as sound:
            declared, rate, channels = sound.frames, sound.samplerate, sound.channels
            if declared > max_duration_s * rate or declared * channels > MAX_SAMPLES:
                raise AudioError(
                    f"{declared / rate:.0f} s in {channels} channels is too long (limit {max_duration_s:.0f} s)"
                )
            samples = sound.read(dtype="float32")
            width = SAMPLE_BYTES.get(sound.subtype, 0) * channels
    except soundfile.SoundFileError as error:
        raise AudioError(f"cannot be read as audio: {getattr(error, 'error_string', error)}") from error
    if len(samples) != declared and content.length_is_exact:
        raise AudioError(f"its header declares {declared} frames, it holds {len(samples)}: damaged or {CUT}")
    if content.payload is not None and width:
        rest = content.payload % width
        is_padding = rest == 1 and content.payload % 2 == 0  # a chunk of an odd size is followed by one byte
        if rest and not is_padding:
            raise AudioError(f"its last frame has {rest} of {width} bytes: {CUT}")
    return samples, rate
