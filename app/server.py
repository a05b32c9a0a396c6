"""The server: everything that makes up Fireside, put together and taken apart in order."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from app.accounts.control import controlled
from app.accounts.control_route import control_route
from app.accounts.login import login_routes
from app.accounts.people import Accounts
from app.api import Gate, api_router
from app.backend import Backend
from app.changes import Changes, changes_route
from app.chats import Chats
from app.cut_off import CutOff
from app.engine_choice import EngineChoice, source_of
from app.engine_routes import engine_routes
from app.guard import LOOPBACK_NAMES, Guard
from app.incoming import import_route
from app.inside.routes import inside_routes
from app.kv import open_kv
from app.library import ModelLibrary
from app.list_routes import list_routes
from app.listener import address_of, is_loopback, own_names, require_accounts
from app.model_routes import model_routes
from app.model_source import Source, load_engine
from app.models import Models
from app.outgoing import export_routes
from app.remote.chosen import chosen_engine
from app.routes import plain_routes
from app.starting_model import starting_model
from app.store import Store
from app.store.backup import DailyBackup
from app.store.retention import Retention
from app.stream import stream_route
from app.talk_control import talk_control
from app.titles import Titles
from app.ui import build_page, mount_page
from app.ui.assets import head, mount_assets
from app.ui.early_head import EarlyHead
from app.ui.language import LanguageOfRequest
from app.ui.settling import settle_routes
from app.workspace import Workspaces

# Together below the five seconds after which a supervisor loses patience.
SAVE_SECONDS = 3.0
DRAIN_SECONDS = 1


def build_app(
    store: Store,
    chats: Chats,
    library: ModelLibrary,
    choice: EngineChoice,
    changes: Changes,
    *,
    beyond_loopback: bool = False,
    names: Sequence[str] = (),
    secret: str = "",
) -> ASGIApp:
    """The web application: our routes, then the page at "/", all behind the guard.

    beyond_loopback: whether other computers reach it, who then need an account, and a key of the API; it is known by
    `names` then. secret: what commands of the terminal bring along (`app.accounts.control`).
    """
    accounts = Accounts(store, required=beyond_loopback)
    models = library.models
    app = FastAPI(title="Fireside", docs_url=None, redoc_url=None, openapi_url=None)
    workspaces = Workspaces(store, chats)
    # First, as most requests are for these.
    mount_assets(app)
    app.include_router(stream_route(workspaces))
    app.include_router(changes_route(workspaces, changes))
    app.include_router(list_routes(workspaces))
    app.include_router(plain_routes(workspaces, models))
    app.include_router(model_routes(workspaces, library))
    app.include_router(engine_routes(workspaces, choice))
    app.include_router(login_routes(accounts, workspaces))
    app.include_router(control_route(store, accounts, models, secret))
    app.include_router(talk_control(store, workspaces, models, secret))
    app.include_router(api_router(models, Gate(store, always=beyond_loopback)))
    app.include_router(inside_routes(workspaces.of, models))
    app.include_router(import_route(workspaces))
    app.include_router(export_routes(workspaces))
    mount_page(app, build_page(workspaces, library))
    page = LanguageOfRequest(EarlyHead(app, head()))
    return CutOff(Guard(page, accounts.who, {*LOOPBACK_NAMES, *names}, addresses=beyond_loopback))


def freeze() -> None:
    """Have the garbage collector leave out what stays for good: libraries, the page.

    Looking through all of it takes a fifth of a second, in which no token and no page is sent.
    """
    gc.freeze()


def serve(
    *,
    home: Path,
    models_dir: Path,
    model: str | None,
    listener: socket.socket,
    open_browser: bool,
    on_start: Callable[[Models], None] = lambda models: None,
    loader: Callable[..., Backend] = load_engine,
    kv_bytes: int = 0,
    context: int | None = None,
    quantized: bool = False,
    elsewhere: Source | None = None,
    names: Sequence[str] = (),
) -> int:
    """Serve until SIGINT or SIGTERM; the exit code. Answers under way are saved at the end.

    model: its name or path; None for the one chosen last on the page, which may be an engine elsewhere. listener:
    from app.listener, closed at the end. on_start: is given the models once they are started, to show how far they
    are. loader: makes the backend from the model's file. kv_bytes: how much of keys and values is kept in the data
    folder over a restart; if any, the loader is given `kv_files`. context, quantized: how the loader loads.
    elsewhere: an engine that answers in place of a model of this process. names: what other computers know this one
    by; if any, or if they reach the listener, there must be accounts. Raises StoreError if the data folder cannot
    be used, UnknownModel for a model that is not there, AddressRefused where accounts are needed.
    """
    with ExitStack() as closing:
        closing.callback(listener.close)
        store = Store.open(home)
        beyond = bool(names) or not is_loopback(listener.getsockname()[0])
        try:
            if beyond:
                require_accounts(listener, store)
        except BaseException:
            store.close()
            raise
        if kv_files := open_kv(store, kv_bytes):
            loader = partial(loader, kv_files=kv_files)
        start = starting_model(model, store, models_dir)
        models = Models(models_dir, start.name, loader=loader)
        chosen = chosen_engine(home) if model is None else None
        models.switch(elsewhere or (source_of(chosen) if chosen else models.files(start.name, start.path)))
        library = ModelLibrary(
            models,
            models_dir,
            remember=partial(store.preferences.set, "model"),
            given=start.given,
            context=context,
            quantized=quantized,
        )
        closing.callback(library.close)

        def own() -> Source:
            chosen = starting_model(None, store, models_dir)
            return models.files(chosen.name, chosen.path)

        choice = EngineChoice(models, own, home)
        # Closed after the store: a model that is slow to end must not keep what was said from the disk.
        closing.callback(models.close)
        closing.enter_context(store)
        for notice in store.notices:
            print(f"fireside: {notice}", file=sys.stderr, flush=True)
        daily = DailyBackup(store.backups, store.notices.append)
        closing.callback(daily.stop)
        daily.start()
        chats = Chats(store, models)
        changes = Changes(store, chats)
        closing.callback(chats.close, SAVE_SECONDS)
        closing.callback(Titles(store, models, chats.answers).close)
        closing.callback(Retention(store).stop)
        models.start()
        on_start(models)
        address = address_of(listener)
        secret = closing.enter_context(controlled(home, address))
        config = uvicorn.Config(
            build_app(
                store,
                chats,
                library,
                choice,
                changes,
                beyond_loopback=beyond,
                names=(*names, *own_names()) if beyond else (),
                secret=secret,
            ),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        freeze()

        def announce() -> None:
            print(f"Fireside is at {address} (Ctrl+C stops it)", flush=True)
            if open_browser:
                # Some browsers keep their starter waiting.
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        def finish() -> None:
            chats.close(SAVE_SECONDS)
            changes.close()

        server = _Server(config, announce, finish)
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
        await settle_routes(self.config.app)
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
