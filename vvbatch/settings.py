"""`settings.yaml` in the home folder: what a user decides once for all commands. Every key has a default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import yaml

from vvbatch.home import Home, HomeError
from vvbatch.script.fields import choices, did_you_mean

FILE = "settings.yaml"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    keep_speech_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = 30
    """Days after which batches of `vvbatch synth` are deleted; null keeps them."""


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
        return msgspec.convert(data, Settings)
    except (yaml.YAMLError, msgspec.ValidationError, TypeError) as error:
        raise HomeError(f"{file}: {error}; correct or remove it") from error
