"""A voice folder's `manifest.yaml`: the file, the source and the consent of each voice."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Annotated

import msgspec
import yaml

from vvbatch.voices.errors import VoiceError

MANIFEST = "manifest.yaml"
DEFAULT = "default"
LARGEST = 1 << 20  # bytes
LONGEST_NAME = 64

Text = Annotated[str, msgspec.Meta(max_length=4_000)]


class MannerEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the draft profile speaks as this voice."""

    rate: Annotated[float, msgspec.Meta(ge=0.5, le=2.0)] = 1.0
    pitch: Annotated[float, msgspec.Meta(ge=-12.0, le=12.0)] = 0.0


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A voice in a manifest; `file` lies in the manifest's folder."""

    name: Text
    file: Text
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    language: Text = ""
    gender: Text = ""
    license: Text = ""
    provenance: dict[str, Text | int | float] = {}
    consent: Text = ""
    variant_of: Text | None = None
    manner: MannerEntry | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    voices: list[Entry] = []


def folded(name: str) -> str:
    """The form by which names are compared: case and Unicode form do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def name_problem(name: str) -> str | None:
    """Why `name` cannot name a voice, or None. Safe names are safe as file names everywhere."""
    if not 1 <= len(name) <= LONGEST_NAME or len(name.encode(errors="replace")) > 2 * LONGEST_NAME:
        return f"it must have 1 to {LONGEST_NAME} characters"
    bad = [sign for sign in name if not (sign in "-_." or unicodedata.category(sign)[0] in "LMN")]
    if bad:
        return f"{bad[0]!r} cannot stand in it; letters, digits, '-', '_' and '.' can"
    if name[0] in "-." or name[-1] == ".":
        return "it cannot start with '-' or '.', nor end with '.'"
    stem = name.split(".")[0].casefold()
    if stem in {"con", "prn", "aux", "nul"} or (stem[:3] in {"com", "lpt"} and stem[3:].isdigit()):
        return "some systems reserve it for devices"
    return f"{DEFAULT!r} always means the first bundled voice" if folded(name) == DEFAULT else None


def read(folder: Path) -> Manifest:
    """The folder's manifest, an empty one where there is none. Raises VoiceError with the file and the place."""
    file = folder / MANIFEST
    try:
        if not file.is_file():
            return Manifest()
        if file.stat().st_size > LARGEST:
            raise VoiceError(f"{file} is larger than {LARGEST:,} bytes: it is not a voice manifest")
        raw = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        manifest = msgspec.convert({} if raw is None else raw, Manifest)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError, RecursionError) as error:
        raise VoiceError(f"{file}: {error}") from error
    seen: set[str] = set()
    for entry in manifest.voices:
        problem = name_problem(entry.name)
        if problem:
            raise VoiceError(f"{file}: a voice cannot be named {entry.name!r}: {problem}")
        if folded(entry.name) in seen:
            raise VoiceError(f"{file} names {entry.name!r} twice (case and Unicode form do not count)")
        if Path(entry.file).name != entry.file or "\\" in entry.file or entry.file in {"", ".", ".."}:
            raise VoiceError(f"{file}: {entry.name!r}: {entry.file!r} is not a file of the manifest's own folder")
        seen.add(folded(entry.name))
    return manifest
