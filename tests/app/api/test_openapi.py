"""The API held against its own description: whatever schemathesis sends, nothing fails inside."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.app import plain_http

# In the default suite, and where it takes its time.
FEW, EXAMPLES = 8, 100
BODIES = ("/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize")
# Every text is an id as good as any, so that none is negative.
OPERATIONS = [
    *((path, "POST", mode) for path in BODIES for mode in GenerationMode),
    ("/v1/models/{id}", "GET", GenerationMode.POSITIVE),
]


def test_every_route_is_described(address: str) -> None:
    paths = plain_http.get(f"{address}/openapi.json").json()["paths"]
    assert {(path, method) for path, operations in paths.items() for method in operations} == {
        ("/v1/models", "get"),
        ("/v1/models/{id}", "get"),
        ("/v1/chat/completions", "post"),
        ("/v1/completions", "post"),
        ("/tokenize", "post"),
        ("/detokenize", "post"),
        ("/metrics", "get"),
    }


@pytest.mark.parametrize("examples", [FEW, pytest.param(EXAMPLES, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_nothing_that_is_sent_fails_inside(
    address: str, path: str, method: str, mode: GenerationMode, examples: int
) -> None:
    operation = schemathesis.openapi.from_url(f"{address}/openapi.json")[path][method]
    tried = 0

    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(operation.as_strategy(generation_mode=mode))
    def answered(case: schemathesis.Case) -> None:
        nonlocal tried
        tried += 1
        case.call_and_validate(
            base_url=address, checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
        )

    answered()
    assert tried >= examples
