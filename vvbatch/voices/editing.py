"""Adding voices to a folder and removing them: each WAV and each manifest is complete or absent."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import yaml
from numpy.typing import NDArray

from vvbatch import __version__
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.file_locks import held_by, locked
from vvbatch.voices.decode import Recording, decode
from vvbatch.voices.errors import InvalidVoice, VoiceError
from vvbatch.voices.library import Found, Library, voice_of
from vvbatch.voices.manifest import MANIFEST, Entry, Manifest, folded, name_problem, read
from vvbatch.voices.prepare import prepare
from vvbatch.voices.vary import Change, vary

LOCK_S = 60.0  # for another command to finish with the folder


class NameTaken(VoiceError):
    """A new voice cannot have the name."""


def import_voice(
    folder: Path, source: Path, recording: Recording, entry_fields: Mapping[str, str], when: datetime, library: Library
) -> Entry:
    """Make a voice of a recording and put it into `folder`.

    `entry_fields` has `name` and any of `language`, `gender`, `license`, `consent`. Raises NameTaken, InvalidVoice,
    VoiceError.
    """
    refuse_name(entry_fields["name"], library)
    try:
        samples = prepare(recording.samples, recording.rate)
    except InvalidVoice as error:
        raise InvalidVoice(f"{source}: {error}") from error
    provenance = {
        "kind": "recording",
        "source": os.fsencode(source.name).decode("utf-8", "replace"),
        "source_sha256": recording.sha256,
        "source_rate_hz": recording.rate,
        "start_s": recording.start_s,
        "length_s": round(recording.duration_s, 3),
        **({"note": "; ".join(recording.notes)} if recording.notes else {}),
        "made_at": when.isoformat(timespec="seconds"),
        "made_by": f"vvbatch {__version__}, voices import",
    }
    return put(folder, samples, {**entry_fields, "provenance": provenance}, library)


def add_variant(folder: Path, origin: Found, label: str, change: Change, when: datetime, library: Library) -> Entry:
    """Put a changed copy of a voice into `folder` as `<name>-<label>`. Raises as `import_voice`, and MissingExtra."""
    name = f"{origin.name}-{label}"
    refuse_name(name, library)
    base = voice_of(origin)
    manner = change.manner(base.manner)
    entry = origin.entry
    provenance = {
        "kind": "variant",
        "source": origin.name,
        "source_sha256": base.sha256,
        **change.as_provenance(),
        "made_at": when.isoformat(timespec="seconds"),
        "made_by": f"vvbatch {__version__}, voices variants",
    }
    fields = {field: getattr(entry, field) if entry else "" for field in ("language", "gender", "license", "consent")}
    more = {"variant_of": origin.name, "manner": {"rate": manner.rate, "pitch": manner.pitch}}
    samples = vary(decode(base.path).samples, change)
    return put(folder, samples, {"name": name, **fields, "provenance": provenance, **more}, library)


def put(folder: Path, samples: NDArray[np.float32], fields: Mapping[str, object], library: Library) -> Entry:
    """Write a voice's WAV (PCM16, mono, 24 kHz), then its manifest entry. Raises NameTaken, VoiceError."""
    from vvbatch import audio
    from vvbatch.store import write_atomically

    name = unicodedata.normalize("NFC", str(fields["name"]))
    refuse_name(name, library)
    data = audio.wav_bytes(audio.to_pcm16(samples), SAMPLE_RATE)
    sha256 = hashlib.sha256(data).hexdigest()
    with changing(folder) as manifest:
        if folded(name) in {folded(entry.name) for entry in manifest.voices}:  # added since the library was read
            raise NameTaken(f"there is already a voice {name!r} in {folder}")
        path = folder / f"{name}.wav"
        if os.path.lexists(path):  # a file without an entry is not overwritten
            path = folder / f"{name}-{sha256[:8]}.wav"
        try:
            entry = msgspec.convert({**fields, "name": name, "file": path.name, "sha256": sha256}, Entry)
        except msgspec.ValidationError as error:
            raise VoiceError(f"voice {name!r}: {error}") from error
        write_atomically(path, data)
        manifest.voices.append(entry)
    return entry


def remove(folder: Path, name: str) -> Path:
    """Remove a voice from the folder's manifest, then its file. Returns the file's path. Raises VoiceError."""
    with changing(folder) as manifest:
        for entry in manifest.voices:
            if folded(entry.name) == folded(name):
                manifest.voices.remove(entry)
                break
        else:
            raise VoiceError(f"{folder / MANIFEST} lists no voice {name!r}")
    path = folder / entry.file
    path.unlink(missing_ok=True)
    return path


def refuse_name(name: str, library: Library) -> None:
    """Raise NameTaken if the name is unsafe, or a listed voice has it in any case and Unicode form."""
    problem = name_problem(name)
    if problem:
        raise NameTaken(f"a voice cannot be named {name!r}: {problem}")
    listed = library.found.get(folded(name))
    if listed and listed.entry:
        raise NameTaken(f"there is already a voice {listed.name!r} ({listed.path}): choose another name, or remove it")


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[Manifest]:
    """The folder's manifest, to change in place; it is written when the block ends without an error.

    A lock admits one process at a time.
    """
    from vvbatch.store import write_atomically

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("ab") as lock:
            if not locked(lock.fileno(), fcntl.LOCK_EX, LOCK_S):
                raise VoiceError(f"{folder} cannot be changed: {held_by(lock.fileno(), folder / '.lock')}")
            manifest = read(folder)
            yield manifest
            text = yaml.safe_dump(msgspec.to_builtins(manifest), sort_keys=False, allow_unicode=True, width=110)
            write_atomically(folder / MANIFEST, text.encode())
    except OSError as error:
        raise VoiceError(f"{folder} cannot be written: {error.strerror}; free its disk or change its rights") from error
