"""The OpenAPI document, and errors of paths that it does not have."""

from __future__ import annotations

import re

import httpx2
import msgspec
from openapi_spec_validator import validate


def test_the_openapi_document_is_valid_and_has_every_path(client: httpx2.Client) -> None:
    document = client.get("/openapi.json").json()
    validate(document)
    assert {"/v1/audio/speech", "/api/batches", "/api/batches/{batch}/lines/{line}/audio", "/metrics"} <= set(
        document["paths"]
    )
    named = set(document["components"]["schemas"]["SpeechRequest"]["properties"])
    assert {"model", "voice", "input", "response_format", "stream_format", "speed", "instructions"} <= named
    assert msgspec.json.decode(client.get("/openapi.json").content) == document


def test_everything_that_the_document_refers_to_is_in_it(client: httpx2.Client) -> None:
    answer = client.get("/openapi.json")
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text))
    assert referred and referred <= set(answer.json()["components"]["schemas"])


def test_unknown_paths_and_methods_are_errors_in_json(client: httpx2.Client) -> None:
    assert client.get("/nothing").json()["error"]["code"] == "not_found"
    wrong = client.delete("/api/batches")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]
