"""The library as rows of plain data, for tables and JSON."""

from __future__ import annotations

import wave
from typing import Any

from vvbatch.voices.errors import VoiceError
from vvbatch.voices.library import Found, Library, manner_for, voice_of, wav_frames
from vvbatch.voices.manifest import folded


def listing(library: Library) -> list[dict[str, Any]]:
    """Every voice in the order in which names are found; `error` says why one cannot be used, else it is None."""
    default = library.default()
    return [row(found, found == default) for found in library.found.values()]


def row(found: Found, is_default: bool = False) -> dict[str, Any]:
    entry = found.entry
    sha256, duration_s, error = entry.sha256 if entry else None, None, None
    try:
        sha256 = voice_of(found).sha256
        declared, _, rate, _ = wav_frames(found.path)
        duration_s = round(declared / rate, 3)
    except (VoiceError, wave.Error) as reason:
        error = str(reason)
    manner = manner_for(entry, sha256) if sha256 else None
    return {
        "name": found.name,
        "default": is_default,
        "path": str(found.path),
        "sha256": sha256,
        "duration_s": duration_s,
        "language": entry.language if entry else "",
        "gender": entry.gender if entry else "",
        "license": entry.license if entry else "",
        "consent": entry.consent if entry else "",
        "provenance": entry.provenance if entry else {},
        "variant_of": entry.variant_of if entry else None,
        "manner": {"rate": manner.rate, "pitch": manner.pitch} if manner else None,
        "error": error,
    }


def variants_of(library: Library, name: str) -> list[Found]:
    """The voices made from the named one. Raises UnknownVoice."""
    origin = folded(library.find(name).name)
    return [found for found in library.found.values() if found.entry and folded(found.entry.variant_of or "") == origin]
