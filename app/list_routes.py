"""The list of conversations, a page of it at a time: by plain routes, since it is asked for at every key stroke."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.store.search import Filters
from app.ui.views import hit_view, row_views
from app.workspace import Workspace, Workspaces

NO_STORE = {"Cache-Control": "no-store"}
PAGE = 200
HITS = 30
MAX_QUERY = 1_000
MAX_FILTER = 200
MAX_IDS = 100
Skip = Annotated[int, Query(ge=0, le=10_000_000)]


def list_routes(workspaces: Workspaces) -> APIRouter:
    """GET /conversations: 200 of them and the messages that have the words; GET /conversations/rows: some by id.

    `revision` of a row grows whenever a page that shows that conversation is outdated.
    """
    router = APIRouter()

    @router.get("/conversations")
    def conversations(request: Request, query: str = "", archived: bool = False, skip: Skip = 0) -> Response:
        asked = read_filters(request.query_params.get)
        view = page_of(workspaces.of(request), query[:MAX_QUERY], archived, asked, skip)
        return JSONResponse(view, headers=NO_STORE)

    @router.get("/conversations/rows")
    def rows(request: Request, ids: str = "") -> Response:
        asked = [id for id in ids.split(",") if id][:MAX_IDS]
        found = workspaces.of(request)
        views = row_views(found.store, found.chats, asked)
        there = {view["id"] for view in views}
        return JSONResponse({"conversations": views, "gone": [id for id in asked if id not in there]}, headers=NO_STORE)

    return router


def read_filters(value: Any) -> Filters:
    """The filters that a page sent; value: gives what it sent by name. Whatever is none of the known is left open."""
    texts = {name: str(value(name) or "")[:MAX_FILTER] for name in ("model", "since", "until", "tag")}
    role = value("role")
    return Filters(
        role=role if role in ("user", "assistant") else None,
        pinned=True if value("pinned") == "true" else None,
        conversation_id=str(value("conversation_id") or "")[:MAX_FILTER],
        **texts,
    )


def without_tag(query: str, filters: Filters) -> tuple[str, Filters]:
    """The words of what was typed, and the filters with the `#tag` among them."""
    words = " ".join(word for word in query.split() if not word.startswith("#"))
    tag = next((word[1:] for word in query.split() if word.startswith("#")), "")
    return words, replace(filters, tag=tag) if tag else filters


def page_of(mine: Workspace, query: str, archived: bool, filters: Filters, skip: int) -> dict[str, Any]:
    """A page of the list; `#tag` among the words filters by a tag.

    Filters alone narrow the conversations only: what messages are asked for has to have words.
    """
    words, asked = without_tag(query, filters)
    # One more than is shown tells whether there are more.
    ids = [
        each.id for each in mine.store.conversations.list(PAGE + 1, words, archived=archived, filters=asked, skip=skip)
    ]
    hits = [] if skip else mine.store.messages.search(words, HITS, asked)
    return {
        "conversations": row_views(mine.store, mine.chats, ids[:PAGE]),
        "more": len(ids) > PAGE,
        "hits": [hit_view(hit) for hit in hits],
    }
