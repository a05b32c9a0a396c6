"""A request with what answers it."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request

from app.api.metrics import Metrics
from app.backend import Backend


class Call(NamedTuple):
    """A request, the loaded model, the name clients know it by, and where what it costs is counted."""

    request: Request
    backend: Backend
    model: str
    metrics: Metrics
