"""Voices by name, from folders with a `manifest.yaml` or only audio files; the first folder that has the name is used.

A voice is a mono 24 kHz WAV. A VibeVoice profile uses it as its prompt, the draft profile uses its manner.
"""

from __future__ import annotations

import hashlib
import io
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from vvbatch.engine.contract import SAMPLE_RATE, Manner, Voice
from vvbatch.home import Home
from vvbatch.profiles import bundled
from vvbatch.voices.errors import InvalidVoice, UnknownVoice, VoiceError
from vvbatch.voices.manifest import DEFAULT, MANIFEST, Entry, folded, name_problem, read

PROJECT = Path("voices")  # in the working folder, for voices that travel with a project
LARGEST = 64 << 20  # bytes of a voice's file: 23 minutes


@dataclass(frozen=True)
class Found:
    """A voice of a folder, listed in its manifest; without an entry, an audio file that the manifest does not list."""

    name: str
    path: Path
    entry: Entry | None


class Library:
    """One command's view of the voices of several folders.

    Each manifest and each voice's file is read at most once, and only when a name is looked up.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = list(folders)
        self._found: dict[str, Found] | None = None
        self._resolved: dict[str, Voice] = {}

    @classmethod
    def of(cls, home: Home, project: Path = PROJECT) -> Library:
        """The project's voices, where its folder has a manifest of them, the home's own, then the bundled ones."""
        shipped = bundled("voices")
        own = project.absolute()
        is_one = (own / MANIFEST).is_file() and own.resolve() != shipped.resolve()  # a checkout's are the bundled ones
        return cls([*([own] if is_one else []), home.voices, shipped])

    @property
    def found(self) -> dict[str, Found]:
        """By folded name, in the folders' and manifests' order. Raises VoiceError for a manifest that is wrong."""
        if self._found is None:
            self._found = {}
            for folder in self.folders:
                for found in voices_of(folder):
                    self._found.setdefault(folded(found.name), found)
        return self._found

    def names(self) -> list[str]:
        """Every voice, the default first."""
        return [*([DEFAULT] if self.default() else []), *(found.name for found in self.found.values())]

    def find(self, name: str) -> Found:
        """The voice of that name, in any case and Unicode form; its file is not checked. Raises UnknownVoice."""
        found = self.default() if folded(name) == DEFAULT else self.found.get(folded(name))
        if found is None:
            from vvbatch.script.fields import did_you_mean  # only for an error

            known = self.names()
            raise UnknownVoice(f"unknown voice {name!r}{did_you_mean(name, known)}", f"there is {', '.join(known)}")
        return found

    def resolve(self, name: str) -> Voice:
        """The voice of that name. Its file is in its folder, complete, and has the manifest's hash.

        Raises UnknownVoice or InvalidVoice.
        """
        key = folded(name)
        if key not in self._resolved:
            self._resolved[key] = voice_of(self.find(name))
        return self._resolved[key]

    def default(self) -> Found | None:
        """The first voice of the last folder: of the bundled ones."""
        return next(iter(voices_of(self.folders[-1])), None) if self.folders else None


def voices_of(folder: Path) -> Iterator[Found]:
    """A folder's manifest, then the WAV files that it does not name. Raises VoiceError."""
    listed = read(folder).voices
    yield from (Found(entry.name, folder / entry.file, entry) for entry in listed)
    taken = {entry.file for entry in listed}
    try:
        loose = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".wav" and path.name not in taken)
    except FileNotFoundError:
        return
    except OSError as error:
        raise VoiceError(f"{folder} cannot be read as a folder of voices: {error.strerror}") from error
    yield from (Found(path.stem, path, None) for path in loose if name_problem(path.stem) is None)


def voice_of(found: Found) -> Voice:
    """The voice with its file verified. Raises InvalidVoice."""
    entry = found.entry
    sha256 = verified(found.path, entry.sha256 if entry else None)
    return Voice(name=found.name, path=found.path.resolve(), sha256=sha256, manner=manner_for(entry, sha256))


def manner_for(entry: Entry | None, sha256: str) -> Manner:
    """The manifest's, or one from the hash."""
    if entry and entry.manner:
        return Manner(entry.manner.rate, entry.manner.pitch)
    return manner_of(sha256, entry.gender if entry else "")


def verified(path: Path, expected: str | None) -> str:
    """The sha256 of a voice's file.

    Raises InvalidVoice if it is missing, links out of its folder, has another hash than expected, or is not a complete
    mono 24 kHz WAV.
    """
    if not path.resolve().is_relative_to(path.parent.resolve()):
        raise InvalidVoice(f"{path} links out of its voice folder: copy the file itself into it")
    try:
        if not path.is_file():
            raise InvalidVoice(f"{path} is not there: restore it, or take it out of {path.parent / MANIFEST}")
        refuse_unfit(path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidVoice(f"{path} cannot be read: {error.strerror}") from error
    if expected is not None and sha256 != expected:
        raise InvalidVoice(
            f"{path} has changed since it was put into {MANIFEST}: restore it, or import it again under another name"
        )
    return sha256


def refuse_unfit(path: Path) -> None:
    """Raise InvalidVoice unless the file is a mono 24 kHz PCM WAV with all the frames that its header declares.

    A half-copied WAV reads without an error everywhere, only shorter.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise InvalidVoice(f"{path} has {size:,} bytes, a voice at most {LARGEST:,}: import an excerpt of 3 to 30 s")
    remedy = f"`vvbatch voices import {path} --name {path.stem}` makes a voice of an audio file"
    try:
        declared, actual, rate, channels = wav_frames(path)
    except wave.Error as error:
        raise InvalidVoice(f"{path} is not a PCM WAV file ({error}): {remedy}") from error
    if actual < declared or not actual:
        raise InvalidVoice(
            f"{path} is cut short: its header declares {declared:,} frames ({declared / rate:.2f} s), "
            f"{actual:,} are there: copy it again from its source"
        )
    if (rate, channels) != (SAMPLE_RATE, 1):
        raise InvalidVoice(
            f"{path} is {rate:,} Hz with {channels} channel(s), a voice is {SAMPLE_RATE:,} Hz mono: {remedy}"
        )


def wav_frames(path: Path) -> tuple[int, int, int, int]:
    """Of a PCM WAV: frames that its header declares, frames that are there, sample rate in Hz, channels.

    A header that leaves the length out declares what is there. Raises wave.Error for any other file.
    """
    found = _wav_frames(str(path))
    declared, actual, _, _ = found
    if (actual and actual == declared) or path.stat().st_size > LARGEST:
        return found
    from vvbatch.audio.containers import checked  # loads numpy
    from vvbatch.audio.whole import Cut

    try:
        return _wav_frames(io.BytesIO(checked(path.read_bytes()).data))
    except Cut:
        return found


def _wav_frames(file: str | IO[bytes]) -> tuple[int, int, int, int]:
    try:
        with wave.open(file, "rb") as sound:
            declared, channels = sound.getnframes(), sound.getnchannels()
            actual = len(sound.readframes(declared)) // (sound.getsampwidth() * channels)
            return declared, actual, sound.getframerate(), channels
    except (EOFError, RuntimeError) as error:  # RuntimeError: a chunk that ends after the file
        raise wave.Error(str(error) or "it ends too early") from error


def require_unchanged(voices: Iterable[Voice]) -> None:
    """Raises InvalidVoice if a voice's file has changed since the script was planned."""
    for voice in voices:
        try:
            found = voice.path.stat()
        except OSError as error:
            raise InvalidVoice(f"voice {voice.name!r}: {voice.path} cannot be read: {error.strerror}") from error
        seen = (voice.path, found.st_ino, found.st_size, found.st_mtime_ns)
        if hash_of(*seen) != voice.sha256:
            raise InvalidVoice(f"voice {voice.name!r}: {voice.path} has changed since the script was planned")


@lru_cache(maxsize=256)
def hash_of(path: Path, _inode: int, _size: int, _mtime_ns: int) -> str:
    """The sha256 of a file, computed once for each inode, size and time of change."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidVoice(f"{path} cannot be read: {error.strerror}") from error


def manner_of(sha256: str, gender: str = "") -> Manner:
    """A manner for a voice without one, from its hash: the same on every machine, and different from most others."""
    first, second = bytes.fromhex(sha256[:4])
    lowest, steps = {"female": (1, 7), "male": (-5, 7)}.get(gender, (-6, 13))
    return Manner(rate=round(0.88 + 0.04 * (first % 7), 2), pitch=float(lowest + second % steps))
