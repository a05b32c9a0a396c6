"""What tests of engines elsewhere share: the real llama.cpp server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.remote.llama_cpp import LlamaServer


@pytest.fixture(scope="module")
def llama(model_path: Path) -> Iterator[LlamaServer]:
    server = LlamaServer(model_path)
    server.start()
    yield server
    server.kill()
