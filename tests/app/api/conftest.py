"""What tests of the API share: a server that is asked through a socket, as clients ask it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import monotonic, sleep

import openai
import pytest
import uvicorn
from fastapi import FastAPI

from app.accounts.people import Accounts
from app.api import Gate, api_router
from app.backend import Backend
from app.chats import Chats
from app.fake import ScriptedBackend
from app.guard import Guard
from app.models import Models
from app.routes import plain_routes
from app.store import Store
from app.workspace import Workspaces
from tests.app.api.validity import Validity
from tests.app.serving import LIMIT_SECONDS, loader_of

Serve = Callable[..., str]


@contextmanager
def api_server(store: Store, backend: Backend, gate: threading.Event | None = None) -> Iterator[str]:
    """The address of a server with the API of this backend, which is loaded at once or once the gate is set.

    Whatever it answers must be valid, see `Validity`.
    """
    file = store.home / "tiny.gguf"
    file.touch()
    models = Models(store.home, str(file), loader=loader_of(backend, gate))
    models.start()
    if gate is None:
        models.backend(timeout=LIMIT_SECONDS)
    chats = Chats(store, models)
    app = FastAPI(openapi_url=None)
    app.include_router(plain_routes(Workspaces(store, chats), models))
    app.include_router(api_router(models, Gate(store)))
    validity = Validity(Guard(app, Accounts(store).who))
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(validity, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        deadline = monotonic() + LIMIT_SECONDS
        while not server.started:
            assert monotonic() < deadline
            sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            chats.close()
            models.close()
    assert validity.wrong == []


@pytest.fixture(scope="module")
def backend() -> ScriptedBackend:
    return ScriptedBackend(["Hello", " there", ", you", "."])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, backend: ScriptedBackend) -> Iterator[str]:
    """Of a server for all tests of a file that leave it as it is."""
    with Store.open(tmp_path_factory.mktemp("api") / "home") as store, api_server(store, backend) as address:
        yield address


@pytest.fixture
def scripted(backend: ScriptedBackend) -> ScriptedBackend:
    """What answers in tests in which the model does not matter, with the requests of this test only."""
    backend.requests.clear()
    return backend


def client_of(address: str) -> openai.OpenAI:
    """openai-python as anybody uses it, but for asking only once."""
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=LIMIT_SECONDS)


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with client_of(address) as client:
        yield client
