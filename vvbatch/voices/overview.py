"""The library as rows, for tables and JSON."""

from __future__ import annotations

import wave

import msgspec

from vvbatch.engine.contract import Manner
from vvbatch.voices.errors import VoiceError
from vvbatch.voices.library import Found, Library, manner_for, voice_of, wav_frames
from vvbatch.voices.manifest import folded


class Row(msgspec.Struct, frozen=True):
    """A voice of the library; its fields are the keys of `voices list --json`."""

    name: str
    default: bool
    path: str
    sha256: str | None  # None: the file cannot be used
    duration_s: float | None
    language: str
    gender: str
    license: str
    consent: str
    provenance: dict[str, str | int | float]
    variant_of: str | None
    manner: Manner | None
    error: str | None  # why the voice cannot be used


def listing(library: Library) -> list[Row]:
    """Every voice, in the order in which names are found."""
    default = library.default()
    return [row(found, found == default) for found in library.found.values()]


def row(found: Found, is_default: bool = False) -> Row:
    entry = found.entry
    sha256, duration_s, error = entry.sha256 if entry else None, None, None
    try:
        sha256 = voice_of(found).sha256
        declared, _, rate, _ = wav_frames(found.path)
        duration_s = round(declared / rate, 3)
    except (VoiceError, wave.Error) as reason:
        error = str(reason)
    return Row(
        name=found.name,
        default=is_default,
        path=str(found.path),
        sha256=sha256,
        duration_s=duration_s,
        language=entry.language if entry else "",
        gender=entry.gender if entry else "",
        license=entry.license if entry else "",
        consent=entry.consent if entry else "",
        provenance=entry.provenance if entry else {},
        variant_of=entry.variant_of if entry else None,
        manner=manner_for(entry, sha256) if sha256 else None,
        error=error,
    )


def variants_of(library: Library, name: str) -> list[Found]:
    """The voices made from the named one. Raises UnknownVoice."""
    origin = folded(library.find(name).name)
    return [found for found in library.found.values() if found.entry and folded(found.entry.variant_of or "") == origin]
