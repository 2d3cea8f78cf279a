"""Schemathesis tries what the OpenAPI document allows, and what it does not, against a running server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.web import Site, serving
from vvbatch.web.endpoints import ENDPOINTS, Endpoint

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
LEFT_OUT = ("/api/events", "/api/warmup")  # one does not end, one starts a process
EXAMPLES = 15


@pytest.fixture(scope="module")
def tried(module_home: Path) -> Iterator[Site]:
    with serving() as site, site.client() as client:
        script = "version: 1\ntitle: Pier\nmodel: ready\nlines:\n- The lamp went out.\n"
        client.post("/api/batches", content=script, headers={"Content-Type": "application/yaml"})
        yield site


@pytest.fixture(scope="module")
def document(tried: Site) -> Any:
    return schemathesis.openapi.from_url(f"{tried.url}/openapi.json")


TRIED = [each for each in ENDPOINTS if each.path not in LEFT_OUT]
REFUSABLE = [each for each in TRIED if each.query or each.body]


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", TRIED, ids=lambda each: f"{each.method} {each.path}")
def test_what_the_document_allows_is_answered_as_it_says(tried: Site, document: Any, endpoint: Endpoint) -> None:
    checks = [check for check in CHECKS if check is not not_a_server_error or endpoint.path != "/health/ready"]
    keeps_to(tried, document, endpoint, GenerationMode.POSITIVE, checks)  # 503 is what that path is for


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", REFUSABLE, ids=lambda each: f"{each.method} {each.path}")
def test_what_the_document_does_not_allow_is_refused(tried: Site, document: Any, endpoint: Endpoint) -> None:
    keeps_to(tried, document, endpoint, GenerationMode.NEGATIVE, [*CHECKS, negative_data_rejection])


def keeps_to(tried: Site, document: Any, endpoint: Endpoint, generation: GenerationMode, checks: list[Any]) -> None:
    """Half of the cases with ids that the ledger has."""
    known = {"batch": "last", "line": "line-1", "file": "none", "take": "none"}

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(
        case=document[endpoint.path][endpoint.method].as_strategy(generation_mode=generation), with_ids=st.booleans()
    )
    def holds(case: Any, with_ids: bool) -> None:
        if with_ids:
            case.path_parameters.update({name: known[name] for name in case.path_parameters or {}})
        case.call_and_validate(checks=checks, timeout=30)

    holds()
