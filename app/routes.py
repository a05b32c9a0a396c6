"""Plain routes beside the page: the model's state, health, and presets as files."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.chat_errors import MAX_CHARACTERS, MessageTooLong
from app.context import count_tokens
from app.errors import AppError
from app.models import Models
from app.store import NotFound
from app.transfer import preset_file
from app.transfer.names import file_name
from app.ui.model_views import state_view
from app.workspace import Workspaces
from engine import EngineError

NO_STORE = {"Cache-Control": "no-store"}


def plain_routes(workspaces: Workspaces, models: Models) -> APIRouter:
    """GET /status, /health and /presets/{preset_id}.json, POST /tokens.

    The last takes a text, and tells how many `tokens` the model's tokenizer makes of it. `server` of the status is
    another after each start.
    """
    router = APIRouter()
    server = secrets.token_hex(8)

    @router.get("/status")
    def status(request: Request) -> Response:
        workspace = workspaces.of(request)
        more = {"server": server, "notices": workspace.notices, "may_change": workspace.person.admin}
        return JSONResponse(state_view(models) | more, headers=NO_STORE)

    @router.get("/health")
    async def health() -> Response:
        state = models.state
        code = 200 if state.status == "ready" else 503
        return JSONResponse({"status": state.status, "message": state.message}, code, headers=NO_STORE)

    @router.post("/tokens")
    async def tokens(request: Request) -> Response:
        workspaces.of(request)
        text = (await request.body()).decode("utf-8", "replace")
        if len(text) > MAX_CHARACTERS:
            return JSONResponse({"error": str(MessageTooLong(len(text)))}, 413, headers=NO_STORE)
        try:
            counted = await asyncio.to_thread(lambda: count_tokens(models.backend(timeout=0), text))
        except (AppError, EngineError) as error:
            return JSONResponse({"error": str(error)}, 503, headers=NO_STORE)
        return JSONResponse({"tokens": counted}, headers=NO_STORE)

    @router.get("/presets/{preset_id}.json")
    def export_preset(preset_id: str, request: Request) -> Response:
        try:
            preset = workspaces.of(request).store.presets.get(preset_id)
        except NotFound as error:
            return JSONResponse({"error": str(error)}, 404, headers=NO_STORE)
        text = preset_file.write(preset)
        return download(iter([text.encode()]), "preset.json", file_name(preset.name, "json"), "application/json")

    return router


def download(pieces: Iterator[bytes], plain_name: str, name: str, media_type: str) -> Response:
    """A download; plain_name: for browsers that do not read UTF-8 in headers."""
    disposition = f"attachment; filename=\"{plain_name}\"; filename*=UTF-8''{quote(name, safe='')}"
    headers = {"Content-Disposition": disposition} | NO_STORE
    return StreamingResponse(pieces, media_type=media_type, headers=headers)
