"""What FastAPI and Gradio put off until somebody asks, done before: the first page would wait for it."""

from __future__ import annotations

from typing import Any

import httpx


async def settle_routes(app: Any) -> None:
    """Have every route of an ASGI app looked at once, which FastAPI makes ready on the first request that gets so far.

    The address is the last of those that the page asks for; asked with the wrong method, it does nothing.
    """
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
        await client.get("/gradio_api/run/predict")
