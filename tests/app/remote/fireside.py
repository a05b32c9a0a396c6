"""A whole Fireside in this process, behind a socket: quick to start, and asked as by a browser."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import uvicorn

from app.accounts.control import controlled
from app.changes import Changes
from app.chats import Chats
from app.engine_choice import EngineChoice
from app.library import ModelLibrary
from app.model_source import Loader
from app.models import Models
from app.remote import Address, RemoteEngine, RemoteSource
from app.server import build_app
from app.store import Store
from engine import Engine
from tests.app.serving import LIMIT_SECONDS


class Fireside(NamedTuple):
    url: str
    home: Path
    store: Store
    models: Models


@contextmanager
def fireside(
    home: Path, *, model: Path | None = None, engine: str = "", loader: Loader = Engine.load
) -> Iterator[Fireside]:
    """It answers with the model of this file, or with the engine at an address."""
    with Store.open(home / "home") as store, socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as closing:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        secret = closing.enter_context(controlled(store.home, url))
        models = Models(home, str(model or "none"), loader=loader)
        if engine:
            address = Address.parse(engine)
            models.switch(RemoteSource(address, connect=lambda: RemoteEngine.connect(address)))
        library = ModelLibrary(models, home)
        choice = EngineChoice(models, lambda: models.files(str(model or "none")), store.home)
        chats = Chats(store, models)
        changes = Changes(store, chats)
        models.start()
        servers: list[uvicorn.Server] = []

        async def serve() -> None:
            # Within a loop: Gradio makes one wherever there is none, and leaves it open.
            app = build_app(store, chats, library, choice, changes, secret=secret)
            servers.append(uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)))
            await servers[0].serve([listener])

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        deadline = monotonic() + LIMIT_SECONDS
        while not (servers and servers[0].started):
            assert monotonic() < deadline
            sleep(0.01)
        try:
            yield Fireside(url, store.home, store, models)
        finally:
            chats.close()
            changes.close()
            servers[0].should_exit = True
            thread.join()
            library.close()
            models.close()
