"""The API held against its own description: whatever schemathesis sends, nothing fails inside."""

from __future__ import annotations

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

EXAMPLES = 100


def test_every_route_is_described(address: str) -> None:
    paths = httpx.get(f"{address}/openapi.json").json()["paths"]
    assert {(path, method) for path, operations in paths.items() for method in operations} == {
        ("/v1/models", "get"),
        ("/v1/models/{id}", "get"),
        ("/v1/chat/completions", "post"),
        ("/v1/completions", "post"),
        ("/tokenize", "post"),
        ("/detokenize", "post"),
        ("/metrics", "get"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize"])
def test_nothing_that_is_sent_fails_inside(address: str, path: str, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_url(f"{address}/openapi.json")[path]["POST"]
    tried = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=tuple(HealthCheck.__members__.values()),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def answered(case: schemathesis.Case) -> None:
        nonlocal tried
        tried += 1
        case.call_and_validate(
            base_url=address, checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
        )

    answered()
    assert tried >= EXAMPLES
