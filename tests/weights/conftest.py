"""A hub with one model, and a models folder to pull it into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model_hub import ModelHub, Repository, point_hub_at
from tests.weights.hub_model import FOREIGN, NAME, SMALL, WEIGHTS


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    with ModelHub() as hub:
        point_hub_at(hub.url, monkeypatch)
        hub.add(NAME, {**SMALL, **FOREIGN, "model.safetensors": WEIGHTS})
        yield hub


@pytest.fixture
def repository(hub: ModelHub) -> Repository:
    return hub.repositories[NAME]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"
