"""Where the answering model comes from, and how far it is."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import weights
from app.backend import Backend
from app.downloads import Downloads

POLL_SECONDS = 0.1

Status = Literal["absent", "downloading", "loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class ModelState:
    """How far the model is, as a person may read it.

    done_bytes, total_bytes: of the download, or of the file being loaded; 0 where nothing is under way. message: one
    line. speed: of the download, bytes a second. answers: how many must end before another model is loaded. trouble:
    in one line why the model that was asked for last is not the one that is loaded, "" where it is.
    """

    status: Status
    name: str
    done_bytes: int = 0
    total_bytes: int = 0
    message: str = ""
    speed: float = 0.0
    answers: int = 0
    trouble: str = ""


class Closing(Exception):
    """Raised inside a load that nobody waits for, to end it."""


class Attempt:
    """One try at making a model answer, from the side of where it comes from.

    cancel: set once nobody waits for it. hurry: set to wait for no more answers of the model before.
    """

    def __init__(
        self, name: str, tell: Callable[[Attempt, ModelState], None], leave: Callable[[Attempt], None]
    ) -> None:
        self.name = name
        self.cancel = threading.Event()
        self.hurry = threading.Event()
        self._tell = tell
        self._leave = leave

    def tell(self, state: ModelState) -> None:
        """Say how far it is; raises Closing once nobody waits for it."""
        if self.cancel.is_set():
            raise Closing
        self._tell(self, state)

    def make_room(self) -> None:
        """Have the model before end its answers and go; call it before memory is taken. Raises Closing."""
        self._leave(self)


class Source(Protocol):
    """A model that can be made to answer: files of this machine, or an engine elsewhere."""

    @property
    def name(self) -> str: ...

    @property
    def remote(self) -> str:
        """The address of an engine elsewhere; "" for files of this machine."""
        ...

    def obtain(self, attempt: Attempt) -> Backend:
        """Make it answer; raises WeightsError, EngineError or Closing."""
        ...

    def watched(self, state: ModelState) -> ModelState:
        """The state of the model that answers, as it is at this moment."""
        ...

    def retry(self, at_once: bool = False) -> None:
        """Try again what has failed since it answers. at_once: although it has been tried just now."""
        ...


class Loader(Protocol):
    """Loads a checkpoint; `Engine.load` is one. `on_progress` is given the fraction done, 0 to 1."""

    def __call__(self, path: Path, *, on_progress: Callable[[float], None]) -> Backend: ...


def load_engine(path: Path, *, on_progress: Callable[[float], None], **options: Any) -> Backend:
    """The Loader of models of this computer. `options` are those of `Engine.load`."""
    # Brings torch, for whose import the page need not wait.
    from engine import Engine

    # As all else that stays: see `app.server.freeze`.
    if gc.get_freeze_count():
        gc.freeze()
    return Engine.load(path, on_progress=on_progress, **options)


class ModelFiles:
    """A model of this machine, or one to be fetched; conforms to Source.

    name: as `weights.resolve` takes it. path: where it lies, if that is known already.
    """

    remote = ""

    def __init__(self, name: str, downloads: Downloads, loader: Loader, path: Path | None = None) -> None:
        self.name = name
        self._downloads = downloads
        self._loader = loader
        self._path = path

    def obtain(self, attempt: Attempt) -> Backend:
        path = self._path or self._find(attempt)
        attempt.make_room()
        size = _bytes(path)

        def loading(fraction: float) -> None:
            attempt.tell(ModelState("loading", self.name, int(fraction * size), size, f"loading {self.name}"))

        loading(0.0)
        return self._loader(path, on_progress=loading)

    def watched(self, state: ModelState) -> ModelState:
        return state

    def retry(self, at_once: bool = False) -> None:
        pass

    def _find(self, attempt: Attempt) -> Path:
        source = weights.resolve(self.name)
        if isinstance(source, Path):
            return source
        download = self._downloads.begin(self.name)
        while not download.wait(POLL_SECONDS):
            if attempt.cancel.is_set():
                raise Closing
            state = download.state
            if state.total_bytes:
                doing = "checking" if state.done_bytes == state.total_bytes else "downloading"
                message = f"{doing} {self.name}"
                done, total, speed = state.done_bytes, state.total_bytes, state.speed
                attempt.tell(ModelState("downloading", self.name, done, total, message, speed))
        return download.result()


def _bytes(path: Path) -> int:
    """Of the file, or of the files in the folder."""
    files = [path] if path.is_file() else [inner for inner in path.iterdir() if inner.is_file()]
    return sum(file.stat().st_size for file in files)
