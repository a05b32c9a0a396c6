"""Where the server takes commands of the terminal; see `app.accounts.control`."""

from __future__ import annotations

import asyncio
import hmac
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.accounts.control import IMPORT, PATH, administer
from app.accounts.people import Accounts
from app.errors import AppError
from app.incoming import Import
from app.store import Store


def control_route(store: Store, accounts: Accounts, secret: str) -> APIRouter:
    """POST /control {command, values}: {lines} or {error}; 404 for whoever does not have the secret.

    To `import` it answers as POST /import does, but reads the file from where it is.
    """
    router = APIRouter()

    @router.post(PATH)
    async def control(request: Request) -> Response:
        if not has_secret(request, secret):
            return JSONResponse({"detail": "Not Found"}, 404)
        try:
            asked = await request.json()
            if asked["command"] == IMPORT:
                path, user = Path(asked["values"]["path"]), asked["values"]["user"]
                return Import(await asyncio.to_thread(store.of_user, user), path, path.name).response()
            lines = await asyncio.to_thread(administer, store, accounts, asked["command"], asked["values"])
        except AppError as error:
            return JSONResponse({"error": str(error)}, headers={"Cache-Control": "no-store"})
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "the command is of another version of Fireside"}, 400)
        return JSONResponse({"lines": lines}, headers={"Cache-Control": "no-store"})

    return router


def has_secret(request: Request, secret: str) -> bool:
    """Whether a request brings along the secret of the data folder; nobody does where there is none."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    return bool(secret) and hmac.compare_digest(given.encode(), secret.encode())
