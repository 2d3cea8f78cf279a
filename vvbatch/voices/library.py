"""Voices by name, from folders that each have a `manifest.yaml` or just audio files; the first folder wins.

A voice is a mono 24 kHz WAV: a VibeVoice profile takes it as its prompt, the draft profile takes its manner.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from vvbatch.engine import Manner, Voice
from vvbatch.home import Home
from vvbatch.profiles import bundled

MANIFEST = "manifest.yaml"
DEFAULT = "default"


class VoiceError(LookupError):
    """A voice cannot be used: its file is gone, changed, or outside its folder; or a manifest is wrong."""


class UnknownVoice(VoiceError):
    """No voice of that name: what was asked for, and what there is instead."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class MannerEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rate: float = 1.0
    pitch: float = 0.0


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A voice in a manifest."""

    name: str
    file: str
    sha256: str
    language: str = ""
    gender: str = ""
    license: str = ""
    provenance: str = ""
    consent: str = ""
    variant_of: str | None = None
    manner: MannerEntry | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    voices: list[Entry] = []


@dataclass(frozen=True)
class Found:
    folder: Path
    entry: Entry


class Library:
    """Voices of several folders. Nothing is read before the first name is looked up."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = list(folders)
        self._found: dict[str, Found] | None = None
        self._resolved: dict[str, Voice] = {}

    @classmethod
    def of(cls, home: Home) -> Library:
        """The home's own voices, then the bundled ones."""
        return cls([home.voices, bundled("voices")])

    @property
    def found(self) -> dict[str, Found]:
        """By folded name, in the folders' and manifests' order."""
        if self._found is None:
            self._found = {}
            for folder in self.folders:
                for entry in entries(folder):
                    self._found.setdefault(folded(entry.name), Found(folder, entry))
        return self._found

    def names(self) -> list[str]:
        """Every voice, the default first."""
        return [*([DEFAULT] if self.default() else []), *(found.entry.name for found in self.found.values())]

    def resolve(self, name: str) -> Voice:
        """The voice of that name, in any case and Unicode form; its file is there and has its hash.

        Raises UnknownVoice or VoiceError.
        """
        wanted = folded(name)
        if wanted not in self._resolved:
            self._resolved[wanted] = self.look_up(name, wanted)
        return self._resolved[wanted]

    def look_up(self, name: str, wanted: str) -> Voice:
        found = self.found.get(wanted)
        if wanted == DEFAULT and found is None:
            found = self.default()
        if found is None:
            from vvbatch.script.fields import did_you_mean  # only for an error

            known = self.names()
            raise UnknownVoice(f"unknown voice {name!r}{did_you_mean(name, known)}", f"there is {', '.join(known)}")
        entry = found.entry
        path = inside(found.folder, entry.file)
        if file_sha256(path) != entry.sha256:
            raise VoiceError(f"voice {entry.name!r}: {path} has changed since it was put into its manifest")
        manner = entry.manner
        return Voice(
            name=entry.name,
            path=path,
            sha256=entry.sha256,
            manner=Manner(manner.rate, manner.pitch) if manner else manner_of(entry.sha256),
        )

    def default(self) -> Found | None:
        """The first bundled voice."""
        shipped = [found for found in self.found.values() if found.folder == self.folders[-1]]
        return shipped[0] if shipped else None


def entries(folder: Path) -> list[Entry]:
    """A folder's manifest, and the WAV files that it does not name. Raises VoiceError."""
    if not folder.is_dir():
        return []
    listed = read_manifest(folder).voices
    named = {entry.file for entry in listed}
    loose = [path for path in sorted(folder.glob("*.wav")) if path.name not in named and not path.name.startswith(".")]
    return listed + [Entry(name=path.stem, file=path.name, sha256=file_sha256(path)) for path in loose]


def read_manifest(folder: Path) -> Manifest:
    """An empty one where there is no manifest. Raises VoiceError."""
    file = folder / MANIFEST
    if not file.is_file():
        return Manifest()
    try:
        return msgspec.convert(yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}, Manifest)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise VoiceError(f"{file}: {error}") from error


def inside(folder: Path, name: str) -> Path:
    """A file of the folder; links out of it are refused. Raises VoiceError."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise VoiceError(f"{folder / name} lies outside of its voice folder")
    if not path.is_file():
        raise VoiceError(f"{path} is not there: restore it, or remove the voice from {folder / MANIFEST}")
    return path


def file_sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VoiceError(f"{path} cannot be read: {error.strerror}") from error


def folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def manner_of(sha256: str) -> Manner:
    """A manner for a voice that has none, from its hash: the same on every machine, and apart from most others."""
    first, second = bytes.fromhex(sha256[:4])
    return Manner(rate=0.9 + 0.25 * first / 255, pitch=-4.0 + 8.0 * second / 255)
