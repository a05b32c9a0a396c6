"""Tokens on their way to the page: one server-sent-events route that tails a run or reads the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.chats import Chats
from app.store import NotFound, Store
from app.ui.views import memory_view, path_views
from app.workspace import Workspaces

# About 25 batches a second: smooth to the eye, and the cost does not grow with the model's speed.
INTERVAL_SECONDS = 0.04
KEEP_ALIVE_SECONDS = 10.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def stream_route(workspaces: Workspaces) -> APIRouter:
    """GET /stream/{message_id}?from=POSITION: an answer, its thoughts first, from a position on until it is finished.

    Events: `text` {reasoning, text, phase, stats, warning} with the new position as its id, and a last `done` with the
    message as it is in the store. warning: one line while the answer cannot be saved, else null. Comment lines are sent
    while there is nothing new. 404 for an unknown message.
    """
    router = APIRouter()

    @router.get("/stream/{message_id}")
    async def stream(message_id: str, request: Request) -> Response:
        mine = await asyncio.to_thread(workspaces.of, request)
        try:
            await asyncio.to_thread(mine.store.messages.get, message_id)
        except NotFound as error:
            return JSONResponse({"error": str(error)}, status_code=404)
        position = _position(request.headers.get("last-event-id") or request.query_params.get("from"))
        events = _events(mine.store, mine.chats, message_id, position)
        return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)

    return router


async def _events(store: Store, chats: Chats, message_id: str, position: int) -> AsyncIterator[bytes]:
    live = await asyncio.to_thread(chats.live, message_id)
    told, quiet = None, 0.0
    while live is not None:
        done = live.done
        reasoning, text, reached = live.shown_from(position)
        # Asked for more than there is: nothing is sent twice.
        position = max(position, reached)
        state = (live.phase, live.error)
        if reasoning or text or state != told:
            told, quiet = state, 0.0
            phase, warning = state
            data = {"reasoning": reasoning, "text": text, "phase": phase, "stats": live.stats, "warning": warning}
            yield _event("text", data, position)
        elif quiet >= KEEP_ALIVE_SECONDS:
            quiet = 0.0
            yield b": still here\n\n"
        if done:
            break
        await asyncio.sleep(INTERVAL_SECONDS)
        quiet += INTERVAL_SECONDS
    revision = store.revision(live.conversation_id) if live else 0
    message = await asyncio.to_thread(store.messages.get, message_id)
    [view] = await asyncio.to_thread(path_views, store, [message])
    memory = await asyncio.to_thread(_memory, chats, message.conversation_id)
    yield _event(
        "done", {**view, "conversation": message.conversation_id, "revision": revision, "memory": memory}, position
    )


def _memory(chats: Chats, conversation_id: str) -> dict[str, Any] | None:
    """What the model sees now that the answer is there; None where the conversation was deleted meanwhile."""
    try:
        return memory_view(chats.next_answer.sight(conversation_id))
    except NotFound:
        return None


def _event(name: str, data: dict[str, Any], position: int) -> bytes:
    return f"event: {name}\nid: {position}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _position(text: str | None) -> int:
    """A position a browser sent; 0 for whatever is none."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 16 else 0
