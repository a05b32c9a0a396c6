"""A chat service on a model, and what its routes tell of the inside of answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.backend import Backend
from app.chats import Chats, Sent
from app.inside.routes import inside_routes
from app.models import Models
from app.store import Message, Store
from app.ui.language import LanguageOfRequest
from app.workspace import OWNER, Workspace
from engine import Engine
from tests.app.serving import finish

WARM = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0, "max_tokens": 14}


class Inside:
    """home: the data folder. models_of: makes what answers there; `restart` makes it anew, and opens the store anew."""

    def __init__(self, home: Path, models_of: Callable[[Path], Models]) -> None:
        self._home = home
        self._models_of = models_of
        self._open()

    @classmethod
    def with_model(cls, home: Path, model: Path, **options: Any) -> Inside:
        """With a model of this machine, in the deterministic mode."""
        loader = partial(Engine.load, context=2048, deterministic=True, **options)
        return cls(home, lambda home: Models(home, str(model), loader=loader))

    def _open(self) -> None:
        self.store = Store.open(self._home)
        self.models = self._models_of(self._home)
        self.chats = Chats(self.store, self.models)
        self.backend: Backend = self.models.backend()
        app = FastAPI()
        app.include_router(inside_routes(lambda request: Workspace(OWNER, self.store, self.chats), self.models))
        self.client = TestClient(LanguageOfRequest(app))

    def restart(self) -> None:
        """As after the end of the process: a new engine, and the store from its file."""
        self.close()
        self._open()

    def get(self, path: str, status: int = 200) -> dict[str, Any]:
        reply = self.client.get(f"/inside/{path}")
        assert reply.status_code == status, reply.text
        return reply.json()

    def post(self, path: str, body: dict[str, Any] | None = None, status: int = 200) -> dict[str, Any]:
        reply = self.client.post(f"/inside/{path}", json=body or {})
        assert reply.status_code == status, reply.text
        return reply.json()

    def refused(self, path: str, body: dict[str, Any] | None = None, status: int = 400) -> str:
        """The one line with which a request is refused."""
        error = self.post(path, body, status)["error"]
        assert error
        assert "\n" not in error
        assert len(error) < 400
        return error

    def ask(self, text: str, conversation: str | None = None, **settings: Any) -> Message:
        sent = self.chats.send(conversation, text, settings={**WARM, **settings})
        return finish(self.chats, self.store, sent)

    def finished(self, message_id: str) -> Message:
        message = self.store.messages.get(message_id)
        return finish(self.chats, self.store, Sent(message.conversation_id, message.parent_id, message_id))

    def replayed(self, path: str, body: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The results of a replay, once it has ended."""
        id = self.post(f"replay/{path}", body)["replay"]
        while (view := self.get(f"replays/{id}"))["state"] == "running":
            time.sleep(0.01)
        assert view["state"] == "done", view
        return view["results"]

    def close(self) -> None:
        self.chats.close()
        self.models.close()
        self.store.close()
