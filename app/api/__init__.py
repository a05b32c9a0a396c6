"""The OpenAI-compatible API, on the server that serves the page."""

from __future__ import annotations

from app.api.routes import api_router

__all__ = ["api_router"]
