"""Talking with the Fireside that runs, from the terminal: POST /control/chat, and who asks it."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.accounts.control import SECONDS, ControlFailed, RunningServer
from app.accounts.control_route import has_secret
from app.answer import ModelSource
from app.errors import AppError
from app.store import Store
from app.talk import METHODS, TalkHere
from app.workspace import Workspaces
from engine import EngineError

PATH = "/control/chat"


def talk_control(store: Store, workspaces: Workspaces, models: ModelSource, secret: str) -> APIRouter:
    """POST /control/chat {method, user, arguments} of `app.talk`: {result} or {error}; 404 without the secret."""
    router = APIRouter()

    def talk(method: str, user: str | None, arguments: list[Any]) -> Any:
        if method not in METHODS:
            raise KeyError(method)
        return getattr(TalkHere.of_user(store, workspaces, models, user), method)(*arguments)

    @router.post(PATH)
    async def chat(request: Request) -> Response:
        if not has_secret(request, secret):
            return JSONResponse({"detail": "Not Found"}, 404)
        try:
            asked = await request.json()
            reply = {"result": await asyncio.to_thread(talk, asked["method"], asked["user"], asked["arguments"])}
        except (AppError, EngineError) as error:
            reply = {"error": str(error)}
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "the command is of another version of Fireside"}, 400)
        return JSONResponse(reply, headers={"Cache-Control": "no-store"})

    return router


class TalkThere:
    """Conforms to `app.talk.Talk` by way of the server that works in the data folder. Use it in a `with` block.

    user: whose chats, where there are accounts. Raises ControlFailed with what the server says against it, or if it
    says nothing.
    """

    def __init__(self, server: RunningServer, user: str | None) -> None:
        import httpx

        self._client = httpx.Client(
            base_url=server.address, headers=dict(server.headers), timeout=SECONDS, trust_env=False
        )
        self._user = user

    def chats(self) -> list[dict[str, str]]:
        return self._ask("chats")

    def history(self, conversation_id: str) -> list[dict[str, str]]:
        return self._ask("history", conversation_id)

    def send(
        self, conversation_id: str | None, text: str, settings: dict[str, Any] | None, system_prompt: str
    ) -> tuple[str, str]:
        conversation, message = self._ask("send", conversation_id, text, settings, system_prompt)
        return conversation, message

    def again(self, conversation_id: str) -> tuple[str, str]:
        conversation, message = self._ask("again", conversation_id)
        return conversation, message

    def settings(self, conversation_id: str) -> dict[str, Any]:
        return self._ask("settings", conversation_id)

    def configure(self, conversation_id: str, settings: dict[str, Any], system_prompt: str | None) -> None:
        self._ask("configure", conversation_id, settings, system_prompt)

    def read(self, message_id: str, position: int) -> dict[str, Any]:
        return self._ask("read", message_id, position)

    def stop(self, conversation_id: str) -> None:
        self._ask("stop", conversation_id)

    def _ask(self, method: str, *arguments: Any) -> Any:
        import httpx

        status = ""
        try:
            reply = self._client.post(PATH, json={"method": method, "user": self._user, "arguments": arguments})
            status = f"status {reply.status_code}"
            told = dict(reply.json())
        except (httpx.HTTPError, ValueError, TypeError) as failure:
            why = status or type(failure).__name__
            raise ControlFailed(f"the Fireside at {self._client.base_url} does not answer ({why})") from None
        if (error := told.get("error")) is not None:
            raise ControlFailed(str(error))
        return told.get("result")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()
