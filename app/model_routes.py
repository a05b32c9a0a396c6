"""GET /models: every model of this machine and those worth fetching, with what is under way."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.library import ModelLibrary
from app.routes import NO_STORE
from app.ui.model_views import shelf_view
from app.workspace import Workspaces
from weights import WeightsError


def model_routes(workspaces: Workspaces, library: ModelLibrary) -> APIRouter:
    """The list that the page's panel shows; 500 with `error` where the models folder cannot be read."""
    router = APIRouter()

    @router.get("/models")
    def shelf(request: Request) -> Response:
        admin = workspaces.of(request).person.admin
        try:
            return JSONResponse(shelf_view(library, admin=admin), headers=NO_STORE)
        except WeightsError as error:
            return JSONResponse({"error": str(error)}, 500, headers=NO_STORE)

    return router
