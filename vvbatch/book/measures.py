"""What is measured of each take, once: where its speech lies, its energies, its quiet frames. Kept in a cache."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray

from vvbatch import store
from vvbatch.book.cache import kept
from vvbatch.book.contents import RATE, BookError, Chapter, Item, Sound, Speech
from vvbatch.book.edges import Edges, find_edges, frame_levels, long_silences
from vvbatch.book.loudness import Energies, measured
from vvbatch.book.room_tone import BANDS, quiet_power
from vvbatch.book.sounds import read_sound

VERSION = 2
FRAME = 512  # samples whose level is measured


class Measure(msgspec.Struct, frozen=True):
    """Of one take or sound. Positions count samples at RATE; energies are those of the samples that are kept."""

    frames: int
    start: int
    speech_start: int
    speech_stop: int
    stop: int
    cuts: tuple[tuple[int, int], ...]  # silences that are shortened: what is taken out
    weighted: bytes
    plain: bytes
    quiet: bytes  # the power spectrum of the quiet frames, float32; empty if there are none
    quiet_frames: int
    frames_db: bytes  # dBFS of each frame that is kept, float16

    @property
    def edges(self) -> Edges:
        return Edges(self.start, self.speech_start, self.speech_stop, self.stop)

    @property
    def energies(self) -> Energies:
        return Energies(np.frombuffer(self.weighted, np.float32), np.frombuffer(self.plain, np.float32))

    @property
    def levels_db(self) -> NDArray[np.float16]:
        return np.frombuffer(self.frames_db, np.float16)

    @property
    def quiet_power(self) -> NDArray[np.float64]:
        return np.frombuffer(self.quiet, np.float32).astype(np.float64) if self.quiet else np.zeros(BANDS)


def read_item(item: Item) -> NDArray[np.float32]:
    """The samples of a take or a sound, mono at RATE. Raises BookError when the file is not what was recorded."""
    return _read_take(item) if isinstance(item, Speech) else read_sound(item.path)


def measure_chapter(chapter: Chapter, longest_silence_s: float | None, cache: Path) -> list[Measure]:
    """One Measure an item, from the cache if all of the chapter's files are the same as then. Raises BookError."""
    named = [VERSION, longest_silence_s, *(item.sha256 for item in chapter.items)]
    path = cache / "measures" / f"{hashlib.sha256(msgspec.json.encode(named)).hexdigest()}.msgpack"
    try:
        return msgspec.msgpack.decode(kept(path), type=list[Measure])
    except (OSError, msgspec.DecodeError):
        measures = [measure(item, longest_silence_s) for item in chapter.items]
        store.write_atomically(path, msgspec.msgpack.encode(measures))
        return measures


def measure(item: Item, longest_silence_s: float | None) -> Measure:
    samples = read_item(item)
    if isinstance(item, Sound):
        edges, cuts = Edges(0, 0, len(samples), len(samples)), []
    else:
        edges = find_edges(samples)
        cuts = long_silences(samples, edges, longest_silence_s) if longest_silence_s is not None else []
    kept = [samples[start:stop] for start, stop in kept_parts(edges, cuts)]
    sound = np.concatenate(kept)
    energies = measured(sound, RATE)
    power, frames = np.zeros(BANDS), 0
    if isinstance(item, Speech):
        power, frames = quiet_power(samples, _speech_level(energies))
    levels = frame_levels(sound, FRAME).astype(np.float16)
    return Measure(
        len(samples), edges.start, edges.speech_start, edges.speech_stop, edges.stop, tuple(cuts),
        energies.weighted.tobytes(), energies.plain.tobytes(),
        power.astype(np.float32).tobytes() if frames else b"", frames, levels.tobytes(),
    )  # fmt: skip


def kept_parts(edges: Edges, cuts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is kept of a take, (start, stop) in samples."""
    starts = [edges.start, *(stop for _, stop in cuts)]
    stops = [*(start for start, _ in cuts), edges.stop]
    return list(zip(starts, stops, strict=True))


def _speech_level(energies: Energies) -> float:
    """dBFS of the louder tenths of a second."""
    plain = energies.plain[energies.plain > 0]
    return 10 * float(np.log10(np.percentile(plain, 90))) if len(plain) else -60.0


def _read_take(speech: Speech) -> NDArray[np.float32]:
    again = "`vvbatch verify --repair` renders the line again"
    try:
        data = speech.path.read_bytes()
    except OSError as error:
        reason = f"{speech.path} cannot be read: {error.strerror}"
        raise BookError(f"line {speech.line!r}: {reason}; {again}") from error
    if hashlib.sha256(data).hexdigest() != speech.sha256:
        raise BookError(f"line {speech.line!r}: {speech.path} has changed since it was rendered; {again}")
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    except soundfile.SoundFileError as error:
        raise BookError(f"line {speech.line!r}: {speech.path} cannot be read as audio: {error}") from error
    if rate != RATE or samples.ndim != 1:
        raise BookError(f"line {speech.line!r}: {speech.path} is not mono at {RATE} Hz: render the line again")
    return np.asarray(samples)
