"""The routes of the API: what is asked where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api.call import Call
from app.api.chat_completions import chat_completion
from app.api.completions import completion
from app.api.errors import ApiError
from app.api.metrics import Metrics
from app.api.route import route_class
from app.api.schemas import ChatRequest, CompletionRequest, DetokenizeRequest, ErrorReply, TokenizeRequest
from app.api.tools import tools_of
from app.backend import Backend
from app.models import Models
from engine.info import installed_version

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReply, "description": "An error, as OpenAI's API tells it."} for status in ("4XX", "5XX")
}
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def api_router(models: Models, authorise: Callable[[Request], None]) -> APIRouter:
    """/v1/models, /v1/models/{id}, /v1/chat/completions, /v1/completions, /tokenize, /detokenize, /metrics and
    /openapi.json. authorise: raises ApiError for a request that may not be answered."""
    metrics = Metrics()
    router = APIRouter(route_class=route_class(metrics, authorise), responses=ERRORS)

    def call(request: Request, model: str | None) -> Call:
        """Raises ModelUnavailable while the model is being loaded, ApiError where another is asked for."""
        backend, name = models.backend(timeout=0), model_id(models)
        if model and model not in (name, backend.info.name):
            message = f"the model {model!r:.100} is not loaded: this server answers with {name!r}"
            raise ApiError(message, 404, param="model", code="model_not_found")
        return Call(request, backend, name, metrics, request.scope.get("keeper"))

    @router.get("/v1/models")
    def list_models() -> Response:
        return JSONResponse({"object": "list", "data": [_card(models)] if models.state.status == "ready" else []})

    @router.get("/v1/models/{id:path}")
    def get_model(id: str, request: Request) -> Response:
        call(request, id)
        return JSONResponse(_card(models))

    @router.post("/v1/chat/completions", responses=STREAM)
    async def create_chat_completion(wanted: ChatRequest, request: Request) -> Response:
        return await chat_completion(wanted, call(request, wanted.model))

    @router.post("/v1/completions", responses=STREAM)
    async def create_completion(wanted: CompletionRequest, request: Request) -> Response:
        return await completion(wanted, call(request, wanted.model))

    @router.post("/tokenize")
    async def tokenize(wanted: TokenizeRequest, request: Request) -> Response:
        backend = call(request, wanted.model).backend
        tokens = await asyncio.to_thread(_tokens, backend, wanted)
        reply: dict[str, Any] = {"tokens": tokens, "count": len(tokens), "max_model_len": backend.info.context}
        if wanted.return_token_strs:
            reply["token_strs"] = [backend.token_bytes(token).decode("utf-8", "replace") for token in tokens]
        return JSONResponse(reply)

    @router.post("/detokenize")
    async def detokenize(wanted: DetokenizeRequest, request: Request) -> Response:
        backend = call(request, wanted.model).backend
        return JSONResponse({"prompt": await asyncio.to_thread(backend.detokenize, wanted.tokens)})

    @router.get("/metrics")
    def prometheus() -> Response:
        return metrics.response()

    described = list(router.routes)

    @router.get("/openapi.json", include_in_schema=False)
    def openapi() -> Response:
        return JSONResponse(get_openapi(title="Fireside", version=installed_version(), routes=described))

    @router.api_route("/v1/{rest:path}", methods=METHODS, include_in_schema=False)
    def nothing(rest: str, request: Request) -> Response:
        raise ApiError(f"there is no {request.method} /v1/{rest:.100}", 404, code="unknown_url")

    return router


def model_id(models: Models) -> str:
    """What clients call the loaded model: its name in the catalog, or that of its file; folders are not told."""
    return PurePath(models.state.name).name


def _card(models: Models) -> dict[str, Any]:
    info = models.backend(timeout=0).info
    return {
        "id": model_id(models),
        "object": "model",
        # When it was made is not known.
        "created": 0,
        "owned_by": "fireside",
        "max_model_len": info.context,
    }


def _tokens(backend: Backend, wanted: TokenizeRequest) -> list[int]:
    """Raises ApiError unless there is a text or a conversation."""
    if (wanted.prompt is None) == (wanted.messages is None):
        raise ApiError("either prompt or messages is needed, and not both", param="prompt")
    if wanted.prompt is not None:
        return backend.tokenize(wanted.prompt)
    return backend.chat_tokens(
        [message.plain() for message in wanted.messages or ()],
        tools=tools_of(wanted.tools, None, None),
        add_generation_prompt=wanted.add_generation_prompt is not False,
    )
