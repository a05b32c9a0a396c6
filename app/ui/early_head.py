"""Puts our own tags at the start of the page's `<head>`: Gradio's `head` argument takes effect too late."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.ui.language import current

# Comes with ours, in front of those of Gradio's parts; here it would follow them, and overrule some of what they say.
# Its link stays: Gradio would add another.
OWN_SHEET = re.compile(rb'<link rel="stylesheet" crossorigin (href="\./assets/[\w-]+\.css">)')


class EarlyHead:
    """ASGI middleware that inserts `tags` right after `<head>` of the HTML page at "/", and tells its language.

    Gradio's own style sheet is turned off, as `app.ui.assets` has it. All else passes through.
    """

    def __init__(self, app: ASGIApp, tags: str) -> None:
        self._app = app
        self._tags = tags.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        # Compressed or cached answers could not be rewritten.
        unwanted = (b"accept-encoding", b"if-none-match", b"if-modified-since")
        headers = [pair for pair in scope["headers"] if pair[0] not in unwanted]
        start: Message | None = None
        body = bytearray()

        async def rewrite(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is None or message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            page = bytes(body).replace(b'lang="en"', f'lang="{current.get()}"'.encode(), 1)
            page = OWN_SHEET.sub(rb'<link rel="stylesheet" disabled \1', page, count=1)
            page = page.replace(b"<head>", b"<head>" + self._tags, 1)
            kept = [pair for pair in start["headers"] if pair[0].lower() not in (b"content-length", b"cache-control")]
            kept += [(b"content-length", str(len(page)).encode()), (b"cache-control", b"no-store")]
            await send({**start, "headers": kept})
            await send({"type": "http.response.body", "body": page})

        await self._app({**scope, "headers": headers}, receive, rewrite)
