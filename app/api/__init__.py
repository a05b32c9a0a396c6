"""The OpenAI-compatible API, on the server that serves the page."""

from __future__ import annotations

from app.api.gate import Gate
from app.api.routes import api_router

__all__ = ["Gate", "api_router"]
