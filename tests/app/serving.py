"""A chat service with the scripted backend, for the tests of what it does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from app.backend import Backend
from app.chats import Chats, Sent
from app.live import LiveRun
from app.models import Models
from app.store import Message, Store
from app.workspace import OWNER

LIMIT_SECONDS = 20.0


def loader_of(backend: Backend, gate: threading.Event | None = None) -> Callable[..., Backend]:
    """Loads this backend, once the gate is set if there is one."""

    def load(path: Path, *, on_progress: Callable[[float], None]) -> Backend:
        if gate is not None:
            assert gate.wait(LIMIT_SECONDS)
        return backend

    return load


@contextmanager
def chatting(store: Store, backend: Backend, gate: threading.Event | None = None) -> Iterator[Chats]:
    """A service on a store; its model is there at once, or once the gate is set."""
    file = store.home / "model.gguf"
    file.touch()
    models = Models(store.home, str(file), loader=loader_of(backend, gate))
    if gate is None:
        models.backend(timeout=LIMIT_SECONDS)
    chats = Chats(store, models)
    try:
        yield chats
    finally:
        chats.close()
        models.close()


def as_owner(app: ASGIApp) -> ASGIApp:
    """The app as it is behind the guard of a folder without accounts."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "user": OWNER}, receive, send)

    return call


def run_of(chats: Chats, sent: Sent) -> LiveRun:
    live = chats.live(sent.message_id)
    assert live is not None
    return live


def finish(chats: Chats, store: Store, sent: Sent) -> Message:
    """Wait for the end of an answer; the message as it is in the store then."""
    live = run_of(chats, sent)
    position = 0
    while not live.done:
        assert live.wait(position, LIMIT_SECONDS)
        *_, position = live.shown_from(position)
    return store.messages.get(sent.message_id)


def stop_after(chats: Chats, store: Store, sent: Sent, characters: int) -> Message:
    """Stop an answer once it has so many characters."""
    assert run_of(chats, sent).wait(characters - 1, LIMIT_SECONDS)
    chats.stop(sent.conversation_id)
    return finish(chats, store, sent)


def texts(store: Store, conversation_id: str) -> list[str]:
    """The current path, as it reads."""
    return [message.content for message in store.messages.path(conversation_id)]
