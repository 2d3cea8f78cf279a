"""`settings.yaml` in the home folder: what a user decides once for all commands. Every key has a default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import yaml

from vvbatch.book.pauses import Pauses, Seconds
from vvbatch.book.presets import Preset
from vvbatch.home import Home, HomeError
from vvbatch.script.fields import choices, did_you_mean

FILE = "settings.yaml"


class BookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    formats: tuple[str, ...] = ("m4b",)
    preset: str | None = None
    presets: dict[str, Preset] = {}
    """Own ones, by name."""
    cache_gb: Annotated[float, msgspec.Meta(ge=0.1, le=10_000)] = 8.0
    """Encoded chapters that are kept for the next assembly."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    keep_speech_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = 30
    """Days after which batches of `vvbatch synth` are deleted; null keeps them."""
    pauses: dict[str, Seconds] = {}
    """Seconds of silence in finished books, by the names of vvbatch.book.pauses; a script's own win."""
    book: BookSettings = BookSettings()


def load(home: Home) -> Settings:
    """Raises HomeError, which names the file, what is wrong in it and what is allowed."""
    file = home.path / FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise HomeError(f"{file} cannot be read: {error}; correct or remove it") from error
    return parse(file, text)


def parse(file: Path, text: str) -> Settings:
    known = Settings.__struct_fields__
    try:
        data = yaml.load(text, Loader=yaml.CSafeLoader) or {}
        for key in data:
            if key not in known:
                raise HomeError(f"{file}: unknown key {key!r}{did_you_mean(str(key), known)}; {choices(known)}")
        found = msgspec.convert(data, Settings)
        msgspec.convert(found.pauses, Pauses)
        return found
    except (yaml.YAMLError, msgspec.ValidationError, TypeError) as error:
        raise HomeError(f"{file}: {error}; correct or remove it") from error
