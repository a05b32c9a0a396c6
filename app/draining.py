"""How requests end that are still under way when the server does."""

from __future__ import annotations

import asyncio

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Draining:
    """ASGI middleware: a request that is cut off is answered with 503, if nothing of its answer was sent yet.

    The server cancels what takes longer than it waits, and would tell of that with a traceback.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            if not begun:
                await PlainTextResponse("Fireside is shutting down.\n", 503)(scope, receive, send)
