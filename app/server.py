"""The server: everything that makes up Fireside, put together and taken apart in order."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from app.chats import Chats
from app.errors import AppError
from app.guard import Guard
from app.models import Loader, Models
from app.routes import plain_routes
from app.store import Store
from app.stream import stream_route
from app.ui import build_page, mount_page
from app.ui.assets import head, mount_assets
from app.ui.early_head import EarlyHead
from engine import Engine

# Together below the five seconds after which a supervisor loses patience.
SAVE_SECONDS = 3.0
DRAIN_SECONDS = 1


class PortInUse(AppError):
    """Another program listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} of {host} is in use: stop the other program or choose one with --port")


class AddressRefused(AppError):
    """The address cannot be listened on, or is open to others."""


def build_app(store: Store, chats: Chats, models: Models) -> ASGIApp:
    """The web application: our routes, then the page at "/", all behind the guard."""
    app = FastAPI(title="Fireside", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(stream_route(store, chats))
    app.include_router(plain_routes(store, models))
    mount_assets(app)
    mount_page(app, build_page(store, chats, models))
    return Guard(EarlyHead(app, head()))


def serve(
    *,
    home: Path,
    models_dir: Path,
    model: str,
    host: str,
    port: int,
    open_browser: bool,
    on_start: Callable[[Models], None] = lambda models: None,
    loader: Loader = Engine.load,
) -> int:
    """Serve until SIGINT or SIGTERM; the exit code. Answers under way are saved at the end.

    on_start: is given the models once they are started, to show how far they are.
    port: 0 takes a free one. loader: makes the backend from the model's file.
    Raises PortInUse or AddressRefused before anything is started, StoreError if the data folder cannot be used.
    """
    listener = _listen(host, port)
    with ExitStack() as closing:
        closing.callback(listener.close)
        store = closing.enter_context(Store.open(home))
        models = Models(models_dir, model, loader=loader)
        closing.callback(models.close)
        chats = Chats(store, models)
        closing.callback(chats.close, SAVE_SECONDS)
        models.start()
        on_start(models)
        config = uvicorn.Config(
            build_app(store, chats, models),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        address = _address(listener)

        def announce() -> None:
            print(f"Fireside is at {address} (Ctrl+C stops it)", flush=True)
            if open_browser:
                # Some browsers keep their starter waiting.
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        server = _Server(config, announce, lambda: chats.close(SAVE_SECONDS))
        with server.signals():
            server.run(sockets=[listener])
        return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Uvicorn that ends the answers before it waits for their streams, and does not die of the signal itself."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], finish: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce
        self._finish = finish

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._finish)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Uvicorn's own would raise the signal again, which kills the process before anything is closed.
        yield

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the server; also while it starts, and once more while it ends."""
        kinds = (signal.SIGINT, signal.SIGTERM)
        before = [(kind, signal.signal(kind, self.handle_exit)) for kind in kinds]
        try:
            yield
        finally:
            for kind, handler in before:
                signal.signal(kind, handler)


def _listen(host: str, port: int) -> socket.socket:
    if not _is_loopback(host):
        raise AddressRefused(
            f"{host} can be reached by other computers, which needs accounts that Fireside does not have yet: "
            "use 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from None
        reason = error.strerror or str(error)
        raise AddressRefused(f"cannot listen on {host}, port {port}: {reason}; choose another --port") from None
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
