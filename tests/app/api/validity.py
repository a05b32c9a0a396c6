"""Holds whatever a server answers over the API against openai-python's types, as ASGI middleware."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.shared import ErrorObject
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

CHAT, TEXT, MODELS = "/v1/chat/completions", "/v1/completions", "/v1/models"
DONE = "[DONE]"


class Validity:
    """Notes every answer and every streamed chunk that is not valid in `wrong`, and counts those that are.

    The types are taken strictly: they otherwise take what they are given as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.valid = 0
        self.wrong: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "HEAD" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        status, kind, body, whole = 0, "", bytearray(), False

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status, kind, whole
            if message["type"] == "http.response.start":
                status = message["status"]
                kind = dict(message["headers"]).get(b"content-type", b"").decode().partition(";")[0]
            else:
                body.extend(message.get("body", b""))
                whole = not message.get("more_body", False)
            await send(message)

        await self._app(scope, receive, watched)
        # Of a client that left nothing is known.
        if whole and status != 499:
            self._check(scope["path"], status, kind, bytes(body))

    def _check(self, path: str, status: int, kind: str, body: bytes) -> None:
        try:
            if kind == "text/event-stream":
                self._check_stream(path, body.decode())
            elif status >= 400:
                _error(json.loads(body))
            else:
                _whole(path, body)
            self.valid += 1
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            self.wrong.append(f"{path} {status} {kind}: {error}\n{body[:500]!r}")

    def _check_stream(self, path: str, text: str) -> None:
        events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
        for event in events[:-1]:
            _chunk(path, event)
            self.valid += 1
        if events[-1] != DONE:
            # What failed in the middle.
            _error(json.loads(events[-1]))


def _whole(path: str, body: bytes) -> None:
    if path == CHAT:
        _strict(ChatCompletion, body)
    elif path == TEXT:
        _strict(Completion, body)
    elif path == MODELS:
        listed = json.loads(body)
        if listed["object"] != "list":
            raise ValueError("it is no list")
        for model in listed["data"]:
            _strict(Model, json.dumps(model))
    else:
        _strict(Model, body)


def _chunk(path: str, event: str) -> None:
    if path == CHAT:
        _strict(ChatCompletionChunk, event)
        return
    # Of text completions their types describe whole ones only, in which every choice has ended.
    told = json.loads(event)
    for choice in told["choices"]:
        choice["finish_reason"] = choice["finish_reason"] or "stop"
    # A chunk that tells what was used has no choices, as in chats.
    _strict(Completion, json.dumps(told))


def _error(told: Any) -> None:
    if set(told) != {"error"} or set(told["error"]) != {"message", "type", "param", "code"}:
        raise ValueError("it is no error of OpenAI's")
    _strict(ErrorObject, json.dumps(told["error"]))


def _strict(kind: type[BaseModel], told: str | bytes) -> None:
    kind.model_validate_json(told, strict=True)
