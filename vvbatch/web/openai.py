"""Models and voices, as clients of OpenAI's API list them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from vvbatch import profiles
from vvbatch.settings import ServeSettings
from vvbatch.voices import Library
from vvbatch.web.answers import json_answer
from vvbatch.web.services import services_of


class Model(Struct, frozen=True):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "vvbatch"


class Models(Struct, frozen=True):
    data: Sequence[Model]
    object: Literal["list"] = "list"


class Named(Struct, frozen=True):
    id: str
    name: str


class AudioModels(Struct, frozen=True):
    models: Sequence[Named]


class AudioVoices(Struct, frozen=True):
    voices: Sequence[Named]


def model_names(settings: ServeSettings) -> dict[str, str]:
    """Titles by name: every profile, and the names that the settings map to one."""
    titles = {name: profiles.load(name).title for name in profiles.names()}
    return titles | {name: titles[mapped] for name, mapped in settings.models.items() if mapped in titles}


async def list_models(request: Request) -> Response:
    services = services_of(request)
    names = await services.call(model_names, services.settings.serve)
    return json_answer(Models([Model(name) for name in names]))


async def list_audio_models(request: Request) -> Response:
    services = services_of(request)
    names = await services.call(model_names, services.settings.serve)
    return json_answer(AudioModels([Named(name, title) for name, title in names.items()]))


async def list_audio_voices(request: Request) -> Response:
    services = services_of(request)
    names = await services.call(lambda: Library.of(services.home).names())
    return json_answer(AudioVoices([Named(name, name) for name in [*names, *services.settings.serve.voices]]))
