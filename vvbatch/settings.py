"""`settings.yaml` in the home folder: what a user decides once for all commands. Every key has a default."""

from __future__ import annotations

import ipaddress
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


class ServeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of `vvbatch serve`."""

    host: str = "127.0.0.1"
    """Where it listens; an address that other machines reach needs a token."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 8880
    models: dict[str, str] = msgspec.field(default_factory=lambda: {"tts-1": "draft", "tts-1-hd": "1.5b"})
    """Profiles by the names that clients use for them, besides their own."""
    voices: dict[str, str] = {}
    """Voices of the library by the names that clients use for them, such as `alloy`."""
    hosts: tuple[str, ...] = ()
    """Names by which clients reach the server, besides localhost."""
    origins: tuple[str, ...] = ()
    """Web pages of other hosts that may use the server, as `https://host:port`."""
    proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies in front, whose X-Forwarded-For and X-Forwarded-Proto are accepted."""
    waiting: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 32
    """Requests for speech of one profile that may wait for a slot; more are refused with 429."""
    reserved_slots: Annotated[int, msgspec.Meta(ge=0, le=128)] = 1
    """Slots of each worker that lines of batches leave free while a server runs."""
    import_voices: bool = False
    """Whether clients may import voices."""
    log_texts: bool = False
    """Whether the access log has the beginnings of texts."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    keep_speech_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = 30
    """Days after which batches of `vvbatch synth` are deleted; null keeps them."""
    notify: tuple[str, ...] | str | None = None
    """A command that runs when a batch ends or makes no progress: its words, or a string that is divided into words."""
    pauses: dict[str, Seconds] = {}
    """Seconds of silence in finished books, by the names of vvbatch.book.pauses; a script's own win."""
    book: BookSettings = BookSettings()
    serve: ServeSettings = ServeSettings()


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
    except (yaml.YAMLError, msgspec.ValidationError, TypeError) as error:
        raise HomeError(f"{file}: {error}; correct or remove it") from error
    for each in found.serve.proxies:
        check_proxy(file, each)
    return found


def check_proxy(file: Path, given: str) -> None:
    """Raises HomeError for what is no address and no network, and for the network of all addresses."""
    remedy = "give the address of the proxy, such as 192.0.2.1, or its network, such as 192.0.2.0/24"
    try:
        network = ipaddress.ip_network(given)
    except ValueError as error:
        raise HomeError(f"{file}: serve.proxies: {error}; {remedy}") from error
    if network.prefixlen == 0:
        raise HomeError(f"{file}: serve.proxies: {given} is every address; {remedy}")
