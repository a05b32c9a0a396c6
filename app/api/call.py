"""A request with what answers it."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request

from app.api.keeping import Keeper
from app.api.metrics import Metrics
from app.backend import Backend


class Call(NamedTuple):
    """A request, the loaded model, the name clients know it by, where what it costs is counted, and where its chat is
    kept, if it is."""

    request: Request
    backend: Backend
    model: str
    metrics: Metrics
    keeper: Keeper | None
