"""GET /engine, POST /engine/look, /engine/use and /engine/back: the engine elsewhere, as the page chooses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.engine_choice import EngineChoice, Found
from app.errors import AppError
from app.routes import NO_STORE
from app.ui.language import told
from app.ui.views import sentence
from app.workspace import NotAllowed, Workspaces
from engine import EngineError


class Place(BaseModel):
    """The body of a request. key: "" for the one that is kept for the same address."""

    model_config = ConfigDict(extra="forbid", strict=True)

    address: str = Field(max_length=2_000)
    key: str = Field("", max_length=1_000)
    model: str | None = Field(None, max_length=1_000)
    context: int | None = Field(None, ge=64, le=100_000_000)


def engine_routes(workspaces: Workspaces, choice: EngineChoice) -> APIRouter:
    """All of them an administrator's but the first, which tells others only that they may not change it.

    An error is {error} with status 400, 403 for whoever may not. A key goes in and never comes out.
    """
    router = APIRouter()

    def done(request: Request, act: Callable[[], dict[str, Any]]) -> Response:
        try:
            workspaces.of(request).require_admin()
            return JSONResponse(act(), headers=NO_STORE)
        except (AppError, EngineError) as error:
            status = 403 if isinstance(error, NotAllowed) else 400
            return JSONResponse({"error": told(sentence(" ".join(str(error).split())))}, status, headers=NO_STORE)

    async def asked(request: Request, act: Callable[[Place], dict[str, Any]]) -> Response:
        try:
            place = Place.model_validate_json(await request.body())
        except ValidationError:
            return JSONResponse({"error": told("That is no address of an engine.")}, 400, headers=NO_STORE)
        return await asyncio.to_thread(done, request, lambda: act(place))

    @router.get("/engine")
    def engine(request: Request) -> Response:
        admin = workspaces.of(request).person.admin
        chosen = choice.chosen if admin else None
        told = {"may_change": admin, "address": "", "model": None, "key": False}
        if chosen is not None:
            told |= {"address": chosen.address.base, "model": chosen.model, "key": bool(chosen.address.key)}
        return JSONResponse(told, headers=NO_STORE)

    @router.post("/engine/look")
    async def look(request: Request) -> Response:
        return await asked(request, lambda place: found_view(choice.look(place.address, place.key)))

    @router.post("/engine/use")
    async def use(request: Request) -> Response:
        def act(place: Place) -> dict[str, Any]:
            choice.use(place.address, place.key, place.model, place.context)
            return {}

        return await asked(request, act)

    @router.post("/engine/back")
    async def back(request: Request) -> Response:
        def act() -> dict[str, Any]:
            choice.back()
            return {}

        return await asyncio.to_thread(done, request, act)

    return router


def found_view(found: Found) -> dict[str, Any]:
    """address: as it is asked by. kind: of server. models: ids. context: tokens. ignored: what it is not told."""
    info = found.info
    return {
        "address": info.remote,
        "kind": info.kernels,
        "models": found.models,
        "context": info.context,
        "ignored": [told(sentence(line)) for line in info.ignored],
    }
