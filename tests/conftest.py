"""What tests of every room share."""

from __future__ import annotations

from pathlib import Path

import pytest

import weights
from app.home import models_folder


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The real default model, fetched if it is not on this machine yet."""
    return weights.fetch(weights.DEFAULT, models_folder())
