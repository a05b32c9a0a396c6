"""What tests of every room share."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import weights
from app.home import models_folder
from tests.turnstile import turn

# Read when torch is imported. Its threads otherwise spin while they wait for each other, which beside other busy
# processes made the tests of tiny models nine times as slow.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# A shell starts what goes on in the background with Ctrl+C ignored, which the processes of tests would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes, or is thought up, says more of what else the machine does.
settings.register_profile("fireside", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fireside")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The real default model, fetched if it is not on this machine yet."""
    return weights.fetch(weights.DEFAULT, models_folder())
