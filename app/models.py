"""The model the application talks to: found, fetched and loaded in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Literal, Protocol

import weights
from app.backend import Backend
from app.errors import AppError
from engine import Engine, EngineError
from weights import FetchCancelled, WeightsError

Status = Literal["absent", "downloading", "loading", "ready", "failed"]
CLOSING = "Fireside is shutting down"


class ModelUnavailable(AppError):
    """There is no model to answer: it could not be fetched or loaded, or is not ready yet."""


class Closing(Exception):
    """Raised inside a load that nobody waits for, to end it."""


class Loader(Protocol):
    """Loads a checkpoint; `Engine.load` is one. `on_progress` is given the fraction done, 0 to 1."""

    def __call__(self, path: Path, *, on_progress: Callable[[float], None]) -> Backend: ...


@dataclass(frozen=True, slots=True)
class ModelState:
    """How far the model is, as a person may read it.

    done_bytes, total_bytes: of the download, or of the file being loaded; 0 where nothing is under way.
    message: one line.
    """

    status: Status
    name: str
    done_bytes: int = 0
    total_bytes: int = 0
    message: str = ""


class Models:
    """Brings one model from its name to a loaded backend, on a thread of its own.

    Thread-safe. `start` begins; `state` may be read at any time; `backend` waits for the outcome.
    """

    def __init__(self, models_dir: Path, name_or_path: str, *, loader: Loader = Engine.load) -> None:
        self._models_dir = models_dir
        self._name = name_or_path
        self._loader = loader
        self._changed = threading.Condition()
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None
        self._backend: Backend | None = None
        self._state = ModelState("absent", name_or_path, message=f"{name_or_path} is not loaded yet")

    @property
    def state(self) -> ModelState:
        """The state at this moment."""
        with self._changed:
            return self._state

    def start(self) -> None:
        """Begin to find, fetch and load; does nothing while that is under way or done."""
        with self._changed:
            if self._thread is None and not self._cancel.is_set():
                self._begin()

    def retry(self) -> None:
        """Begin again after a failure; does nothing otherwise."""
        with self._changed:
            if self._state.status == "failed" and not self._cancel.is_set():
                self._begin()

    def backend(self, timeout: float | None = None) -> Backend:
        """The loaded model; waits for it at most `timeout` seconds, without limit if None.

        Raises ModelUnavailable when it failed, is closed, or is not ready in time.
        """
        deadline = None if timeout is None else monotonic() + timeout
        self.start()
        with self._changed:
            while self._backend is None and self._state.status != "failed":
                remaining = None if deadline is None else deadline - monotonic()
                if remaining is not None and remaining <= 0:
                    raise ModelUnavailable(self._state.message)
                self._changed.wait(remaining)
            if self._backend is None:
                raise ModelUnavailable(self._state.message)
            return self._backend

    def close(self) -> None:
        """Give up what is under way and close the backend; idempotent."""
        self._cancel.set()
        with self._changed:
            thread = self._thread
        if thread is not None:
            thread.join()
        with self._changed:
            backend, self._backend = self._backend, None
            self._state = ModelState("failed", self._name, message=CLOSING)
            self._changed.notify_all()
        if backend is not None:
            backend.close()

    def _begin(self) -> None:
        self._state = ModelState("absent", self._name, message=f"looking for {self._name}")
        self._thread = threading.Thread(target=self._run, name="model-loader", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            backend = self._obtain()
        except (FetchCancelled, Closing):
            self._fail(CLOSING)
        except (WeightsError, EngineError) as error:
            self._fail(str(error))
        # A thread has nobody to raise to: whoever waits for the model must hear of it.
        except Exception as error:
            self._fail(f"{self._name} cannot be loaded: {type(error).__name__}: {error}")
        else:
            with self._changed:
                self._backend = backend
                self._state = ModelState("ready", self._name, message=f"{self._name} is ready")
                self._changed.notify_all()

    def _obtain(self) -> Backend:
        """Find, fetch and load; raises Closing or FetchCancelled once nobody waits for it."""
        path = self._find()
        self._set("loading", 0, _bytes(path), f"loading {self._name}")
        return self._loader(path, on_progress=self._loading)

    def _find(self) -> Path:
        return weights.obtain(weights.resolve(self._name), self._models_dir, self._downloading, cancel=self._cancel)

    def _downloading(self, done: int, total: int) -> None:
        doing = "checking" if done == total else "downloading"
        self._set("downloading", done, total, f"{doing} {self._name}")

    def _loading(self, fraction: float) -> None:
        if self._cancel.is_set():
            raise Closing
        with self._changed:
            self._state = replace(self._state, done_bytes=int(fraction * self._state.total_bytes))

    def _set(self, status: Status, done: int, total: int, message: str) -> None:
        with self._changed:
            self._state = ModelState(status, self._name, done, total, message)

    def _fail(self, message: str) -> None:
        with self._changed:
            self._state = ModelState("failed", self._name, message=" ".join(message.split()))
            self._changed.notify_all()


def _bytes(path: Path) -> int:
    """Of the file, or of the files in the folder."""
    files = [path] if path.is_file() else [inner for inner in path.iterdir() if inner.is_file()]
    return sum(file.stat().st_size for file in files)
