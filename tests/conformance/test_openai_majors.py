"""Older major versions of openai-python as clients of Fireside, each in a virtual environment of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.api.caller import DOES, caller_server, run_openai_client
from tests.conformance.conftest import python_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with caller_server(tmp_path_factory.mktemp("majors")) as address:
        yield address


@pytest.mark.parametrize("major", ["1", "2"])
def test_a_major_does_all_of_it(address: str, major: str) -> None:
    python: Path = python_of(f"openai-{major}")
    *does, version = run_openai_client(python, address)
    assert does == DOES
    assert version.startswith(f"{major}.")
