"""The OpenAPI document, generated from the endpoints and their types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs

from vvbatch import __version__
from vvbatch.web.access import COOKIE
from vvbatch.web.endpoints import BINARY, TEXT, Content, Endpoint
from vvbatch.web.errors import ErrorAnswer

REF = "#/components/schemas/{name}"
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """OpenAPI 3.1, as JSON."""
    kinds: list[Any] = [ErrorAnswer]
    for each in endpoints:
        for content in (each.body, each.answer, *each.also.values()):
            kinds += [kind for what in content.values() for kind in types_of(what)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF, schema_hook=any_json)
    by_kind = {repr(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        paths.setdefault(each.path, {})[each.method.lower()] = operation(each, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vvbatch",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SCHEMES},
        "security": [{}, {"bearer": []}, {"cookie": []}],
    }


def operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [path_parameter(name) for name in re.findall(r"\{(\w+)\}", endpoint.path)]
    if endpoint.query:
        parameters += query_parameters(endpoint.query)
    made: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": endpoint.handler.__name__ if endpoint.handler.__name__ != "handler" else name_of(endpoint),
        "parameters": parameters,
        "responses": {
            str(status): {"description": "Good", **contents(content, schemas)}
            for status, content in ((endpoint.status, endpoint.answer), *endpoint.also.items())
        },
    }
    made["responses"]["default"] = {"description": "An error", **contents({"application/json": ErrorAnswer}, schemas)}
    if endpoint.body:
        made["requestBody"] = {"required": True, **contents(endpoint.body, schemas)}
    return made


def name_of(endpoint: Endpoint) -> str:
    return endpoint.path.rpartition("/")[2]


def contents(content: Content, schemas: dict[str, Any]) -> dict[str, Any]:
    return (
        {"content": {kind: {"schema": schema_of(what, kind, schemas)} for kind, what in content.items()}}
        if content
        else {}
    )


def schema_of(what: object, media_type: str, schemas: dict[str, Any]) -> Any:
    if media_type == "multipart/form-data":
        file = {"type": "string", "contentMediaType": "application/octet-stream"}
        made: dict[str, Any] = {"type": "object", "properties": {"file": file}, "required": ["file"]}
        if isinstance(what, type) and issubclass(what, Struct):
            made["properties"] |= properties_of(what)
            made["required"] += [each.name for each in structs.fields(what) if each.required]
        return made
    if what in (TEXT, BINARY):
        return {"type": "string"}
    given = [schemas[repr(kind)] for kind in types_of(what)]
    return given[0] if len(given) == 1 else {"anyOf": given}


def any_json(kind: type) -> dict[str, Any]:
    """The schema of `object`: any value of a JSON column."""
    if kind is not object:
        raise NotImplementedError
    return {"description": "any value"}


def types_of(what: object) -> tuple[object, ...]:
    if what in (TEXT, BINARY):
        return ()
    return what if isinstance(what, tuple) else (what,)


def path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def query_parameters(query: type[Struct]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties_of(query).items()
    ]


def properties_of(kind: type[Struct]) -> dict[str, Any]:
    """The schema of each field. None is left out: it means that the field is not given."""
    _, components = msgspec.json.schema_components([kind], ref_template=REF)
    found = {}
    for name, schema in components[kind.__name__].get("properties", {}).items():
        given = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
        shown = components[given[0]["$ref"].rpartition("/")[2]] if "$ref" in given[0] else given[0]  # an enumeration
        plain = {key: value for key, value in shown.items() if key not in ("default", "title", "description")}
        if None in plain.get("enum", ()):
            plain["enum"] = [each for each in plain["enum"] if each is not None]
        found[name] = plain
    return found
