"""Where the server takes commands of the terminal; see `app.accounts.control`."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.accounts.control import IMPORT, PATH, REPLAY, administer
from app.accounts.people import Accounts
from app.errors import AppError
from app.incoming import Import
from app.inside.errors import opened
from app.inside.replay import Replay, answers_named, followed
from app.models import Models
from app.store import Store
from engine import EngineError

NO_STORE = {"Cache-Control": "no-store"}


def control_route(store: Store, accounts: Accounts, models: Models, secret: str) -> APIRouter:
    """POST /control {command, values}: {lines} or {error}; 404 for whoever does not have the secret.

    To `import` it answers as POST /import does, but reads the file from where it is; to `replay` with a view of the
    replay a line.
    """
    router = APIRouter()

    def answer(command: str, values: Mapping[str, Any]) -> Response:
        if command == IMPORT:
            path = Path(values["path"])
            return Import(store.of_user(values["user"]), path, path.name).response()
        if command == REPLAY:
            theirs = store.of_user(values["user"])
            ids = answers_named(theirs, values["id"])
            views = followed(Replay(theirs, opened(models.backend(timeout=0)), ids, values["settings"]))
            lines = (json.dumps(view) + "\n" for view in views)
            return StreamingResponse(lines, media_type="application/x-ndjson", headers=NO_STORE)
        return JSONResponse({"lines": administer(store, accounts, command, values)}, headers=NO_STORE)

    @router.post(PATH)
    async def control(request: Request) -> Response:
        if not has_secret(request, secret):
            return JSONResponse({"detail": "Not Found"}, 404)
        try:
            asked = await request.json()
            return await asyncio.to_thread(answer, asked["command"], asked["values"])
        except (AppError, EngineError) as error:
            return JSONResponse({"error": str(error)}, headers=NO_STORE)
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "the command is of another version of Fireside"}, 400)

    return router


def has_secret(request: Request, secret: str) -> bool:
    """Whether a request brings along the secret of the data folder; nobody does where there is none."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    return bool(secret) and hmac.compare_digest(given.encode(), secret.encode())
