"""An engine elsewhere as the model of this server: found at the start, watched, and found again after trouble."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from app.backend import Backend
from app.model_source import Attempt, Closing, ModelState
from app.remote.address import Address
from app.remote.engine import RemoteEngine
from app.remote.errors import Starting
from engine import EngineError

POLL_SECONDS = 1.0

log = logging.getLogger(__name__)


class RemoteSource:
    """Conforms to `app.model_source.Source`; connects instead of loading. While the breaker of the connection is open,
    the state is `failed` and says why; whoever looks then has it tried again in time."""

    def __init__(self, address: Address, *, connect: Callable[[], RemoteEngine]) -> None:
        self.name = self.remote = address.base
        self._connect = connect
        self._engine: RemoteEngine | None = None
        self._probing = threading.Lock()

    def obtain(self, attempt: Attempt) -> Backend:
        while True:
            try:
                engine = self._connect()
            except Starting as error:
                attempt.tell(ModelState("loading", self.name, message=str(error)))
                if attempt.cancel.wait(POLL_SECONDS):
                    raise Closing from error
            else:
                break
        try:
            attempt.make_room()
        except Closing:
            engine.close()
            raise
        self._engine = engine
        return engine

    def watched(self, state: ModelState) -> ModelState:
        engine = self._engine
        if engine is None:
            return state
        if trouble := engine.breaker.trouble:
            self.retry()
            return ModelState("failed", engine.info.name, message=trouble, trouble=state.trouble)
        return replace(state, name=engine.info.name, message=f"{engine.info.name} answers at {engine.info.remote}")

    def retry(self, at_once: bool = False) -> None:
        """Ask a server again that was left alone, as soon as that may be; or at once, as a person wants it."""
        if (engine := self._engine) is None:
            return
        if at_once:
            engine.breaker.hurry()
        if engine.breaker.ripe:
            self._probe(engine)

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
