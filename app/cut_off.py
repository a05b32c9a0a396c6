"""How requests end that are cut off: by a client that leaves while it sends, or by the end of the server."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class CutOff:
    """ASGI middleware: what the server's end cuts off is answered with 503, if nothing of its answer was sent yet.

    Both would be told with a traceback otherwise: the server cancels what takes longer than it waits, and whoever reads
    the body of a client that has left gets an exception.
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
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            if not begun:
                await PlainTextResponse("Fireside is shutting down.\n", 503)(scope, receive, send)
