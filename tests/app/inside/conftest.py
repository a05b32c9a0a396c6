"""What tests of the inside of answers share: the default model in the deterministic mode, loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store import Message
from tests.app.inside.inside import Inside


@pytest.fixture(scope="session")
def inside(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Iterator[Inside]:
    opened = Inside.with_model(tmp_path_factory.mktemp("inside") / "home", model_path)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def answer(inside: Inside) -> Message:
    return inside.ask("Write one sentence about rain, with an emoji 🌧.", seed=4)
