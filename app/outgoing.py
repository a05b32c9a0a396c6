"""Conversations as files to download: which formats there are, the files, and what each format leaves out."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.list_routes import MAX_QUERY, read_filters, without_tag
from app.routes import NO_STORE, download
from app.store import NotFound, Store
from app.transfer.chat import collect
from app.transfer.exporting import export
from app.transfer.formats import FORMATS, Format
from app.transfer.left_out import left_out
from app.ui.language import t, told
from app.workspace import Workspaces

MAX_CHOSEN = 500


def export_routes(workspaces: Workspaces) -> APIRouter:
    """GET /export: the formats. GET /export/{kind}, or /export/{kind}/{ids} with commas between them: a file.

    Without ids it is all conversations, with `?query=` and filters those that the list shows for them, and archived
    ones. `?zip=1`: a file for each; `?branches=all`: not only the one that is shown, where the format can tell them
    apart. GET /left-out/{kind} and /left-out/{kind}/{ids}: what of these the format leaves out, in words, and how many
    conversations they are.
    """
    router = APIRouter()

    @router.get("/export")
    def formats() -> Response:
        found = [{"name": each.name, "label": t(each.label), "chooses": each.chooses, "single": each.single}
                 for each in FORMATS.values()]  # fmt: skip
        return JSONResponse(found, headers=NO_STORE)

    @router.get("/export/{kind}")
    @router.get("/export/{kind}/{ids}")
    def file(kind: str, request: Request, ids: str = "") -> Response:
        try:
            store, chosen, every, wanted = _asked(workspaces, request, kind, ids)
            found = export(store, wanted, chosen, all_branches=every, zipped="zip" in request.query_params)
        except NotFound as error:
            return JSONResponse({"error": str(error)}, 404, headers=NO_STORE)
        return download(found.pieces, f"chat.{found.name.rpartition('.')[2]}", found.name, found.media_type)

    @router.get("/left-out/{kind}")
    @router.get("/left-out/{kind}/{ids}")
    def lost(kind: str, request: Request, ids: str = "") -> Response:
        try:
            store, chosen, every, wanted = _asked(workspaces, request, kind, ids)
            found = left_out(collect(store, wanted), chosen.holding(every))
        except NotFound as error:
            return JSONResponse({"error": str(error)}, 404, headers=NO_STORE)
        return JSONResponse({"chats": len(wanted), "lines": [told(line) for line in found]}, headers=NO_STORE)

    return router


def _asked(workspaces: Workspaces, request: Request, kind: str, ids: str) -> tuple[Store, Format, bool, Sequence[str]]:
    """The asker's store, the format, whether every branch, and the ids; raises NotFound."""
    if (chosen := FORMATS.get(kind)) is None:
        raise NotFound("format", kind)
    store = workspaces.of(request).store
    wanted = list(dict.fromkeys(filter(None, ids.split(","))))
    if len(wanted) > MAX_CHOSEN:
        raise NotFound("way to choose more than", f"{MAX_CHOSEN} chats")
    every = request.query_params.get("branches") == "all"
    if not wanted:
        given = request.query_params.get
        wanted = store.conversations.ids(*without_tag(given("query", "")[:MAX_QUERY], read_filters(given)))
    return store, chosen, every, wanted
