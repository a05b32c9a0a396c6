"""The engine elsewhere as the model of this server: found at the start, watched, and found again after trouble."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.backend import Backend
from app.models import Closing, Models, ModelState
from app.remote.address import Address
from app.remote.engine import RemoteEngine
from app.remote.errors import Starting
from engine import EngineError

POLL_SECONDS = 1.0

log = logging.getLogger(__name__)


class RemoteModels(Models):
    """Conforms to `app.models.Models`; connects instead of loading. While the breaker of the connection is open, the
    state is `failed` and says why; whoever looks then has it tried again in time."""

    def __init__(self, address: Address, *, connect: Callable[[], RemoteEngine]) -> None:
        super().__init__(Path(), address.base)
        self._connect = connect
        self._engine: RemoteEngine | None = None
        self._probing = threading.Lock()

    @property
    def state(self) -> ModelState:
        state, engine = super().state, self._engine
        if engine is None or state.status != "ready":
            return state
        if trouble := engine.breaker.trouble:
            if engine.breaker.ripe:
                self._probe(engine)
            return ModelState("failed", engine.info.name, message=trouble)
        return replace(state, name=engine.info.name, message=f"{engine.info.name} answers at {engine.info.remote}")

    def retry(self) -> None:
        """As `Models`; and asks a server again that was left alone, as soon as that may be."""
        super().retry()
        if (engine := self._engine) is not None and engine.breaker.ripe:
            self._probe(engine)

    def _obtain(self) -> Backend:
        while True:
            try:
                self._engine = self._connect()
            except Starting as error:
                self._set("loading", 0, 0, str(error))
                if self._cancel.wait(POLL_SECONDS):
                    raise Closing from error
            else:
                return self._engine

    def _probe(self, engine: RemoteEngine) -> None:
        if not self._probing.acquire(blocking=False):
            return

        def probe() -> None:
            try:
                engine.refresh()
            except EngineError as error:
                # The breaker tells it to whoever asks.
                log.info("%s", error)
            finally:
                self._probing.release()

        threading.Thread(target=probe, name="remote-probe", daemon=True).start()
