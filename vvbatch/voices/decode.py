"""Any recording as mono samples. libsndfile reads WAV, AIFF, AU, CAF, FLAC, MP3 and Ogg; PyAV M4A, AAC and WebM."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vvbatch.audio.boxes import refuse_cut_matroska, refuse_cut_mp4
from vvbatch.audio.mpeg import id3_length, is_adts, refuse_cut_adts
from vvbatch.audio.whole import Cut
from vvbatch.voices.errors import InvalidVoice, MissingExtra

MAX_BYTES = 512 << 20
MAX_DURATION_S = 1_800.0
COMPLETE = 0.98  # the share of the declared duration that must be decoded; containers round it

Samples = NDArray[np.floating]


@dataclass(frozen=True)
class Recording:
    samples: NDArray[np.float64]  # (n,), mono
    rate: int  # Hz
    sha256: str  # of the file's bytes
    channels: int = 1  # of the file
    notes: tuple[str, ...] = ()  # what the user should know about the file
    start_s: float = 0.0  # of an excerpt

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate


def decode(path: Path) -> Recording:
    """Read a whole recording. Raises InvalidVoice with the reason, or MissingExtra if a package is needed for it."""
    from vvbatch import audio

    try:
        if not path.is_file():
            raise InvalidVoice(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}: name an audio file")
        with path.open("rb") as file:
            start = file.read(12)
            if start[:3] == b"ID3" and len(start) == 12:  # a tag before MP3, or before AAC
                file.seek(id3_length(start))
                behind = file.read(12)
                start = behind if is_adts(behind) else start
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise InvalidVoice(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    container = ffmpeg_format(start)
    if container:
        return _mixed(*_decode_by_ffmpeg(path, container), sha256)
    try:
        read = audio.read_file(path, MAX_BYTES, MAX_DURATION_S)
    except audio.NotAudio as error:
        message = f"{path} is not a recording: WAV, FLAC, MP3, Ogg, AIFF, AU, CAF, M4A, AAC and WebM files are read"
        raise InvalidVoice(message) from error
    except audio.AudioError as error:
        raise InvalidVoice(str(error)) from error
    return _mixed(read.samples, read.rate, sha256, read.notes)


def _mixed(samples: Samples, rate: int, sha256: str, notes: tuple[str, ...] = ()) -> Recording:
    from vvbatch import audio

    signal, note = audio.mono(samples, rate)
    channels = samples.shape[1] if samples.ndim > 1 else 1
    return Recording(signal, rate, sha256, channels, (*notes, *([note] if note else [])))


def excerpted(recording: Recording, start_s: float, length_s: float | None) -> Recording:
    """The part of a recording from `start_s` on; the hash stays that of the whole file. Raises InvalidVoice."""
    samples = excerpt(recording.samples, recording.rate, start_s, length_s)
    return replace(recording, samples=samples, start_s=recording.start_s + start_s)


def excerpt(samples: NDArray[np.float64], rate: int, start_s: float, length_s: float | None) -> NDArray[np.float64]:
    """The part of samples (n,) from `start_s` on. Raises InvalidVoice if there is nothing."""
    first = round(start_s * rate)
    if first >= len(samples):
        raise InvalidVoice(f"an excerpt from {start_s:g} s on is empty: there are {len(samples) / rate:.2f} s")
    return samples[first:] if length_s is None else samples[first : first + round(length_s * rate)]


def ffmpeg_format(start: bytes) -> str | None:
    """FFmpeg's name of the container that begins with these 12 bytes; None for any other format.

    FFmpeg is given this name. Without it, it would also follow playlists to other files.
    """
    if start[4:8] == b"ftyp":
        return "mov"
    if start[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    return "aac" if is_adts(start) else None


WHOLE = {"mov": refuse_cut_mp4, "matroska": refuse_cut_matroska, "aac": refuse_cut_adts}


def _decode_by_ffmpeg(path: Path, container_format: str) -> tuple[NDArray[np.float32], int]:
    try:
        import av
    except ImportError as error:
        raise MissingExtra(f"{path} needs PyAV: install it with  pip install 'vvbatch[voices]'") from error
    if path.stat().st_size > MAX_BYTES:
        raise InvalidVoice(f"{path} is larger than {MAX_BYTES:,} bytes")
    try:
        WHOLE[container_format](path.read_bytes())
    except Cut as error:
        raise InvalidVoice(f"{path}: {error}: cut, copy it again") from error
    try:
        with av.open(str(path.absolute()), format=container_format, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise InvalidVoice(f"{path} holds no audio")
            declared_s = (container.duration or 0) / av.time_base
            return _frames(path, container, declared_s)
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidVoice(f"{path} cannot be decoded ({reason}): it is cut or damaged, copy it again") from error


def _frames(path: Path, container: Any, declared_s: float) -> tuple[NDArray[np.float32], int]:
    import av

    stream = container.streams.audio[0]
    rate = int(getattr(stream, "rate", None) or 0)  # PyAV has none where FFmpeg knows no decoder
    if not rate:
        raise InvalidVoice(f"{path} does not say its sample rate: it is damaged")
    planar = av.AudioResampler(format="fltp", rate=rate)  # the same rate: only the sample format changes
    parts: list[NDArray[np.float32]] = []
    length = 0
    for frame in chain(container.decode(stream), [None]):
        new: list[Any] = [part.to_ndarray() for part in planar.resample(frame)]  # None flushes
        parts += new
        length += sum(part.shape[1] for part in new)
        if length > MAX_DURATION_S * rate:
            raise InvalidVoice(f"{path} is longer than {MAX_DURATION_S:.0f} s")
    if not parts:
        raise InvalidVoice(f"{path} holds no audio")
    samples: NDArray[np.float32] = np.concatenate(parts, axis=1).T
    if len(samples) < COMPLETE * declared_s * rate:
        raise InvalidVoice(
            f"{path} is cut short: it declares {declared_s:.2f} s, {len(samples) / rate:.2f} s are there: copy it again"
        )
    return samples, rate
