"""Which engine answers, as an administrator chooses on the page: this computer's, or one elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.model_source import Source
from app.models import Models
from app.remote import Address, RemoteEngine, RemoteSource
from app.remote.chosen import ChosenEngine, chosen_engine, keep_chosen_engine
from app.remote.connection import Patience
from engine import EngineInfo

# A person waits for what is found out before an engine is chosen.
LOOK = Patience(connect=3.0, reply=6.0)


@dataclass(frozen=True, slots=True)
class Found:
    """info: of the first model, or the one asked for. models: the ids of all that the server lists."""

    info: EngineInfo
    models: tuple[str, ...]


class EngineChoice:
    """Has another engine answer; safe to use from any thread.

    own: the model of this computer to go back to. home: the data folder, which keeps the choice; see
    `app.remote.chosen`.
    """

    def __init__(self, models: Models, own: Callable[[], Source], home: Path) -> None:
        self._models = models
        self._own = own
        self._home = home
        self._lock = threading.Lock()
        self._awaited: ChosenEngine | None = None
        models.loaded.append(self._loaded)

    @property
    def chosen(self) -> ChosenEngine | None:
        """The engine elsewhere that was chosen on the page, if one was."""
        return chosen_engine(self._home)

    def look(self, url: str, key: str) -> Found:
        """Find out what is at an address; raises RemoteError, ContextOverflow."""
        engine = RemoteEngine.connect(self._address(url, key), patience=LOOK)
        try:
            return Found(engine.info, engine.models)
        finally:
            engine.close()

    def use(self, url: str, key: str, model: str | None, context: int | None = None) -> None:
        """Have it answer from now on, and once it does, also after a restart; raises RemoteError.

        If it cannot be reached, what answered before goes on; see `Models.switch`.
        """
        chosen = ChosenEngine(self._address(url, key), model, context)
        with self._lock:
            self._awaited = chosen
            self._models.switch(source_of(chosen))

    def back(self) -> None:
        """Have this computer's engine answer from now on."""
        with self._lock:
            self._awaited = None
            if self._models.remote:
                self._models.switch(self._own())
        self._keep(None)

    def _loaded(self, name: str) -> None:
        with self._lock:
            chosen, self._awaited = self._awaited, None
        if not self._models.remote:
            self._keep(None)
        elif chosen is not None and chosen.address.base == name:
            self._keep(chosen)

    def _address(self, url: str, key: str) -> Address:
        """Without a key, the one that is kept for the same address: it is not typed again, and never shown."""
        address, chosen = Address.parse(url, key.strip()), self.chosen
        same = chosen is not None and chosen.address.base == address.base
        return chosen.address if chosen and same and not address.key else address

    def _keep(self, chosen: ChosenEngine | None) -> None:
        try:
            keep_chosen_engine(self._home, chosen)
        except OSError as error:
            self._models.explain(f"which engine answers is not kept over a restart: {error.strerror or error}")


def source_of(chosen: ChosenEngine) -> RemoteSource:
    """The chosen engine, not connected yet."""
    connect = partial(RemoteEngine.connect, chosen.address, model=chosen.model, context=chosen.context)
    return RemoteSource(chosen.address, connect=connect)
